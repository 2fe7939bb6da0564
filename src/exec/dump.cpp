// What waits for what is known in pieces: frames note whom they await, and whatever ends a wait
// names the frame to resume. A dump collects the second kind by frame, then goes down the first
// from each task. All on the runtime's thread, between two resumes or inside one.
#include <parkring/dump.hpp>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include <parkring/detail/nested_frames.hpp>
#include <parkring/detail/task_cell.hpp>

#include "exec/code_place.hpp"
#include "exec/core.hpp"
#include "exec/dump.hpp"

namespace parkring::exec {
namespace {

using detail::task_cell;

constexpr std::size_t shown_at_each_end = 16;  // of a long chain
constexpr unsigned deepest = 32;               // combinators inside each other

class collector {
 public:
  collector(core& c, std::size_t numbered)
      : core_(c), numbered_(numbered), now_(c.driver.now_ns()) {}

  runtime_dump all() {
    runtime_dump d;
    d.kernel = core_.driver.ring.served_by().name();
    d.counters = core_.counters();
    core_.tasks.for_each(
        [this](task_cell& t) { numbers_.emplace(&t, numbered_ + numbers_.size() + 1); });
    find_waits(d);
    core_.tasks.for_each([&](task_cell& t) { d.tasks.push_back(task(t)); });
    for (auto& [frame, found] : waits_) {
      if (found.shown) continue;
      if (const auto t = numbers_.find(found.task); t != numbers_.end()) {
        auto& others = d.tasks[t->second - 1 - numbered_].other_waits;
        std::ranges::move(found.waits, std::back_inserter(others));
      }
    }
    return d;
  }

 private:
  struct waits_of_frame {
    const task_cell* task = nullptr;
    std::vector<wait_dump> waits;
    bool shown = false;
  };

  void add(const detail::waiter& w, wait_dump what) {
    auto& of = waits_[w.frame];
    of.task = w.task;
    of.waits.push_back(std::move(what));
  }

  void find_waits(runtime_dump& d) {
    core_.ready.for_each([this](detail::waiter& w) { ready_.insert(w.frame); });
    core_.ops.slab().for_each_live([&](detail::record& r) {
      if (core_.driver.wake.is_watch(r)) return;
      if (r.waiter == nullptr) {
        d.orphans.push_back(operation(r));
        return;
      }
      const detail::waiter& w = r.waiter->chain != nullptr ? *r.waiter->chain->whole : *r.waiter;
      wait_dump wait;
      wait.operation = operation(r);
      wait.what = wait.operation->text;
      add(w, std::move(wait));
    });
    core_.driver.timers.for_each([this](detail::timer_node& t) {
      const std::uint64_t left = t.dated ? (t.ns > now_ ? t.ns - now_ : 0) : t.ns;
      add(t, {.what = "sleep",
              .operation = {},
              .left = std::chrono::nanoseconds(
                  static_cast<std::int64_t>(std::min<std::uint64_t>(left, INT64_MAX))),
              .branches = {}});
    });
    core_.ops.for_each_starved([this](detail::op_waiter& w) {
      add(w,
          {.what = "a free record (max_operations)", .operation = {}, .left = {}, .branches = {}});
    });
    core_.notes.for_each([this](detail::wait_note& n) {
      if (!ready_.contains(n.who->frame))
        add(*n.who, {.what = n.what, .operation = {}, .left = {}, .branches = {}});
    });
    std::unordered_set<const detail::cell_group*> groups;
    core_.tasks.for_each([&](task_cell& t) {
      if (t.joiner != nullptr)
        add(*t.joiner, {.what = "join of task #" + std::to_string(numbers_.at(&t)),
                        .operation = {},
                        .left = {},
                        .branches = {}});
      if (t.group != nullptr && t.group->joiner != nullptr && groups.insert(t.group).second)
        add(*t.group->joiner, {.what = "join of a group of " + std::to_string(t.group->live),
                               .operation = {},
                               .left = {},
                               .branches = {}});
    });
  }

  [[nodiscard]] dump_age age(std::uint32_t born) const {
    dump_age a{.turns = core_.stamp - born, .time = {}};
    if (const auto then = core_.watch.times.ns_of(born, core_.driver.turns))
      a.time = std::chrono::milliseconds(now_ > *then ? (now_ - *then) / 1'000'000u : 0);
    return a;
  }

