// Reads the records of one segment, one after the other.
//
// A window of the file lies in memory: `look` decodes what is at the position from it, and asks for
// `fill` where the window ends too early. So whoever reads awaits once for many records.
#pragma once

#include <cstddef>
#include <cstdint>

#include <parkring/buffer.hpp>
#include <parkring/fs/file.hpp>
#include <parkring/task.hpp>

#include "fs/log/state.hpp"

namespace parkring::fs::wal {

class cursor {
 public:
  /// Of `in`, up to position `limit`, from `at` on.
  cursor(const state& of, file f, const segment& in, std::uint64_t at, std::uint64_t limit)
      : of_(of), file_(std::move(f)), in_(in), at_(at), limit_(limit), begin_(at) {}

  [[nodiscard]] std::uint64_t at() const noexcept { return at_; }
  [[nodiscard]] std::uint64_t limit() const noexcept { return limit_; }
  [[nodiscard]] const segment& in() const noexcept { return in_; }
  void raise_limit(std::uint64_t to) noexcept { limit_ = to; }
  void move_to(std::uint64_t position) noexcept { at_ = position; }

  /// What lies at `at`. `more`: call `fill`, and look again; never where there is no more to read.
  [[nodiscard]] record_state look(record_view& out) noexcept;
  /// Reads on, from `at`.
  [[nodiscard]] task<> fill();
  /// Moves on by multiples of 8, to where something looks like a record, or to the window's end.
  void skip_other() noexcept;
  /// Whether `limit` is reached.
  [[nodiscard]] bool at_end() const noexcept { return at_ >= limit_; }

 private:
  [[nodiscard]] std::span<const std::byte> window() const noexcept;

  const state& of_;
  file file_;
  segment in_;
  std::uint64_t at_;
  std::uint64_t limit_;
  std::uint64_t begin_;      // position of the window
  std::size_t size_ = 0;     // of it
  std::size_t wanted_ = 0;   // that `look` lacks
  bool file_ended_ = false;  // before `limit`
  buffer memory_;
};

}  // namespace parkring::fs::wal
