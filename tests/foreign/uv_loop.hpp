// A libuv loop with a timer and a socket that make progress.
#pragma once

#include <uv.h>

#include "foreign/progress.hpp"

namespace parkring::testing {

class uv_activity {
 public:
  uv_activity() { EXPECT_EQ(uv_loop_init(&loop_), 0); }
  uv_activity(const uv_activity&) = delete;
  uv_activity& operator=(const uv_activity&) = delete;
  ~uv_activity() {
    stop();
    uv_run(&loop_, UV_RUN_DEFAULT);  // the close callbacks
    EXPECT_EQ(uv_loop_close(&loop_), 0);
  }

  uv_loop_t* loop() { return &loop_; }

  void serve(side_by_side& s) {
    timer_.data = poll_.data = &s;
    uv_timer_init(&loop_, &timer_);
    uv_timer_start(
        &timer_, [](uv_timer_t* t) { ++static_cast<side_by_side*>(t->data)->made.timers; }, 1, 1);
    uv_poll_init(&loop_, &poll_, s.sockets.theirs());
    uv_poll_start(&poll_, UV_READABLE, [](uv_poll_t* p, int, int) {
      auto& both = *static_cast<side_by_side*>(p->data);
      both.sockets.answer(both.made);
    });
    serving_ = true;
  }
  void stop() {
    if (!std::exchange(serving_, false)) return;
    uv_close(reinterpret_cast<uv_handle_t*>(&timer_), nullptr);
    uv_close(reinterpret_cast<uv_handle_t*>(&poll_), nullptr);
  }

 private:
  uv_loop_t loop_;
  uv_timer_t timer_;
  uv_poll_t poll_;
  bool serving_ = false;
};

}  // namespace parkring::testing
