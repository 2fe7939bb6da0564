// Counted references to an open file, so that it closes after its last operation; and what of a
// file the inline part of a read or write looks at.
//
// The count belongs to the file's home thread. A handle that is dropped elsewhere posts itself
// home (fs/file_state.cpp).
#pragma once

#include <cstdint>
#include <utility>

#include <parkring/detail/home.hpp>
#include <parkring/fs/options.hpp>

namespace parkring::detail {

/// Decides whether the next request is tried inline: every miss doubles the pause, a hit ends it.
class inline_policy {
 public:
  [[nodiscard]] bool worth_trying() noexcept {
    if (pause_ == 0) [[likely]]
      return true;
    --pause_;
    return false;
  }
  void hit() noexcept { penalty_ = 0; }
  void miss() noexcept {
    penalty_ = penalty_ == 0 ? 1 : (penalty_ < longest ? penalty_ * 2 : longest);
    pause_ = penalty_;
  }
  void give_up() noexcept {
    pause_ = forever;
    penalty_ = forever;
  }

 private:
  static constexpr std::uint32_t longest = 256;
  static constexpr std::uint32_t forever = ~std::uint32_t{0};
  std::uint32_t pause_ = 0;    // requests still to skip
  std::uint32_t penalty_ = 0;  // the length of the last pause
};

struct file_state_base : message {
  std::uint32_t references = 1;
  int descriptor = -1;  // for the system call in place; file_state owns it
  home_ref home_of;
  /// As the options say, where the descriptor is one of this process; `never` for what could block
  /// or has no position, once the file was closed, on a simulated machine, and where the runtime's
  /// kernel must see every request (`kernel::inline_io`).
  fs::inline_mode inline_first = fs::inline_mode::never;
  bool special = false;  // a stream, or closed: requests take the long way
  inline_policy inline_reads;
  inline_policy inline_writes;
};

struct file_state;

/// The last reference has gone, on the home thread: close the file.
void close_unreferenced(file_state_base& file) noexcept;

/// A reference held by an operation. On the file's home thread.
class file_ref {
 public:
  file_ref() noexcept = default;
  explicit file_ref(file_state_base& file) noexcept : file_(&file) { ++file.references; }
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
    if (--file_->references == 0) [[unlikely]]
      close_unreferenced(*file_);
    file_ = nullptr;
  }
  [[nodiscard]] file_ref share() const noexcept {
    return file_ == nullptr ? file_ref() : file_ref(*file_);
  }
  [[nodiscard]] file_state_base* get() const noexcept { return file_; }

 private:
  file_state_base* file_ = nullptr;
};

}  // namespace parkring::detail
