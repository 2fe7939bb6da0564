// Boost.Asio as the host of a runtime. Needs Boost's headers; link parkring::asio.
#pragma once

#include <fcntl.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <chrono>
#include <memory>
#include <optional>
#include <system_error>

#include <parkring/hosted.hpp>

namespace parkring::hosts {

/// Gives a runtime its turns in an `io_context`, which one thread runs: the runtime's.
///
/// Enter the runtime from handlers by `hosted::call`, `spawn` or `post`. It keeps `io_context::run`
/// from returning until it is stopped, destroyed, or the runtime has gone. *Owns* nothing of
/// either; destroy it before the `io_context`, as every I/O object.
class asio : detail::host_link {
 public:
  asio(boost::asio::io_context& io, hosted& rt) : state_(std::make_shared<state>(io, rt)) {
    rt.connect(*this);
    state_->watch();
    state_->give_turn();
  }
  asio(const asio&) = delete;
  asio& operator=(const asio&) = delete;
  ~asio() override { stop(); }

  /// Gives the runtime no more turns.
  void stop() noexcept { state_->end(); }

 private:
  // Handlers that are on their way when all ends keep it, and do nothing.
  struct state : std::enable_shared_from_this<state> {
    state(boost::asio::io_context& io, hosted& r) : context(io), descriptor(io), timer(io), rt(&r) {
      // A duplicate, since Asio closes what it has.
      const int fd = ::fcntl(r.descriptor(), F_DUPFD_CLOEXEC, 0);
      if (fd < 0) throw std::system_error(errno, std::generic_category(), "hosts::asio: dup");
      descriptor.assign(fd);
    }

    void watch() {
      descriptor.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                            [self = shared_from_this()](const boost::system::error_code& failed) {
                              if (failed || self->rt == nullptr) return;
                              self->give_turn();
                              if (self->rt != nullptr) self->watch();
                            });
    }
    void give_turn() {
      const bool more = rt->turn();
      if (rt == nullptr) return;  // stopped by a task
      if (more) {
        if (posted) return;
        posted = true;
        boost::asio::post(context, [self = shared_from_this()] {
          self->posted = false;
          if (self->rt != nullptr) self->give_turn();
        });
        return;
      }
      const auto deadline = rt->next_deadline();
      if (deadline == awaited) return;
      awaited = deadline;
      if (!deadline) return (void)timer.cancel();
      timer.expires_at(*deadline);
      timer.async_wait([self = shared_from_this()](const boost::system::error_code& failed) {
        if (failed || self->rt == nullptr) return;
        self->awaited.reset();
        self->give_turn();
      });
    }
    void end() noexcept {
      rt = nullptr;
      boost::system::error_code ignored;
      descriptor.close(ignored);
      try {
        timer.cancel();
      } catch (...) {  // then it fires, and does nothing
      }
    }

    boost::asio::io_context& context;
    boost::asio::posix::stream_descriptor descriptor;
    boost::asio::steady_timer timer;
    hosted* rt;
    std::optional<std::chrono::steady_clock::time_point> awaited;  // what the timer waits for
    bool posted = false;
  };

  void runtime_ends() noexcept override { stop(); }

  std::shared_ptr<state> state_;
};

}  // namespace parkring::hosts
