// A GLib main context with a timer and a socket that make progress.
#pragma once

#include <glib-unix.h>
#include <glib.h>

#include "foreign/progress.hpp"

namespace parkring::testing {

class glib_activity {
 public:
  glib_activity() : context_(g_main_context_new()) {}
  glib_activity(const glib_activity&) = delete;
  glib_activity& operator=(const glib_activity&) = delete;
  ~glib_activity() {
    stop();
    g_main_context_unref(context_);
  }

  GMainContext* context() { return context_; }

  GSource* attach(GSource* s, GSourceFunc f, gpointer data) {
    g_source_set_callback(s, f, data, nullptr);
    g_source_attach(s, context_);
    return s;
  }
  void serve(side_by_side& s) {
    timer_ = attach(
        g_timeout_source_new(1),
        [](gpointer p) -> gboolean {
          ++static_cast<side_by_side*>(p)->made.timers;
          return G_SOURCE_CONTINUE;
        },
        &s);
    socket_ = g_unix_fd_source_new(s.sockets.theirs(), G_IO_IN);
    const GUnixFDSourceFunc answer = [](gint, GIOCondition, gpointer p) -> gboolean {
      auto& both = *static_cast<side_by_side*>(p);
      both.sockets.answer(both.made);
      return G_SOURCE_CONTINUE;
    };
    attach(socket_, reinterpret_cast<GSourceFunc>(reinterpret_cast<void (*)()>(answer)), &s);
  }
  void stop() {
    for (GSource** s : {&timer_, &socket_}) {
      if (*s == nullptr) continue;
      g_source_destroy(*s);
      g_source_unref(*s);
      *s = nullptr;
    }
  }

 private:
  GMainContext* context_;
  GSource* timer_ = nullptr;
  GSource* socket_ = nullptr;
};

}  // namespace parkring::testing
