// The descriptors of a simulated machine: numbers for open files and endpoints.
//
// A number is given again only after all lower ones are taken, as POSIX asks; but after a power cut
// all numbers given so far are dead for ever, since file handles of the programs before may still
// be closed.
#pragma once

#include <cstddef>
#include <vector>

#include "kernel/sim/endpoint.hpp"
#include "kernel/sim/file_system.hpp"

namespace parkring::kernel::sim {

/// What a descriptor refers to: one of the two.
struct open_object {
  ref<endpoint> stream;
  open_ref file;
  int subject = -1;  // what the trace calls it

  explicit operator bool() const noexcept { return stream || file; }
};

class descriptors {
 public:
  descriptors();
  descriptors(const descriptors&) = delete;
  descriptors& operator=(const descriptors&) = delete;
  ~descriptors();

  /// The lowest free number, or -EMFILE.
  [[nodiscard]] int add(open_object object);
  /// Null when it is not open.
  [[nodiscard]] const open_object* find(int fd) const noexcept;
  /// The same object under a second number; -EBADF.
  [[nodiscard]] int duplicate(int fd);
  int close(int fd) noexcept;
  /// Forgets all of them, and never gives their numbers again.
  void forget_all() noexcept;

  [[nodiscard]] std::size_t open() const noexcept { return open_; }
  /// As the trace knows a number: not the same in every process, but in every run of a seed.
  [[nodiscard]] int index_of(int fd) const noexcept { return fd - first_; }

 private:
  int first_;
  std::size_t dead_ = 0;        // numbers before this index are of earlier lives
  std::vector<bool> unclosed_;  // of those: programs may still close them
  std::size_t unclosed_count_ = 0;
  std::size_t open_ = 0;
  std::size_t lowest_ = 0;  // nothing below is free
  std::vector<open_object> table_;
};

}  // namespace parkring::kernel::sim
