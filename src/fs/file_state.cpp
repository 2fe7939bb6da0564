#include "fs/file_state.hpp"

#include "exec/core.hpp"
#include "fs/file_table.hpp"
#include "kernel/abi.hpp"

// Closing. Both halves, the slot and the descriptor, go as requests that ride with the next turn,
// so that dropping a file costs no system call of its own and never blocks the thread.

namespace parkring::detail {
namespace {

namespace abi = kernel::abi;

struct free_slot_payload {
  fs::file_table* table;
  int slot;
};

bool never(const record&) noexcept { return false; }

// Whether its home has nothing to do with the file's end. By who had the last reference: what the
// home wrote before it let go of its own is seen.
bool closes_anywhere(const file_state& f) noexcept {
  return f.team != 0 && f.slot < 0 && !f.closer_at_home;
}

const record_type free_slot_type = {
    .name = "unregister_file",
    .prepare =
        [](record& r, abi::sqe& e) noexcept {
          e.opcode = abi::op_close;
          e.file_index = static_cast<std::uint32_t>(r.as<free_slot_payload>().slot) + 1;
        },
    .complete =
        [](record& r, op_waiter*, std::int32_t res, std::uint32_t, bool) noexcept {
          const auto& p = r.as<free_slot_payload>();
          if (res >= 0) p.table->free_slot(p.slot);
          return after_completion::finish;
        },
    .destroy = nullptr,
    .cancel_when_dropped = &never,
};

}  // namespace

const record_type close_type = {
    .name = "close",
    .prepare =
        [](record& r, abi::sqe& e) noexcept {
          e.opcode = abi::op_close;
          e.fd = r.as<close_payload>().fd.get();
        },
    .complete =
        [](record& r, op_waiter*, std::int32_t res, std::uint32_t, bool) noexcept {
          // Linux releases the number whatever close says, but a request that was cancelled before
          // it ran has not closed.
          auto& p = r.as<close_payload>();
          if (res != -ECANCELED) (void)p.fd.release();
          if (p.tell != nullptr) std::exchange(p.tell, nullptr)->tell(res);
          return after_completion::finish;
        },
    .destroy =
        [](record& r) noexcept {
          auto& p = r.as<close_payload>();
          if (p.tell != nullptr) p.tell->tell(-ECANCELED);
          p.~close_payload();
        },
    .cancel_when_dropped = &never,
};

void close_later(base::owned_fd fd) noexcept {
  if (this_thread_core == nullptr) return;
  auto& ops = static_cast<exec::core&>(*this_thread_core).ops;
  if (record* r = ops.acquire(close_type)) {
    r->emplace<close_payload>(std::move(fd));
    ops.submit(*r, nullptr);
  }
}

void close_unreferenced(file_state_base& base) noexcept {
  const std::unique_ptr<file_state> file(&state_of(base));
  far_close* const far = std::exchange(file->far_closer, nullptr);
  core_base* const here = this_thread_core;
  const bool by_another = !file->home_of.is_here() && closes_anywhere(*file) && here != nullptr &&
                          here->team == file->team;
  if (!file->home_of.is_here() && !by_another) {  // the runtime is gone: just close the descriptor
    if (far != nullptr) far->tell(0);
    return;
  }
  auto& core = by_another ? static_cast<exec::core&>(*here) : exec::core_at(file->home_of);
  auto* closer = by_another ? nullptr : static_cast<op_waiter*>(file->closer.pop_front());
  if (file->slot >= 0) {
    auto& table = core.service_of<fs::file_table>();
    if (record* r = core.ops.acquire(free_slot_type)) {
      r->emplace<free_slot_payload>(&table, file->slot);
      core.ops.submit(*r, nullptr);
    } else {
      // Out of records: do it now. A slot that stays filled would keep the file open.
      int none = -1;
      const abi::rsrc_update update{.offset = static_cast<std::uint32_t>(file->slot),
                                    .resv = 0,
                                    .data = reinterpret_cast<std::uint64_t>(&none)};
      core.driver.ring.reg(abi::register_files_update, &update, 1);
      table.free_slot(file->slot);
    }
  }
  if (record* r = core.ops.acquire(close_type)) {
    r->emplace<close_payload>(std::move(file->fd), far);
    core.ops.submit(*r, closer);
    return;
  }
  const int fd = file->fd.release();
  const int answer = core.driver.ring.served_by().close(fd);
  if (far != nullptr) far->tell(answer);
  if (closer != nullptr) {
    closer->answer = answer;
    core.ready.push_back(*closer);
  }
}

void close_shared(file_state_base& base) noexcept {
  if (base.home_of.is_here() || (closes_anywhere(state_of(base)) && this_thread_core != nullptr &&
                                 this_thread_core->team == base.team))
    return close_unreferenced(base);
  base.run = [](message& m) noexcept { close_unreferenced(static_cast<file_state_base&>(m)); };
  if (!base.home_of.post(base)) close_unreferenced(base);
}

far_close::far_close(op_waiter& w) noexcept : who(&w), back(running_core().home_of) {
  run = [](message& m) noexcept {
    auto& self = static_cast<far_close&>(m);
    if (op_waiter* const waits = std::exchange(self.who, nullptr);
        waits != nullptr && self.back.is_here()) {
      waits->answer = self.answer;
      self.back.ready().push_back(*waits);
    }
    self.let_go();
  };
}

void far_close::tell(std::int32_t with) noexcept {
  answer = with;
  if (!back.post(*this)) let_go();
}

}  // namespace parkring::detail
