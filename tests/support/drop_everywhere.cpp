#include "support/drop_everywhere.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <coroutine>
#include <ostream>
#include <thread>
#include <utility>

#include <parkring/detail/frame_allocator.hpp>

#include "exec/core.hpp"
#include "support/scratch.hpp"

namespace parkring::testing {

namespace {

using clock = std::chrono::steady_clock;
constexpr auto patience = std::chrono::seconds(10);

}  // namespace

std::ostream& operator<<(std::ostream& out, const inventory& i) {
  return out << "{descriptors " << i.descriptors << ", frames " << i.frames << ", operations "
             << i.operations << ", orphans " << i.orphans << ", tasks " << i.tasks << ", buffers "
             << i.buffers << "}";
}

inventory tightened(inventory expected, const inventory& now) {
  expected.descriptors = std::min(expected.descriptors, now.descriptors);
  return expected;
}

inventory inventory_of_process() {
  inventory i;
  i.descriptors = static_cast<std::size_t>(open_descriptors());
  i.frames = detail::frames_out();
  return i;
}

struct stepped_runtime::scopes {
  exec::core_scope scope;
};

stepped_runtime::stepped_runtime(const runtime_options& options)
    : core_(exec::core::make(options)), scopes_(new scopes{exec::core_scope(*core_)}) {}

stepped_runtime::~stepped_runtime() {
  // The handle first, as in `runtime::run`; but let the teardown meet the task where it waits.
  detail::task_cell* root = root_;
  scopes_.reset();
  if (root != nullptr) ++root->references;
  core_.reset();
  if (root != nullptr) {
    detail::release(*root);  // the reference taken above
    detail::release(*root);  // the handle's
  }
}

void stepped_runtime::start(task<> t) {
  ASSERT_EQ(root_, nullptr) << "finish or abort the task before";
  root_ = &detail::spawn_awaitable_on(*core_, std::source_location::current(), std::move(t));
}

bool stepped_runtime::running() const {
  return root_ != nullptr && root_->state == detail::task_state::live;
}

void stepped_runtime::abort() {
  if (root_ != nullptr) detail::drop_handle(*std::exchange(root_, nullptr), false);
}

void stepped_runtime::finish() {
  const auto give_up = clock::now() + patience;
  while (running() && clock::now() < give_up) step();
  if (running()) {
    abort();
    throw std::runtime_error("the scenario does not come to an end");
  }
  struct forget {
    stepped_runtime& self;
    ~forget() { self.abort(); }
  } const at_end{*this};
  static_cast<detail::task_cell_of<void>&>(*root_).result.take();
}

void stepped_runtime::run(task<> t) {
  start(std::move(t));
  finish();
}

void stepped_runtime::run_messages() { core_->run_messages(); }

void stepped_runtime::resume_one() {
  exec::core& c = *core_;
  detail::waiter* w = c.ready.pop_front();
  c.current = w->task;
  c.budget = detail::core_base::full_budget;
  std::coroutine_handle<>::from_address(w->frame).resume();
  while (c.next_frame != nullptr)
    std::coroutine_handle<>::from_address(std::exchange(c.next_frame, nullptr)).resume();
  c.attention = false;
  c.current = nullptr;
  while (detail::task_cell* cell = c.doomed) {
    c.doomed = std::exchange(cell->next_doomed, nullptr);
    cell->doomed = false;
    detail::abort(*cell);
    detail::release(*cell);
  }
}

// Completions stay unread. Timers and messages from other threads are looked for every while,
// because nobody would interrupt the wait for them.
void stepped_runtime::wait_for_something(bool briefly) {
  const auto give_up = clock::now() + patience;
  auto& driver = core_->driver;
  while (!driver.ring.completions_waiting() && !core_->home_of.where->has_messages() &&
         driver.timers.next_deadline() > driver.now_ns()) {
    const kernel::abi::timespec64 moment{0, 500'000};
    // What another thread reads cannot be waited for in enter.
    const bool reader = driver.reader_if_any() != nullptr;
    driver.ring.enter(reader ? 0 : 1, reader ? nullptr : &moment, kernel::abi::enter_getevents);
    if (reader) std::this_thread::sleep_for(std::chrono::microseconds(20));
    if (briefly || clock::now() > give_up) return;
  }
}

stepped_runtime::stage stepped_runtime::step() {
  run_messages();
  if (done_ == stage::reap || done_ == stage::resume) {
    if (!core_->ready.empty()) {
      resume_one();
      return done_ = stage::resume;
    }
    core_->ops.serve_starved();
    core_->ops.fill_queue();
    core_->driver.ring.enter(0, nullptr, 0);
    return done_ = stage::submit;
  }
  if (done_ == stage::submit) {
    // Once the task has ended there may be nothing left that could happen.
    if (core_->ready.empty()) wait_for_something(!running());
    return done_ = stage::wait;
  }
  core_->driver.park(false);
  return done_ = stage::reap;
}

void stepped_runtime::step_past(stage s) {
  const auto give_up = clock::now() + patience;
  while (step() != s)
    if (clock::now() > give_up) throw std::runtime_error("this stage does not come");
}

inventory stepped_runtime::settle(const inventory& expected) {
  const auto give_up = clock::now() + patience / 2;
  for (;;) {
    // With nothing queued and nothing in flight a step would only wait.
    const inventory now = take_inventory();
    if ((tightened(expected, now) == now && core_->ready.empty()) || clock::now() > give_up)
      return now;
    step();
  }
}

inventory stepped_runtime::take_inventory() const {
  inventory i = inventory_of_process();
  const runtime_counters c = core_->counters();
  i.operations = c.operations;
  i.orphans = c.orphans;
  i.tasks = c.tasks;
  i.buffers = c.buffers;
  return i;
}

runtime_counters stepped_runtime::counters() const { return core_->counters(); }

drop_options every_queue_size() {
  runtime_options normal, two, one, few;
  two.entries = 2;
  one.entries = 1;
  few.entries = 1;
  few.max_operations = 3;
  return {{normal, two, one, few}};
}

namespace {

struct trial {
  std::size_t drops = 0;
  bool good = true;
};

trial drop_at_every_step(const scenario& make, const runtime_options& options) {
  trial t;
  stepped_runtime rt(options);
  inventory start = rt.take_inventory();
  rt.run(make());  // as it is meant to run: it must pass when nobody drops it
  for (;; ++t.drops) {
    rt.start(make());
    for (std::size_t k = 0; k < t.drops && rt.running(); ++k) rt.step();
    const bool ended = !rt.running();
    rt.abort();
    const inventory now = rt.settle(start);
    start = tightened(start, now);
    EXPECT_EQ(now, start) << "dropped after " << t.drops << " steps";
    t.good = now == start && t.drops < 2000;
    if (ended || !t.good) return t;
  }
}

trial tear_down_at_every_step(const scenario& make, const runtime_options& options) {
  trial t;
  inventory start = inventory_of_process();
  for (;; ++t.drops) {
    bool ended;
    {
      stepped_runtime rt(options);
      rt.start(make());
      for (std::size_t k = 0; k < t.drops && rt.running(); ++k) rt.step();
      ended = !rt.running();
    }
    inventory now = inventory_of_process();
    const auto give_up = clock::now() + patience / 2;  // other threads and the kernel may lag
    while (now != tightened(start, now) && clock::now() < give_up) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      now = inventory_of_process();
    }
    start = tightened(start, now);
    EXPECT_EQ(now, start) << "torn down after " << t.drops << " steps";
    t.good = now == start && t.drops < 2000;
    if (ended || !t.good) return t;
  }
}

}  // namespace

std::size_t drop_everywhere(const scenario& make, const drop_options& options) {
  std::size_t drops = 0;
  bool first = true;
  for (const runtime_options& o : options.runtimes) {
    SCOPED_TRACE("entries " + std::to_string(o.entries) + ", operations " +
                 std::to_string(o.max_operations));
    const inventory before = inventory_of_process();
    const trial steps = drop_at_every_step(make, o);
    drops += steps.drops;
    if (!steps.good) break;
    EXPECT_LE(open_descriptors_once_below(static_cast<int>(before.descriptors)),
              static_cast<int>(before.descriptors));
    EXPECT_EQ(inventory_of_process().frames, before.frames);
    if (std::exchange(first, false)) {
      const trial ends = tear_down_at_every_step(make, o);
      drops += ends.drops;
      if (!ends.good) break;
    }
  }
  return drops;
}

}  // namespace parkring::testing
