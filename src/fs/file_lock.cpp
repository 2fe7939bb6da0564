// Locks of open file descriptions.
//
// A lock belongs to an open file, and ends with the last descriptor of that. Each lock opens the
// file once more, in the job that tries for the first time, and from then on one owner has the
// descriptor at any time:
//
//   job (its result) ──came home──> task ──locked──> file_lock
//        │   ^                        │
//        │   └──── tries again ───────┘ after a pause
//        └─ nobody waits any more: it closes with the job, and the lock with it
//
// So a lock that is had by a job whose task was dropped meanwhile ends at once, and there is
// nothing to undo. Closing goes through the ring when a runtime runs here, as it does for files.
#include <parkring/fs/file_lock.hpp>

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

#include <parkring/blocking.hpp>
#include <parkring/time.hpp>

#include "fs/path/job_subject.hpp"
#include "fs/path/path_error.hpp"

namespace parkring::fs {

struct file_lock_maker {
  static file_lock of(base::owned_fd fd) noexcept { return file_lock(fd.release()); }
};

namespace {

struct attempt {
  int number = 0;  // 0: locked
  base::owned_fd fd;
};

int flags_for(lock_kind kind) noexcept {
  return (kind == lock_kind::shared ? O_RDONLY : O_WRONLY) | O_CLOEXEC | O_NOCTTY;
}

attempt try_once(kernel::file_calls& calls, base::owned_fd fd, lock_kind kind, lock_range range) {
  const short type = kind == lock_kind::shared ? F_RDLCK : F_WRLCK;
  const int answer = calls.lock(fd.get(), type, range.offset, range.length);
  return {answer, std::move(fd)};
}

[[noreturn]] void fail(int number, const job_subject& s) {
  std::string advice;
  switch (number) {
    case EBADF:
    case EACCES:
      advice = "a shared lock needs permission to read the file, an exclusive one to write to it";
      break;
    case EINVAL:
    case EOVERFLOW:
      advice = "a lock is for regular files, and for bytes between 0 and 2^63 - 1";
      break;
    case ENOLCK:
      advice = "the system has no room for more locks, or the file system has none";
      break;
    case ENOENT:
      advice = "the file cannot be opened again, as /proc is not there";
      break;
    default:
      break;
  }
  throw io_error(subject_error(number, "lock", s, std::move(advice)));
}

void check(const job_subject& s, lock_range range) {
  constexpr auto most = static_cast<std::uint64_t>(INT64_MAX);
  const auto& f = detail::state_of(*s.file.get());
  const bool in_range = range.offset <= most && range.length <= most - range.offset;
  if (f.kind != file_kind::regular || !in_range) fail(EINVAL, s);
}

task<attempt> first_attempt(const job_subject& s, lock_kind kind, lock_range range) {
  check(s, range);
  auto open_and_try = [kind, range](kernel::file_calls& calls, const job_target& on) -> attempt {
    const int fd = calls.reopen(on.fd.get(), flags_for(kind));
    if (fd < 0) return {fd, {}};
    return try_once(calls, base::owned_fd(fd), kind, range);
  };
  co_return co_await in_a_job(s, "lock", open_and_try);
}

task<file_lock> wait_for_lock(job_subject s, lock_kind kind, lock_range range) {
  constexpr auto shortest = std::chrono::milliseconds(1), longest = std::chrono::milliseconds(64);
  attempt a = co_await first_attempt(s, kind, range);
  // From here on only the lock's own open file is needed: the other may close, by whom it waits
  // for.
  if (a.number == -EAGAIN) s = job_subject(detail::state_of(*s.file.get()).path, links::follow);
  for (auto pause = shortest; a.number == -EAGAIN; pause = std::min(pause * 2, longest)) {
    co_await sleep_for(pause);
    // The job takes the descriptor along: whoever has it last closes it.
    auto again = [&calls = file_calls_here(), fd = std::move(a.fd), kind, range]() mutable {
      return try_once(calls, std::move(fd), kind, range);
    };
    a = co_await blocking(std::move(again));
  }
  if (a.number < 0) fail(-a.number, s);
  co_return file_lock_maker::of(std::move(a.fd));
}

task<std::optional<file_lock>> lock_or_not(job_subject s, lock_kind kind, lock_range range) {
  attempt a = co_await first_attempt(s, kind, range);
  if (a.number == -EAGAIN) co_return std::nullopt;
  if (a.number < 0) fail(-a.number, s);
  co_return file_lock_maker::of(std::move(a.fd));
}

task<> unlock_now(base::owned_fd fd) {
  auto job = [fd = std::move(fd)]() mutable { fd.reset(); };
  co_await blocking(std::move(job));
}

}  // namespace

void file_lock::drop() noexcept {
  if (fd_ < 0) return;
  detail::close_later(base::owned_fd(std::exchange(fd_, -1)));
}

task<> file_lock::unlock() && { return unlock_now(base::owned_fd(std::exchange(fd_, -1))); }

task<file_lock> lock(const file& f, lock_kind kind, lock_range range) {
  return wait_for_lock(job_subject(f), kind, range);
}
task<std::optional<file_lock>> try_lock(const file& f, lock_kind kind, lock_range range) {
  return lock_or_not(job_subject(f), kind, range);
}

}  // namespace parkring::fs
