// A sequential reader: what it has, what is under way, and what it will ask for.
//
//        position        filled                    reach                     end
//   ───────┼─── have ──────┼─── flight ──────────────┼────── not asked for ───┼──
//
//   have     pieces that were read and not given, in order; their bytes belong to the reader
//   flight   reads under way or done, each a task of its own that owns its buffer; none knows of
//            the reader. The first starts at `filled`, or before it where a part is to be cut off,
//            or behind it where the one before was short: that gap is read first
//
// One task at a time changes this, between two awaits and never across one; it may go at any await.
// So a dropped call leaves a state like any other: a read that it waited for stays the first in
// flight, one that it made itself (there are such while the window is 0) is as if never made. The
// task owns a share of the state, the reader may go first.
//
// The window, how many reads are to be in flight:
//   0      reads are made by whoever asks, which is best as long as the page cache answers at once.
//          One that has to wait opens the window
//   n      doubled by a consumer that had to wait; one less when for a while everything in flight
//          was there before it was asked for; 0 when for a while the page cache answered
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string_view>

#include <parkring/detail/file_ref.hpp>
#include <parkring/error.hpp>
#include <parkring/fs/reader.hpp>
#include <parkring/spawn.hpp>

namespace parkring::detail {

struct reader_state {
  struct piece {
    buffer bytes;
    std::size_t begin = 0;  // what is before it was given
    [[nodiscard]] std::size_t size() const noexcept { return bytes.size() - begin; }
    [[nodiscard]] std::string_view text() const { return std::as_const(bytes).text(begin); }
  };
  struct answer {
    buffer bytes;
    std::size_t count = 0;
    std::optional<error> failure;
    bool at_once = false;  // the page cache had it
  };
  struct read_under_way {
    join_handle<answer> handle;
    std::uint64_t at;
    std::size_t size;
  };

  file_ref file;
  fs::reader_options options;
  bool stream = false;
  std::size_t alignment = 1;  // of offsets and sizes
  std::size_t memory_alignment = 1;
  std::size_t most = 0;  // the largest window
  std::uint64_t position = 0;
  std::uint64_t end = UINT64_MAX;
  std::uint64_t filled = 0;
  std::uint64_t reach = 0;
  std::deque<piece> have;
  std::deque<read_under_way> flight;
  std::size_t window = 0;
  unsigned idle = 0;     // times in a row that all in flight was there
  unsigned at_once = 0;  // answers in a row by the page cache
  bool busy = false;

  /// Puts one more piece at the end of `have`; false at the end of the file or range.
  task<bool> acquire();
  /// Gives the first `n` bytes of the first piece away, without a copy.
  buffer take(std::size_t n);
  /// The first `n` bytes of the first piece were used in place. Gives the piece when it is used up.
  std::optional<buffer> used(std::size_t n);

 private:
  task<bool> read_here(std::uint64_t up_to);
  void look_ahead();
  void follow(bool waited, bool all_there);
  void forget_flight() noexcept;
  bool accept(buffer b, std::uint64_t at, std::size_t count);
  [[nodiscard]] std::uint64_t aligned_down(std::uint64_t at) const noexcept {
    return at - at % alignment;
  }
  /// The size of a read at `at` that does not go beyond `up_to` by more than alignment asks for.
  [[nodiscard]] std::size_t read_size(std::uint64_t at, std::uint64_t up_to) const noexcept;
};

}  // namespace parkring::detail
