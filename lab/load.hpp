// The stream of operations that a contender works off.
//
// A contender keeps `depth` slots busy. For each slot it asks next(), does the operation, reports
// done(), and asks again; when next() says false it lets what is in flight finish and returns. The
// stream decides when to end (by time or by number), takes the latency of every n-th operation and
// verifies what was read. All of it is inline and costs every contender the same 1–2 ns.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "block_table.hpp"
#include "clock.hpp"
#include "row.hpp"

namespace lab {

/// Ends the measurement with a reason; never returns. Callable from coroutines and callbacks.
[[noreturn]] void fail(const char* format, ...) __attribute__((format(printf, 1, 2)));

class load {
 public:
  struct limits {
    std::uint64_t operations;   // at most so many
    std::uint64_t nanoseconds;  // and no new one after this time
    bool verify_each;           // compare every block read with the table
  };

  load(const row& what, const block_table& table, limits until);

  /// The next operation for `slot`, at `offset`; false when the stream has ended.
  bool next(unsigned slot, std::uint64_t& offset) noexcept {
    if (--countdown_ == 0) [[unlikely]] {
      if (!checkpoint(slot)) return false;
    }
    std::uint64_t block = 0;
    if (in_order_) {
      block = position_;
      if (++position_ == blocks_) position_ = 0;
    } else {
      // The upper half of a linear congruential generator, scaled to the number of blocks.
      random_ = random_ * 0x5851'F42D'4C95'7F2DU + 0x1405'7B7E'F767'814FU;
      block = ((random_ >> 32) * blocks_) >> 32;
    }
    offset = block * block_bytes_;
    offset_of_[slot] = offset;
    return true;
  }

  /// The same for work without an offset.
  bool next(unsigned slot) noexcept { return --countdown_ != 0 || checkpoint(slot); }

  /// The operation of `slot` has read `size` bytes to `data`.
  void done(unsigned slot, const std::byte* data, std::size_t size) noexcept {
    if (size != block_bytes_) [[unlikely]]
      wrong_size(slot, size);
    if (inspect_all_ || slot == sampled_) [[unlikely]]
      inspect(slot, data);
  }

  /// The operation of `slot`, which reads nothing, has ended.
  void done(unsigned slot) noexcept {
    if (slot == sampled_) [[unlikely]]
      take_sample();
  }

  /// How long the next sleep of the sleep row is: 1 to 10 ms, at random.
  std::uint64_t sleep_ns() noexcept {
    random_ = random_ * 0x5851'F42D'4C95'7F2DU + 0x1405'7B7E'F767'814FU;
    return 1'000'000 + (((random_ >> 32) * 9'000'000) >> 32);
  }

  /// For work of a few nanoseconds, done in batches: false when the stream has ended. The time
  /// from one call to the next, divided by `size`, counts as the latency of the first batch.
  bool batch(unsigned size) noexcept;

  // What came of it, to be read after the last operation is done.
  [[nodiscard]] std::uint64_t operations() const noexcept;
  [[nodiscard]] const std::vector<double>& latencies_ns() const noexcept { return latencies_; }
  /// For checksum rows: checks the sum of all that was read; says which part of the extent it was.
  [[nodiscard]] double verified_share() const noexcept;

 private:
  static constexpr unsigned no_slot = ~0U;

  bool checkpoint(unsigned slot) noexcept;
  void arm_countdown() noexcept;
  void inspect(unsigned slot, const std::byte* data) noexcept;
  void take_sample() noexcept;
  [[noreturn]] void wrong_size(unsigned slot, std::size_t size) noexcept;

  std::uint64_t countdown_ = 0;  // operations until the next checkpoint
  std::uint64_t random_ = 0x2545'F491'4F6C'DD1DU;
  std::uint64_t position_ = 0;
  std::uint64_t blocks_ = 0;
  std::size_t block_bytes_ = 0;
  unsigned sampled_ = no_slot;  // the slot whose operation is being timed
  bool in_order_ = false;
  bool inspect_all_ = false;
  bool verify_each_ = false;
  bool summing_ = false;
  bool ended_ = false;
  std::vector<std::uint64_t> offset_of_;

  const block_table* table_;
  unsigned sample_every_;
  std::uint64_t step_ = 0;  // what the countdown was set to
  std::uint64_t issued_ = 0;
  std::uint64_t limit_;
  std::uint64_t deadline_ticks_;
  std::uint64_t sample_start_ = 0;
  std::uint64_t sum_ = 0;
  std::vector<double> latencies_;
};

}  // namespace lab
