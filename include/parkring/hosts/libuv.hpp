// A libuv loop as the host of a runtime. Needs libuv's headers; link parkring::libuv.
#pragma once

#include <uv.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <system_error>
#include <utility>

#include <parkring/hosted.hpp>

namespace parkring::hosts {

/// Gives a runtime its turns in a libuv loop.
///
/// Callbacks of the loop may touch what tasks wait for: it looks before each sleep. It keeps uv_run
/// from returning as long as the runtime has tasks. *Owns* its handles, which it closes when it or
/// the runtime goes; as with all handles, the loop must run on until that is done before
/// uv_loop_close. *Thread*: the runtime's and the loop's.
class libuv : detail::host_link {
 public:
  libuv(uv_loop_t* loop, hosted& rt) : handles_(new handles(rt)) {
    if (const int error = handles_->begin(loop); error != 0)
      throw std::system_error(-error, std::generic_category(), "hosts::libuv");
    rt.connect(*this);
  }
  libuv(const libuv&) = delete;
  libuv& operator=(const libuv&) = delete;
  ~libuv() override { stop(); }

  /// Gives the runtime no more turns.
  void stop() noexcept {
    if (handles_ != nullptr) std::exchange(handles_, nullptr)->close();
  }

 private:
  // Lives until libuv has closed the last of them.
  struct handles {
    explicit handles(hosted& r) noexcept : rt(&r) {}

    // 0 or libuv's error; then it is gone, or will be.
    int begin(uv_loop_t* loop) {
      poll.data = prepare.data = idle.data = timer.data = this;
      if (const int error = uv_poll_init(loop, &poll, rt->descriptor()); error != 0) {
        delete this;
        return error;
      }
      uv_prepare_init(loop, &prepare);
      uv_idle_init(loop, &idle);
      uv_timer_init(loop, &timer);
      open = 4;
      const int error = uv_poll_start(&poll, UV_READABLE, [](uv_poll_t* h, int, int) {
        of(h).signalled = true;  // the turn comes before the loop sleeps again
      });
      if (error != 0) {
        close();
        return error;
      }
      uv_prepare_start(&prepare, [](uv_prepare_t* h) { of(h).before_sleep(); });
      keep_loop(true);
      return 0;
    }

    void before_sleep() {
      if (signalled || more || rt->has_work() || due()) {
        signalled = false;
        more = rt->turn();
        if (rt == nullptr) return;  // stopped by a task
      }
      if (more)  // so the loop does not sleep
        uv_idle_start(&idle, [](uv_idle_t*) {});
      else
        uv_idle_stop(&idle);
      if (const auto deadline = rt->next_deadline(); deadline && !more) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(
            *deadline - std::chrono::steady_clock::now());
        uv_timer_start(
            &timer, [](uv_timer_t*) {},
            static_cast<std::uint64_t>(std::max<std::int64_t>(left.count(), 0)), 0);
      } else {
        uv_timer_stop(&timer);
      }
      keep_loop(rt->has_tasks());
    }
    [[nodiscard]] bool due() const noexcept {
      const auto deadline = rt->next_deadline();
      return deadline && *deadline <= std::chrono::steady_clock::now();
    }

    void keep_loop(bool keep) noexcept {
      each([keep](uv_handle_t* h) { keep ? uv_ref(h) : uv_unref(h); });
    }
    void close() noexcept {
      rt = nullptr;
      each([](uv_handle_t* h) {
        uv_close(h, [](uv_handle_t* closed) {
          auto* const all = static_cast<handles*>(closed->data);
          if (--all->open == 0) delete all;
        });
      });
    }

    template <class Handle>
    static handles& of(Handle* h) noexcept {
      return *static_cast<handles*>(h->data);
    }
    template <class F>
    void each(F f) noexcept {
      f(reinterpret_cast<uv_handle_t*>(&poll));
      f(reinterpret_cast<uv_handle_t*>(&prepare));
      f(reinterpret_cast<uv_handle_t*>(&idle));
      f(reinterpret_cast<uv_handle_t*>(&timer));
    }

    hosted* rt;  // null: closing
    bool signalled = true;
    bool more = false;
    int open = 0;
    uv_poll_t poll;
    uv_prepare_t prepare;
    uv_idle_t idle;
    uv_timer_t timer;
  };

  void runtime_ends() noexcept override { stop(); }
  // The loop may have nothing else: it must come as far as before its next sleep, which looks.
  void work_came() noexcept override {
    if (handles_ != nullptr) handles_->keep_loop(true);
  }

  handles* handles_;  // null: stopped
};

}  // namespace parkring::hosts
