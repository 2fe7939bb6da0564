// What an open file of the simulated system refers to: an open file description, shared by all who
// hold an `open_ref`. After a power cut, or after its file system, it is dead: `node` is null.
#pragma once

#include "kernel/sim/inode.hpp"

#include <fcntl.h>

#include <cstdint>
#include <string>
#include <utility>

namespace parkring::kernel::sim {

class file_system;

struct open_file {
  file_system* owner = nullptr;
  inode* node = nullptr;
  int flags = 0;
  std::int64_t position = 0;       // of a directory: how many entries were read
  std::string last_entry;          // of a directory: the one that was read last
  std::uint64_t error_number = 0;  // the last failed write-back this one has heard of
  std::uint32_t count = 0;
  open_file* previous = nullptr;  // the file system's list
  open_file* next = nullptr;

  bool alive() const noexcept { return node != nullptr; }
  bool by_path() const noexcept { return (flags & O_PATH) != 0; }
  bool readable() const noexcept { return !by_path() && (flags & O_ACCMODE) != O_WRONLY; }
  bool writable() const noexcept { return !by_path() && (flags & O_ACCMODE) != O_RDONLY; }
};

void close_open_file(open_file* file) noexcept;

/// A counted reference; the last one closes the file. Not for use between threads.
class open_ref {
 public:
  open_ref() = default;
  explicit open_ref(open_file* file) noexcept : file_(file) {
    if (file_) ++file_->count;
  }
  open_ref(const open_ref& other) noexcept : open_ref(other.file_) {}
  open_ref(open_ref&& other) noexcept : file_(std::exchange(other.file_, nullptr)) {}
  open_ref& operator=(open_ref other) noexcept {
    std::swap(file_, other.file_);
    return *this;
  }
  ~open_ref() { reset(); }

  void reset() noexcept {
    open_file* file = std::exchange(file_, nullptr);
    if (file != nullptr && --file->count == 0) close_open_file(file);
  }
  open_file* get() const noexcept { return file_; }
  open_file& operator*() const noexcept { return *file_; }
  open_file* operator->() const noexcept { return file_; }
  explicit operator bool() const noexcept { return file_ != nullptr; }

 private:
  open_file* file_ = nullptr;
};

}  // namespace parkring::kernel::sim
