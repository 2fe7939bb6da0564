// Counted references to an open file, so that it closes after its last operation; and what of a
// file the inline part of a read or write looks at.
//
// The count belongs to the file's home thread. A handle that is dropped elsewhere posts itself
// home (fs/file_state.cpp).
//
// Where the runtime has several workers (`team`), each may make requests on the file: then the
// count is changed by atomic read-modify-writes, and what else changes here by plain atomic stores.
// The rest of the state is its home's, or never changes.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include <parkring/detail/core.hpp>
#include <parkring/detail/home.hpp>
#include <parkring/fs/options.hpp>

namespace parkring::detail {

/// Decides whether the next request is tried inline: every miss doubles the pause, a hit ends it.
/// Workers that share a file may lose each other's changes.
class inline_policy {
 public:
  [[nodiscard]] bool worth_trying() noexcept {
    const std::uint32_t pause = pause_.load(relaxed);
    if (pause == 0) [[likely]]
      return true;
    pause_.store(pause - 1, relaxed);
    return false;
  }
  void hit() noexcept { penalty_.store(0, relaxed); }
  void miss() noexcept {
    const std::uint32_t last = penalty_.load(relaxed);
    const std::uint32_t next = last == 0 ? 1 : (last < longest ? last * 2 : longest);
    penalty_.store(next, relaxed);
    pause_.store(next, relaxed);
  }
  void give_up() noexcept {
    pause_.store(forever, relaxed);
    penalty_.store(forever, relaxed);
  }

 private:
  static constexpr auto relaxed = std::memory_order_relaxed;  // it is a guess
  static constexpr std::uint32_t longest = 256;
  static constexpr std::uint32_t forever = ~std::uint32_t{0};
  std::atomic<std::uint32_t> pause_{0};    // requests still to skip
  std::atomic<std::uint32_t> penalty_{0};  // the length of the last pause
};

struct file_state_base : message {
  std::uint32_t references = 1;
  int descriptor = -1;  // for the system call in place; file_state owns it
  home_ref home_of;
  std::uint64_t team = 0;  // whose workers may use it too; 0: its home alone
  /// As the options say, where the descriptor is one of this process; `never` for what could block
  /// or has no position, once the file was closed, on a simulated machine, and where the runtime's
  /// kernel must see every request (`kernel::inline_io`).
  std::atomic<fs::inline_mode> inline_first{fs::inline_mode::never};
  std::atomic<bool> special{false};  // a stream, or closed: requests take the long way
  inline_policy inline_reads;
  inline_policy inline_writes;
};

struct file_state;

/// The last reference has gone, on the home thread: close the file.
void close_unreferenced(file_state_base& file) noexcept;
/// As above on any thread, of a file with a team.
void close_shared(file_state_base& file) noexcept;

/// Whether `core` may make requests on the file.
[[nodiscard]] inline bool usable_on(const file_state_base& file, const core_base& core) noexcept {
  const home_ref &of_file = file.home_of, &of_core = core.home_of;
  // As one test: it is made at each request.
  const auto differ = (reinterpret_cast<std::uintptr_t>(of_file.where) ^
                       reinterpret_cast<std::uintptr_t>(of_core.where)) |
                      (of_file.generation ^ of_core.generation);
  if (differ == 0) [[likely]]
    return true;
  return file.team != 0 && file.team == core.team;
}
/// The runtime whose requests on the file lock buffers: the one that runs here.
[[nodiscard]] inline const home_ref& locker_for(const file_state_base& file) noexcept {
  // Where none runs this is the home's thread, between two runs.
  if (file.team == 0 || this_thread_core == nullptr) return file.home_of;
  return this_thread_core->home_of;
}

/// Whether this thread runs a worker of the file's team.
[[nodiscard]] inline bool shared_here(const file_state_base& file) noexcept {
  return file.team != 0 && this_thread_core != nullptr && this_thread_core->team == file.team;
}

inline void add_reference(file_state_base& file) noexcept {
  if (file.team == 0) [[likely]]
    ++file.references;
  else
    std::atomic_ref(file.references).fetch_add(1, std::memory_order_relaxed);
}
inline void drop_reference(file_state_base& file) noexcept {
  if (file.team == 0) [[likely]] {
    if (--file.references == 0) [[unlikely]]
      close_unreferenced(file);
    return;
  }
  // acq_rel: the last one to let go sees what the others did.
  if (std::atomic_ref(file.references).fetch_sub(1, std::memory_order_acq_rel) == 1)
    close_shared(file);
}

/// A reference held by an operation. On the file's home thread, or on another worker's.
class file_ref {
 public:
  file_ref() noexcept = default;
  explicit file_ref(file_state_base& file) noexcept : file_(&file) { add_reference(file); }
  file_ref(file_ref&& other) noexcept : file_(std::exchange(other.file_, nullptr)) {}
  file_ref& operator=(file_ref&& other) noexcept {
    if (this != &other) {
      reset();
      file_ = std::exchange(other.file_, nullptr);
    }
    return *this;
  }
  ~file_ref() { reset(); }

  void reset() noexcept {
    if (file_ == nullptr) return;
    drop_reference(*file_);
    file_ = nullptr;
  }
  [[nodiscard]] file_ref share() const noexcept {
    return file_ == nullptr ? file_ref() : file_ref(*file_);
  }
  [[nodiscard]] file_state_base* get() const noexcept { return file_; }
  /// The file; the caller drops the reference.
  [[nodiscard]] file_state_base* release() noexcept { return std::exchange(file_, nullptr); }

 private:
  file_state_base* file_ = nullptr;
};

}  // namespace parkring::detail
