// A GLib main context as the host of a runtime. Needs GLib's headers; link parkring::glib.
#pragma once

#include <glib.h>

#include <chrono>
#include <cstdint>
#include <utility>

#include <parkring/hosted.hpp>

namespace parkring::hosts {

/// Gives a runtime its turns as a source of a GMainContext, by default the default one.
///
/// Callbacks of other sources may touch what tasks wait for: it looks before each sleep. *Owns* its
/// source, which leaves the context when it or the runtime goes. *Thread*: the runtime's, which
/// runs the context.
class glib : detail::host_link {
 public:
  explicit glib(hosted& rt, GMainContext* context = nullptr) {
    static GSourceFuncs functions = {&prepare, &check, &dispatch, nullptr, nullptr, nullptr};
    source_ = reinterpret_cast<source*>(g_source_new(&functions, sizeof(source)));
    source_->rt = &rt;
    source_->tag = g_source_add_unix_fd(&source_->base, rt.descriptor(), G_IO_IN);
    source_->more = true;
    g_source_set_name(&source_->base, "parkring");
    g_source_attach(&source_->base, context);
    rt.connect(*this);
  }
  glib(const glib&) = delete;
  glib& operator=(const glib&) = delete;
  ~glib() override { stop(); }

  /// Gives the runtime no more turns.
  void stop() noexcept {
    if (source_ == nullptr) return;
    source* const s = std::exchange(source_, nullptr);
    s->rt = nullptr;
    g_source_destroy(&s->base);
    g_source_unref(&s->base);
  }

 private:
  struct source {  // made by GLib, without a constructor
    GSource base;
    hosted* rt;
    gpointer tag;
    gboolean more;
  };
  static source& of(GSource* s) noexcept { return *reinterpret_cast<source*>(s); }

  static gboolean prepare(GSource* base, gint* timeout) noexcept {
    *timeout = -1;  // the deadline is the source's ready time
    return of(base).more != 0 || of(base).rt->has_work();
  }
  static gboolean check(GSource* base) noexcept {
    return of(base).more != 0 || g_source_query_unix_fd(base, of(base).tag) != 0 ||
           of(base).rt->has_work();
  }
  static gboolean dispatch(GSource* base, GSourceFunc, gpointer) {
    source& s = of(base);
    s.more = s.rt->turn();
    if (s.rt == nullptr) return G_SOURCE_REMOVE;  // stopped by a task
    const auto deadline = s.rt->next_deadline();
    using microseconds = std::chrono::duration<gint64, std::micro>;
    g_source_set_ready_time(
        base,
        deadline ? std::chrono::ceil<microseconds>(deadline->time_since_epoch()).count() : -1);
    return G_SOURCE_CONTINUE;
  }

  void runtime_ends() noexcept override { stop(); }

  source* source_;  // null: stopped
};

}  // namespace parkring::hosts
