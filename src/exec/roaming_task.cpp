#include <parkring/detail/roaming_task.hpp>

#include <utility>

#include "exec/core.hpp"

namespace parkring::detail {

namespace {

// False: it has ended meanwhile.
bool stop_first(task_cell& cell) noexcept {
  ++cell.references;  // what is told may do anything
  request_stop(cell);
  const bool lives = cell.state == task_state::live;
  release(cell);
  return lives;
}

void serve_wishes(roaming_task& t) noexcept {
  const std::uint32_t wishes = t.place.arrived();
  task_cell& cell = t.cell;
  if (cell.home_of.is_here() && cell.state == task_state::live) {
    if ((wishes & whereabouts::abort) != 0)
      abort(cell);
    else if ((wishes & whereabouts::stop) != 0)
      (void)stop_first(cell);
  }
  t.let_go();
}

}  // namespace

void wishes_arrived(message& m) noexcept {
  auto& cell = static_cast<task_cell&>(m);
  serve_wishes(*cell.type->roaming(cell));
}

void roaming_task::ask(std::uint32_t wish) noexcept {
  if (!place.ask(wish)) return;
  keep();                       // for the message
  const home_ref to = at_home;  // it stays there until the message has come
  if (to.is_here()) return serve_wishes(*this);
  // When the runtime is gone it has destroyed the task.
  if (!to.post(cell)) let_go();
}

void roaming_task::drop_handle(bool detach) noexcept {
  if (!detach)
    ask(whereabouts::abort);
  else if (place.detach() && cell.failed)
    print_failure(cell);
  let_go();
}

void roaming_task::tell_of_end() noexcept {
  if (place.end() && cell.failed) report_failure(cell);
  over.set();
}

void launch_anywhere(core_base& base, roaming_task& t) noexcept {
  auto& core = static_cast<exec::core&>(base);
  if (core.works_as != nullptr && !core.closing)
    core.works_as->add(t);
  else
    core.make_ready_here(t);
}

void launch_anywhere(const home_ref& home, exec::worker_team* team, roaming_task& t) noexcept {
  if (home.is_here() && (team == nullptr || this_thread_core == home.core()))
    return launch_anywhere(*home.core(), t);
  if (team != nullptr) {
    if (home.is_open() && team->inject(t)) return;  // in a forked child there is no team
  } else {
    t.at_home = home;  // read by the message; it is not placed, so nobody else does
    t.cell.run = [](message& m) noexcept {
      auto& cell = static_cast<task_cell&>(m);
      roaming_task& of = *cell.type->roaming(cell);
      cell.run = &wishes_arrived;
      of.at_home.is_here() ? exec::core_at(of.at_home).make_ready_here(of) : end_unplaced(of);
    };
    if (home.post(t.cell)) return;
  }
  end_unplaced(t);
}

void end_unplaced(roaming_task& t) noexcept {
  t.cell.state = task_state::aborted;
  t.cell.type->end_call(t.cell);
  release(t.cell);
}

void ready_anywhere(core_base& core, waiter& w) noexcept {
  static_cast<exec::core&>(core).ready_anywhere(w);
}

}  // namespace parkring::detail

unsigned parkring::this_task::worker() noexcept {
  const auto* core = static_cast<const exec::core*>(detail::this_thread_core);
  return core == nullptr || core->works_as == nullptr ? 0 : core->works_as->number;
}

namespace parkring::exec {

void core::join_team(worker_team& t, worker& as) noexcept {
  in_team = &t;
  team = t.id();
  works_as = &as;
  as.home = home_of;
}

void core::leave_team() noexcept {
  in_team = nullptr;
  team = 0;
  works_as = nullptr;
}

detail::waiter* core::place(detail::roaming_task& t) noexcept {
  detail::task_cell& cell = t.cell;
  cell.home_of = home_of;
  cell.born = stamp;
  t.at_home = home_of;
  tasks.push_back(cell);
  const std::uint32_t wishes = t.place.place();
  if (closing || (wishes & detail::whereabouts::abort) != 0) {
    detail::abort(cell);
    return nullptr;
  }
  if ((wishes & detail::whereabouts::stop) != 0 && !detail::stop_first(cell)) return nullptr;
  return t.next_step;
}

// A run that is over takes no more: they would rest here until the next one.
detail::waiter* core::next_placed(const detail::task_cell* target) noexcept {
  if (target != nullptr && target->state != detail::task_state::live) return nullptr;
  current = nullptr;  // what ran last has suspended: nothing that ends here is within it
  for (;;) {
    detail::roaming_task* const t = works_as->take();
    more_to_place = t != nullptr && works_as->has_several();
    if (t == nullptr) return nullptr;
    if (detail::waiter* w = place(*t)) return w;
  }
}

namespace {

// Whether all that the running task has, and all that it waits for, is its chain of coroutines,
// which ends in the one that waits with `w`.
bool may_leave(const detail::waiter& w) noexcept {
  const detail::task_cell& cell = *w.task;
  if (cell.type->roaming == nullptr || cell.references != 1 || cell.context != nullptr ||
      cell.pinned)
    return false;
  for (std::coroutine_handle<> at = cell.child; at != nullptr;) {
    if (at.address() == w.frame) return true;
    const detail::frame_owner* awaited = detail::link_of(at).awaiting;
    at = awaited == nullptr ? nullptr : awaited->child;
  }
  return false;
}

}  // namespace

void core::ready_anywhere(detail::waiter& w) noexcept {
  if (works_as == nullptr || !works_as->others_idle() || !has_other_work() || !may_leave(w))
    return ready.push_back(w);
  // Not before the coroutine has suspended: whoever takes it resumes it at once.
  leaving_ = &w;
  attention = true;
}

void core::let_go_on_elsewhere() noexcept {
  detail::waiter& w = *std::exchange(leaving_, nullptr);
  detail::task_cell& cell = *w.task;
  detail::roaming_task& t = *cell.type->roaming(cell);
  if (cell.doomed || closing || !t.place.leave()) return ready.push_back(w);
  cell.live_task::unlink();
  t.next_step = &w;
  ++works_as->moved;
  works_as->share(t);
}

void core::work_until_stopped() noexcept {
  {
    const core_scope scope(*this);
    running_ = true;
    stack_base = detail::stack_pointer();
    while (!in_team->stopping()) one_team_turn();
    running_ = false;
  }
  end_team();
}

void core::end_team() noexcept {
  const core_scope scope(*this);
  closing = true;
  while (detail::roaming_task* t = works_as->take_last()) (void)place(*t);
}

void core::make_ready_here(detail::roaming_task& t) noexcept {
  if (detail::waiter* w = place(t)) ready.push_back(*w);
}

}  // namespace parkring::exec