  [[nodiscard]] operation_dump operation(const detail::record& r) const {
    operation_dump o;
    o.name = r.type->name;
    // What is prepared by whoever acquired it just now may not be complete; what is queued is.
    if (r.type->describe != nullptr)
      r.type->describe(r, o.text);
    else
      o.text = o.name;
    if (r.type->facts != nullptr) {
      detail::request_facts f;
      r.type->facts(r, f);
      o.path = f.path;
      if (f.offset != detail::request_facts::no_offset) o.offset = f.offset;
      o.length = f.length;
    }
    o.age = age(r.born);
    o.in_flight = r.state == detail::record_state::in_flight;
    o.cancelling = r.cancel_wanted != detail::cancel_wish::none;
    return o;
  }

  task_dump task(task_cell& t) {
    task_dump d;
    d.number = numbers_.at(&t);
    d.id = &t;
    for (const task_cell* p = t.parent; p != nullptr && !d.spawned_by; p = p->parent)
      if (const auto known = numbers_.find(p); known != numbers_.end())
        d.spawned_by = known->second;
    d.where = t.where.line();
    if (t.where.code() != nullptr) d.spawned_in = places_.of(t.where.code());
    d.age = age(t.born);
    if (t.child != nullptr) {
      d.chain = chain(t.child, 0);
    } else {  // not begun, or its call runs just now
      d.chain.frames.push_back(
          places_.of(*reinterpret_cast<const void* const*>(t.handle().address())));
    }
    if (core_.current == &t)
      d.chain.status = task_status::running;
    else if (t.start.linked())
      d.chain.status = task_status::ready;
    return d;
  }

  chain_dump chain(std::coroutine_handle<> outermost, unsigned depth) {
    chain_dump d;
    std::vector<std::coroutine_handle<>> frames;
    detail::frames_owner* several = nullptr;
    for (std::coroutine_handle<> at = outermost; at != nullptr;) {
      frames.push_back(at);
      detail::frame_owner* const awaited = detail::link_of(at).awaiting;
      if (awaited == nullptr) break;
      if (awaited->child == nullptr) {
        several = static_cast<detail::frames_owner*>(awaited);
        break;
      }
      at = awaited->child;
    }
    for (std::size_t i = 0; i < frames.size(); ++i) {
      if (i >= shown_at_each_end && frames.size() - i > shown_at_each_end) {
        ++d.left_out;
        continue;
      }
      const code_place& p = places_.of(*static_cast<const void* const*>(frames[i].address()));
      // What the library puts around an awaitable says nothing that the wait does not.
      const bool wrapper = p.function.find("parkring::detail::make_branch<") != p.function.npos ||
                           p.function.find("parkring::detail::await_") != p.function.npos;
      if (!wrapper) d.frames.push_back(p);
    }
    const void* const innermost = frames.back().address();
    auto found = waits_.find(innermost);
    if (found != waits_.end()) {
      found->second.shown = true;
      d.waits = found->second.waits;
    }
    if (several != nullptr)
      combine(d, *several, depth);
    else if (d.waits.size() == 2)
      name_timeout(d.waits);
    if (frames.back().done())
      d.status = task_status::ended;
    else if (ready_.contains(innermost))
      d.status = task_status::ready;
    return d;
  }

  // A combinator, and its timer if it has one.
  void combine(chain_dump& d, detail::frames_owner& several, unsigned depth) {
    wait_dump all;
    all.what = several.kind->name;
    for (auto& w : d.waits)
      if (w.left) all.left = w.left;
    if (depth < deepest) {
      struct seeing final : detail::frame_visitor {
        collector& self;
        wait_dump& into;
        unsigned depth;
        seeing(collector& c, wait_dump& w, unsigned n) : self(c), into(w), depth(n) {}
        void see(std::coroutine_handle<> frame) override {
          if (frame != nullptr)
            into.branches.push_back(self.chain(frame, depth));
          else
            into.branches.emplace_back().status = task_status::ended;
        }
      } visitor(*this, all, depth + 1);
      several.kind->visit(several, visitor);
    }
    d.waits.clear();
    d.waits.push_back(std::move(all));
  }

  // A timeout without a coroutine in between: two things wake one frame.
  static void name_timeout(std::vector<wait_dump>& waits) {
    for (auto& w : waits)
      if (w.left) w.what = "timeout";
    if (waits.front().left) std::swap(waits.front(), waits.back());
  }

  core& core_;
  const std::size_t numbered_;  // tasks that have numbers already, of other workers
  const std::uint64_t now_;
  code_places places_;
  std::unordered_map<const task_cell*, std::size_t> numbers_;
  std::unordered_map<const void*, waits_of_frame> waits_;
  std::unordered_set<const void*> ready_;
};

}  // namespace

runtime_dump take_dump(core& c, std::size_t numbered) { return collector(c, numbered).all(); }

}  // namespace parkring::exec
