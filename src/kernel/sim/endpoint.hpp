// What a descriptor that is no file refers to: an end of a pipe, an event counter, a socket.
//
// Nothing here waits. An operation that would have to answers -EAGAIN; whoever wants to wait puts a
// watcher on the endpoint and tries again when that is told of a change.
//
// Lifetime. Endpoints are counted. Descriptors and requests in flight hold references; when the
// last one goes, the endpoint closes, as a file of Linux does. Pipes and connections know their
// endpoints without holding them.
//
// Telling watchers. An action may do anything: remove itself or other watchers, add some, drop the
// last reference to the endpoint, operate on it. Watchers are told in the order they came; one that
// is added meanwhile is not told this time, because it saw the state that there is now. Whoever
// calls an operation holds a reference to the endpoint meanwhile.
// Thread: the machine's only.
#pragma once

#include <sys/socket.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <utility>

#include <parkring/detail/check.hpp>
#include <parkring/detail/list.hpp>

namespace parkring::kernel::sim {

class socket;
struct pipe;

/// How much there is of what a test expects to be gone at its end.
struct census {
  std::size_t endpoints = 0;
  std::size_t connections = 0;
  std::size_t datagrams = 0;  // on their way, or received and not read
};

/// A thing that is counted, without atomics.
class counted {
 public:
  counted(const counted&) = delete;
  counted& operator=(const counted&) = delete;

  void retain() noexcept { ++references_; }
  void release() noexcept {
    if (references_ == 1) {
      last_reference_goes();  // with that one still there, so that what it calls may add some
      PARKRING_CHECK(references_ == 1, "nobody may keep what is going");
      delete this;
    } else {
      --references_;
    }
  }

 protected:
  counted() noexcept = default;
  virtual ~counted() = default;
  virtual void last_reference_goes() noexcept {}

 private:
  std::size_t references_ = 0;
};

/// A reference to a counted thing, or none.
template <class T>
class ref {
 public:
  ref() noexcept = default;
  explicit ref(T* at) noexcept : at_(at) {
    if (at_ != nullptr) at_->retain();
  }
  ref(const ref& other) noexcept : ref(other.at_) {}
  ref(ref&& other) noexcept : at_(std::exchange(other.at_, nullptr)) {}
  template <class U>
  ref(const ref<U>& other) noexcept : ref(other.get()) {}  // NOLINT: as a pointer does
  ref& operator=(ref other) noexcept {
    std::swap(at_, other.at_);
    return *this;
  }
  ~ref() {
    if (at_ != nullptr) at_->release();
  }

  [[nodiscard]] T* get() const noexcept { return at_; }
  T& operator*() const noexcept { return *at_; }
  T* operator->() const noexcept { return at_; }
  explicit operator bool() const noexcept { return at_ != nullptr; }

 private:
  T* at_ = nullptr;
};

/// Is told when an endpoint's readiness may have changed. Leaves its endpoint when it ends.
class watcher : public detail::list_node {
 public:
  using action = void (*)(watcher&) noexcept;
  explicit watcher(action a) noexcept : action_(a) {}
  ~watcher() { unlink(); }

 private:
  friend class endpoint;
  action action_;  // null: a mark of an endpoint that is telling
};

class endpoint : public counted {
 public:
  /// Counts, or -errno; -EAGAIN when it would wait, -EPIPE without a signal. Parts are filled and
  /// emptied in order.
  [[nodiscard]] virtual long read(const iovec* parts, std::size_t count) noexcept = 0;
  [[nodiscard]] virtual long write(const iovec* parts, std::size_t count) noexcept = 0;
  /// POLLIN, POLLOUT, POLLHUP, POLLERR, POLLRDHUP, as poll(2) gives them now.
  [[nodiscard]] virtual unsigned poll_events() const noexcept = 0;
  /// Null when this is no socket.
  [[nodiscard]] virtual socket* as_socket() noexcept { return nullptr; }
  /// Null when this is no end of a pipe.
  [[nodiscard]] virtual pipe* as_pipe() noexcept { return nullptr; }

  [[nodiscard]] long read(void* data, std::size_t size) noexcept {
    const iovec part{data, size};
    return read(&part, 1);
  }
  [[nodiscard]] long write(const void* data, std::size_t size) noexcept {
    const iovec part{const_cast<void*>(data), size};
    return write(&part, 1);
  }

  void watch(watcher& w) noexcept { watchers_.push_back(w); }

 protected:
  explicit endpoint(census& all) noexcept : all_(all) { ++all_.endpoints; }
  ~endpoint() override { --all_.endpoints; }

  /// Tells the watchers. The endpoint may be gone afterwards, unless the caller holds a reference.
  void notify() noexcept {
    if (!watchers_.empty()) tell();
  }
  [[nodiscard]] census& all() const noexcept { return all_; }

 private:
  void tell() noexcept;

  census& all_;
  detail::intrusive_list<watcher> watchers_;
};

/// The bytes in `parts`; -EINVAL when they are more than a ssize_t counts.
[[nodiscard]] long total_size(const iovec* parts, std::size_t count) noexcept;

}  // namespace parkring::kernel::sim
