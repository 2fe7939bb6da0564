// sync, datasync, size and close: requests about the file as a whole.

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <new>

#include <parkring/detail/frame_allocator.hpp>
#include <parkring/fs/file.hpp>

#include "exec/core.hpp"
#include "fs/file_state.hpp"
#include "fs/rw_error.hpp"
#include "kernel/abi.hpp"

namespace parkring::detail {
namespace {

namespace abi = kernel::abi;

bool never(const record&) noexcept { return false; }

bool refuse_closed(const file_ref& file, op_waiter& w) noexcept {
  PARKRING_CHECK(usable_on(*file.get(), running_core()),
                 "await a file's requests on the runtime it belongs to");
  if (!state_of(*file.get()).closed) return false;
  w.answer = -EBADF;
  return true;
}

// ---- sync ----

struct sync_payload {
  file_ref file;
  bool data_only;
};

const record_type sync_type = {
    .name = "sync",
    .prepare =
        [](record& r, abi::sqe& e) noexcept {
          auto& p = r.as<sync_payload>();
          e.opcode = abi::op_fsync;
          e.fd = state_of(*p.file.get()).fd.get();
          e.fsync_flags = p.data_only ? abi::fsync_datasync : 0;
        },
    .complete =
        [](record& r, op_waiter* w, std::int32_t res, std::uint32_t, bool) noexcept {
          const bool wanted = w != nullptr || r.cancel_wanted == cancel_wish::none;
          return res == -EINTR && wanted ? after_completion::resubmit : after_completion::finish;
        },
    .destroy = [](record& r) noexcept { r.as<sync_payload>().~sync_payload(); },
    .cancel_when_dropped = &never,
    .describe =
        [](const record& r, std::string& out) {
          const auto& p = r.as<sync_payload>();
          out +=
              (p.data_only ? "datasync(" : "sync(") + state_of(*p.file.get()).path.native() + ")";
        },
    .has_effect = true,
    .breaks_chain = false,
};

// ---- size ----

struct free_statx {
  void operator()(struct statx* s) const noexcept { deallocate_frame(s, sizeof *s); }
};
struct size_payload {
  file_ref file;
  std::unique_ptr<struct statx, free_statx> answer;
};

const record_type size_type = {
    .name = "size",
    .prepare =
        [](record& r, abi::sqe& e) noexcept {
          auto& p = r.as<size_payload>();
          static constexpr char empty[] = "";
          e.opcode = abi::op_statx;
          e.fd = state_of(*p.file.get()).fd.get();
          e.addr = reinterpret_cast<std::uint64_t>(empty);
          e.len = STATX_SIZE;
          e.off = reinterpret_cast<std::uint64_t>(p.answer.get());
          e.statx_flags = AT_EMPTY_PATH;
        },
    .complete =
        [](record& r, op_waiter* w, std::int32_t res, std::uint32_t, bool) noexcept {
          if (res == -EINTR && w != nullptr) return after_completion::resubmit;
          if (res >= 0 && w != nullptr)
            static_cast<size_waiter*>(w)->size = r.as<size_payload>().answer->stx_size;
          return after_completion::finish;
        },
    .destroy = [](record& r) noexcept { r.as<size_payload>().~size_payload(); },
    .cancel_when_dropped = &never,
    .describe =
        [](const record& r, std::string& out) {
          out += "size(" + state_of(*r.as<size_payload>().file.get()).path.native() + ")";
        },
    .breaks_chain = false,
};

}  // namespace

bool sync_request::ready(op_waiter& w) noexcept { return refuse_closed(file, w); }

record* sync_request::make(op_waiter&) noexcept {
  record* r = core_for(*file.get()).ops.acquire(sync_type);
  if (r != nullptr) r->emplace<sync_payload>(file.share(), data_only);
  return r;
}

void sync_request::start(op_waiter& w) noexcept {
  auto& ops = core_for(*file.get()).ops;
  record* r = make(w);
  if (r == nullptr) return ops.starve(w);
  ops.submit(*r, &w);
}

error sync_request::failure(int number) const {
  return fs::file_error(number, data_only ? "datasync" : "sync", state_of(*file.get()));
}

bool size_request::ready(op_waiter& w) noexcept { return refuse_closed(file, w); }

void size_request::start(op_waiter& w) noexcept {
  auto& core = core_for(*file.get());
  void* memory = nullptr;
  try {
    memory = allocate_frame(sizeof(struct statx));
  } catch (const std::bad_alloc&) {
    w.answer = -ENOMEM;
    core.ready.push_back(w);
    return;
  }
  std::unique_ptr<struct statx, free_statx> answer(::new (memory) struct statx());
  record* r = core.ops.acquire(size_type);
  if (r == nullptr) return core.ops.starve(w);
  r->emplace<size_payload>(file.share(), std::move(answer));
  core.ops.submit(*r, &w);
}

error size_request::failure(int number) const {
  return fs::file_error(number, "size", state_of(*file.get()));
}

// ---- close ----

bool close_request::ready(op_waiter& w) noexcept {
  if (!refuse_closed(file, w)) return false;
  return true;
}

void close_request::start(op_waiter& w) noexcept {
  auto& f = state_of(*file.get());
  f.closed = f.special = true;
  f.inline_first = fs::inline_mode::never;
  if (!at_home(f)) return start_far(f, static_cast<close_waiter&>(w));
  f.closer_at_home = true;
  f.closer.push_back(w);
  // With the last reference the file closes, and tells the closer. That may be this one.
  file.reset();
}

void close_request::start_far(file_state& f, close_waiter& w) noexcept {
  w.far = new (std::nothrow) far_close(w);
  if (w.far == nullptr) {  // it closes all the same, with the last reference
    w.answer = -ENOMEM;
    running_core().ready.push_back(w);
  } else {
    f.far_closer = w.far;
  }
  file.reset();
}

void close_waiter::leave() noexcept {
  far->who = nullptr;
  far->let_go();
}

error close_request::failure(int number) const {
  std::string advice;
  if (number == EIO || number == ENOSPC || number == EDQUOT)
    advice =
        "an earlier write did not reach the device; what was written since the last "
        "successful sync may be lost. The descriptor is closed all the same";
  return {number, "close", path, std::move(advice)};
}

}  // namespace parkring::detail
