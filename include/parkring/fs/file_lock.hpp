// Locks on files, between processes and within one: open file description locks of fcntl(2).
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include <parkring/fs/file.hpp>
#include <parkring/task.hpp>

namespace parkring::fs {

enum class lock_kind : std::uint8_t {
  shared,     // any number at once; the process must be allowed to read the file
  exclusive,  // one, and no shared one; the process must be allowed to write to it
};

/// The bytes from `offset` on; `length` 0: to the end, wherever that will be.
struct lock_range {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

/// A lock on a part of a file, until it goes.
///
/// It is advisory: it keeps out who asks for a lock too. Each has an open file of its own, so that
/// two locks exclude each other also when both were asked for on one `file`, and closing that ends
/// none of them.
/// *Owns* the open file that the lock belongs to. *Thread*: any. *Drop*: unlocked in the
/// background, before the runtime ends; on a thread without a runtime at once.
class file_lock {
 public:
  file_lock() noexcept = default;
  file_lock(file_lock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  file_lock& operator=(file_lock&& other) noexcept {
    if (this != &other) {
      drop();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~file_lock() { drop(); }

  /// False when empty, moved from or unlocked.
  [[nodiscard]] explicit operator bool() const noexcept { return fd_ >= 0; }

  /// Unlocks: `co_await std::move(lock).unlock()`, for who must know that others may have it now.
  ///
  /// *Completes when* it is unlocked. *Owns* the lock. *Thread*: inside a task. *Drop*: it is
  /// unlocked all the same. *Errors*: none.
  [[nodiscard]] task<> unlock() &&;

 private:
  friend struct file_lock_maker;
  explicit file_lock(int fd) noexcept : fd_(fd) {}
  void drop() noexcept;

  int fd_ = -1;
};

/// Locks a part of a file, by default all of it, and waits for it as long as it takes.
///
/// Linux can wait for such a lock only with a thread for each. So it is asked for again and again,
/// on a thread that may block, after pauses that grow from 1 ms to 64 ms: it may be had as much
/// later than it was free, and there is no order among those who wait.
/// *Completes when* it is locked. *Owns* a reference to the file until it was asked for once.
/// *Thread*: the file's runtime. *Drop*: no lock is left. *Errors*: `io_error`: EBADF when the file
/// was closed; EACCES when it may not be opened for what the kind needs, however `f` is open;
/// ETXTBSY when it is a program that runs; ENOLCK where the file system has no locks; ENOENT where
/// there is no /proc.
[[nodiscard]] task<file_lock> lock(const file& f, lock_kind kind, lock_range range = {});

/// As `lock`, but never waits: nothing when somebody else has a lock that is in the way.
///
/// *Completes when* it is locked or not. *Owns* a reference to the file. *Thread*: the file's
/// runtime. *Drop*: no lock is left. *Errors*: as `lock`.
[[nodiscard]] task<std::optional<file_lock>> try_lock(const file& f, lock_kind kind,
                                                      lock_range range = {});

}  // namespace parkring::fs
