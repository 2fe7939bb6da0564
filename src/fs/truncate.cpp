// truncate: a request where the kernel has one (Linux 6.9), else a call on a thread that may block.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include <parkring/blocking.hpp>
#include <parkring/fs/file.hpp>

#include "exec/core.hpp"
#include "fs/file_state.hpp"
#include "fs/rw_error.hpp"
#include "kernel/abi.hpp"

namespace parkring {
namespace detail {
namespace {

namespace abi = kernel::abi;

struct truncate_payload {
  file_ref file;
  std::uint64_t size;
};

const record_type truncate_type = {
    .name = "truncate",
    .prepare =
        [](record& r, abi::sqe& e) noexcept {
          auto& p = r.as<truncate_payload>();
          e.opcode = abi::op_ftruncate;
          e.fd = state_of(*p.file.get()).fd.get();
          e.off = p.size;
        },
    .complete =
        [](record& r, op_waiter* w, std::int32_t res, std::uint32_t, bool) noexcept {
          const bool wanted = w != nullptr || r.cancel_wanted == cancel_wish::none;
          return res == -EINTR && wanted ? after_completion::resubmit : after_completion::finish;
        },
    .destroy = [](record& r) noexcept { r.as<truncate_payload>().~truncate_payload(); },
    .cancel_when_dropped = [](const record&) noexcept { return false; },
    .describe =
        [](const record& r, std::string& out) {
          const auto& p = r.as<truncate_payload>();
          out += "truncate(" + state_of(*p.file.get()).path.native() + ", to " +
                 std::to_string(p.size) + " bytes)";
        },
    .has_effect = true,
    .breaks_chain = false,
};

struct truncate_request {
  using value_type = void;
  file_ref file;
  std::uint64_t size;

  bool ready(op_waiter&) const noexcept { return false; }
  record* make(op_waiter&) const noexcept {
    record* r = core_for(*file.get()).ops.acquire(truncate_type);
    if (r != nullptr) r->emplace<truncate_payload>(file.share(), size);
    return r;
  }
  void start(op_waiter& w) const noexcept {
    auto& ops = core_for(*file.get()).ops;
    record* r = make(w);
    if (r == nullptr) return ops.starve(w);
    ops.submit(*r, &w);
  }
  std::expected<void, error> value(op_waiter&) const noexcept { return {}; }
  error failure(int number) const {
    return fs::file_error(number, "truncate", state_of(*file.get()));
  }
};

}  // namespace
}  // namespace detail

namespace fs {
namespace {

using detail::state_of;

task<> truncate_on_a_thread(detail::file_ref file, std::uint64_t size) {
  auto& f = state_of(*file.get());
  // The call changes metadata and may wait for the disk. Its own descriptor lets the file close
  // meanwhile if the task is dropped.
  base::owned_fd fd(::fcntl(f.fd.get(), F_DUPFD_CLOEXEC, 0));
  if (!fd) throw io_error(file_error(errno, "truncate", f));
  // A name of its own: GCC 12 copies a closure bytewise when it is made inside the await.
  auto cut = [fd = std::move(fd), size] {
    int r;
    do r = ::ftruncate(fd.get(), static_cast<off_t>(size));
    while (r != 0 && errno == EINTR);
    return r == 0 ? 0 : errno;
  };
  const int answer = co_await blocking(std::move(cut));
  if (answer != 0) throw io_error(file_error(answer, "truncate", f));
}

task<> truncate_to(detail::file_ref file, std::uint64_t size) {
  auto& f = state_of(*file.get());
  PARKRING_CHECK(detail::usable_on(f, detail::running_core()),
                 "await a file's requests on the runtime it belongs to");
  if (f.closed) throw io_error(file_error(EBADF, "truncate", f));
  if (size > static_cast<std::uint64_t>(INT64_MAX))
    throw io_error(file_error(EINVAL, "truncate", f));
  auto& ring = exec::this_core().driver.ring;
  if (!ring.real() || ring.opcodes()[kernel::abi::op_ftruncate]) {
    // A name of its own: GCC 12 destroys an aggregate twice that is made inside the await.
    detail::truncate_request request{std::move(file), size};
    co_await detail::simple_operation(std::move(request));
  } else {
    co_await truncate_on_a_thread(std::move(file), size);
  }
}

}  // namespace

task<> file::truncate(std::uint64_t size) {
  return truncate_to(request(detail::direction::write, nullptr, 0, 0).file, size);
}

}  // namespace fs
}  // namespace parkring
