#include <parkring/runtime.hpp>

#include "exec/core.hpp"

namespace parkring {
namespace {

struct posted final : detail::message {
  std::move_only_function<void()> fn;
  explicit posted(std::move_only_function<void()> f) : fn(std::move(f)) {
    run = [](detail::message& m) noexcept {
      const std::unique_ptr<posted> self(&static_cast<posted&>(m));
      self->fn();
    };
  }
};

}  // namespace

bool remote::post(std::move_only_function<void()> fn) const {
  auto m = std::make_unique<posted>(std::move(fn));
  if (!home_.post(*m)) return false;
  (void)m.release();  // the runtime's thread runs and frees it
  return true;
}

runtime::runtime(const runtime_options& options) : runtime(exec::core::make(options)) {}

runtime::runtime(std::unique_ptr<exec::core> core)
    : core_(std::move(core)), home_(core_->home_of) {}

runtime::~runtime() {
  if (core_->owns_ring()) return;
  PARKRING_CHECK(home_.where->generation() != home_.generation,
                 "destroy a runtime on the thread that made it");
  (void)core_.release();  // a forked child: the ring is the parent's, let it be
}

detail::core_base& runtime::core() const {
  PARKRING_CHECK(home_.is_here(), "use a runtime on the thread that made it; from others, post()");
  return *core_;
}

void runtime::run_until_ended(detail::task_cell& cell) { core_->run_until_ended(cell); }

runtime_counters runtime::counters() const noexcept { return core_->counters(); }

std::string_view runtime::kernel() const noexcept { return core_->driver.ring.served_by().name(); }
std::string_view runtime::kernel_reason() const noexcept { return core_->why_this_kernel; }

}  // namespace parkring
