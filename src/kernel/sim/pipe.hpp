// A pipe, as pipe(7) tells: 65,536 bytes, writes of up to PIPE_BUF bytes whole or not at all.
//
// The two ends share it; it goes with the second of them. A named one (mkfifo(3)) is known to its
// machine as well, so its ends come and go: a descriptor that is opened on an end which is open
// already shares that end. Opened to read and write it has an endpoint that forwards to both ends.
#pragma once

#include "kernel/sim/byte_queue.hpp"
#include "kernel/sim/endpoint.hpp"

namespace parkring::kernel::sim {

class pipe_reader;
class pipe_writer;

struct pipe : counted {
  static constexpr std::size_t capacity = 65'536;
  static constexpr std::size_t atomic_size = 4096;  // PIPE_BUF

  byte_queue bytes;
  pipe_reader* reader = nullptr;  // null when that end is closed
  pipe_writer* writer = nullptr;

  [[nodiscard]] bool both_ends_open() const noexcept {
    return reader != nullptr && writer != nullptr;
  }
  [[nodiscard]] std::size_t room() const noexcept { return capacity - bytes.size(); }
};

class pipe_reader final : public endpoint {
 public:
  pipe_reader(census& all, ref<pipe> p) noexcept;
  using endpoint::read;
  using endpoint::write;
  [[nodiscard]] long read(const iovec* parts, std::size_t count) noexcept override;
  [[nodiscard]] long write(const iovec*, std::size_t) noexcept override { return -EBADF; }
  [[nodiscard]] unsigned poll_events() const noexcept override;
  [[nodiscard]] pipe* as_pipe() noexcept override { return pipe_.get(); }

 private:
  friend class pipe_writer;
  void last_reference_goes() noexcept override;
  ref<pipe> pipe_;
};

class pipe_writer final : public endpoint {
 public:
  pipe_writer(census& all, ref<pipe> p) noexcept;
  using endpoint::read;
  using endpoint::write;
  [[nodiscard]] long read(const iovec*, std::size_t) noexcept override { return -EBADF; }
  [[nodiscard]] long write(const iovec* parts, std::size_t count) noexcept override;
  [[nodiscard]] unsigned poll_events() const noexcept override;
  [[nodiscard]] pipe* as_pipe() noexcept override { return pipe_.get(); }

 private:
  friend class pipe_reader;
  void last_reference_goes() noexcept override;
  ref<pipe> pipe_;
};

// Both ends at once, as open(2) with O_RDWR gives.
class pipe_both_ends final : public endpoint {
 public:
  pipe_both_ends(census& all, ref<pipe_reader> reader, ref<pipe_writer> writer) noexcept;
  using endpoint::read;
  using endpoint::write;
  [[nodiscard]] long read(const iovec* parts, std::size_t count) noexcept override {
    return reader_->read(parts, count);
  }
  [[nodiscard]] long write(const iovec* parts, std::size_t count) noexcept override {
    return writer_->write(parts, count);
  }
  [[nodiscard]] unsigned poll_events() const noexcept override {
    return reader_->poll_events() | writer_->poll_events();
  }
  [[nodiscard]] pipe* as_pipe() noexcept override { return reader_->as_pipe(); }

 private:
  // Passes on what an end tells.
  struct relay : watcher {
    explicit relay(pipe_both_ends& o) noexcept : watcher(&act), of(o) {}
    static void act(watcher& w) noexcept { static_cast<relay&>(w).of.notify(); }
    pipe_both_ends& of;
  };
  ref<pipe_reader> reader_;
  ref<pipe_writer> writer_;
  relay from_reader_{*this}, from_writer_{*this};  // end before the ends do
};

struct pipe_ends {
  ref<pipe_reader> reader;
  ref<pipe_writer> writer;
};

[[nodiscard]] pipe_ends make_pipe(census& all);

/// One more opening of it; `access` is O_RDONLY, O_WRONLY or O_RDWR.
[[nodiscard]] ref<endpoint> open_pipe(census& all, const ref<pipe>& p, int access);

}  // namespace parkring::kernel::sim
