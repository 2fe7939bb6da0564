#include <parkring/hosted.hpp>

#include <cerrno>
#include <cstdint>
#include <system_error>

#include "exec/core.hpp"

namespace parkring {

namespace detail {

inside_runtime::inside_runtime(core_base& core) noexcept
    : core_(core), core_before_(this_thread_core), pool_before_(buf::this_thread_pool) {
  this_thread_core = &core;
  buf::this_thread_pool = &static_cast<exec::core&>(core_).buffers.pool();
}

inside_runtime::~inside_runtime() {
  if (this_thread_core == nullptr) return;  // a forked child has no runtime
  this_thread_core = core_before_;
  buf::this_thread_pool = static_cast<buf::pool*>(pool_before_);
}

}  // namespace detail

namespace exec {

int core::make_hosted() {
  const int fd = driver.wake.share_with_host();
  if (fd < 0)
    throw std::system_error(-fd, std::generic_category(),
                            fd == -EOPNOTSUPP
                                ? "hosted: a simulated world has no loops that could be the host"
                                : "hosted: no descriptor that a host could watch");
  return fd;
}

}  // namespace exec

namespace {

// The host's loop is where such a runtime sleeps. What the environment says is not meant for it.
runtime_options without_reader(runtime_options options) {
  if (options.reader.value_or(completion_reader::park_layer) != completion_reader::park_layer)
    throw std::system_error(EINVAL, std::generic_category(),
                            "hosted: the host's loop is where this runtime sleeps; leave "
                            "runtime_options::reader empty");
  options.reader = completion_reader::park_layer;
  return options;
}

}  // namespace

hosted::hosted(const runtime_options& options)
    : rt_(exec::core::make(without_reader(options), {.hosted = true})),
      descriptor_(rt_.core_->make_hosted()) {
  (void)turn();  // arms what wakes the host
}

hosted::~hosted() {
  while (detail::host_link* link = hosts_.pop_front()) link->runtime_ends();
}

std::optional<std::chrono::steady_clock::time_point> hosted::next_deadline() const noexcept {
  const std::uint64_t ns = rt_.core_->driver.timers.next_deadline();
  // What comes after the last time point that the clock can tell never comes.
  if (ns > INT64_MAX) return std::nullopt;
  return std::chrono::steady_clock::time_point(
      std::chrono::nanoseconds(static_cast<std::int64_t>(ns)));
}

bool hosted::turn() { return rt_.core_->turn_hosted(); }
bool hosted::has_work() const noexcept { return rt_.core_->has_work(); }
bool hosted::has_tasks() const noexcept { return !rt_.core_->tasks.empty(); }
void hosted::tell() noexcept {
  rt_.core_->tell_host();
  hosts_.for_each([](detail::host_link& link) { link.work_came(); });
}

}  // namespace parkring
