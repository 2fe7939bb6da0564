// Counted references to an open file, so that it closes after its last operation.
//
// The count belongs to the file's home thread. A handle that is dropped elsewhere posts itself
// home (fs/file_state.cpp).
#pragma once

#include <cstdint>
#include <utility>

#include <parkring/detail/home.hpp>

namespace parkring::detail {

struct file_state_base : message {
  std::uint32_t references = 1;
  home_ref home_of;
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
    if (--file_->references == 0) [[unlikely]] close_unreferenced(*file_);
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
