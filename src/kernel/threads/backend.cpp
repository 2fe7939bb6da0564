#include "kernel/threads/backend.hpp"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <utility>

#include "kernel/threads/file_identity.hpp"
#include "kernel/threads/registry.hpp"

namespace parkring::kernel::threads {

namespace {

constexpr std::size_t hints_kept = 4096;
constexpr std::uint8_t uses_per_look = 64;

}  // namespace

bool job::arrive(backend& at) noexcept {
  of->scratch_as<op_state>().lent = nullptr;
  at.end(*of, result);
  return true;
}

std::unique_ptr<backend> backend::make(int& error) noexcept {
  base::owned_fd epoll(::epoll_create1(EPOLL_CLOEXEC));
  base::owned_fd event(epoll ? ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) : -1);
  error = errno;
  if (!event) return nullptr;
  epoll_event e{};
  e.events = EPOLLIN | EPOLLET;
  e.data.u64 = watches::not_a_watch;
  error = ::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, event.get(), &e) == 0 ? 0 : errno;
  if (error != 0) return nullptr;
  try {
    auto home = std::make_shared<channel>(std::move(event));
    std::unique_ptr<backend> b(new backend(std::move(epoll), std::move(home)));
    if (b->watches_.has_reserve()) return b;
    error = EMFILE;
    return nullptr;
  } catch (const std::bad_alloc&) {
    error = ENOMEM;
    return nullptr;
  }
}

backend::backend(base::owned_fd epoll, std::shared_ptr<channel> home) noexcept
    : epoll_(std::move(epoll)), home_(std::move(home)), watches_(epoll_.get()) {}

backend::~backend() {
  home_->close();
  while (kept* k = copies_.pop_front()) delete k;
}

void backend::serve(emulated::ring& r) noexcept {
  ring_ = &r;
  home_->open(r.shared_flags());
}

bool backend::supports(unsigned opcode) const noexcept {
  switch (opcode) {
    case abi::op_read:
    case abi::op_write:
    case abi::op_readv:
    case abi::op_writev:
    case abi::op_read_fixed:
    case abi::op_write_fixed:
    case abi::op_readv_fixed:
    case abi::op_writev_fixed:
    case abi::op_read_multishot:
    case abi::op_poll_add:
    case abi::op_send:
    case abi::op_recv:
    case abi::op_sendmsg:
    case abi::op_recvmsg:
    case abi::op_send_zc:
    case abi::op_sendmsg_zc:
    case abi::op_accept:
    case abi::op_connect:
    case abi::op_epoll_wait:
    case abi::op_msg_ring:
      return true;
    default:
      return is_call(opcode);
  }
}

void backend::start(request& r) noexcept {
  r.make_scratch<op_state>();
  switch (r.entry.opcode) {
    case abi::op_read:
    case abi::op_write:
    case abi::op_readv:
    case abi::op_writev:
    case abi::op_read_fixed:
    case abi::op_write_fixed:
    case abi::op_readv_fixed:
    case abi::op_writev_fixed:
      return start_rw(r);
    case abi::op_read_multishot:
      return start_read_multishot(r);
    case abi::op_poll_add:
      return start_poll(r);
    case abi::op_send:
    case abi::op_recv:
    case abi::op_sendmsg:
    case abi::op_recvmsg:
    case abi::op_send_zc:
    case abi::op_sendmsg_zc:
      return start_send_receive(r);
    case abi::op_accept:
      return start_accept(r);
    case abi::op_connect:
      return start_connect(r);
    case abi::op_epoll_wait:
      return start_epoll_wait(r);
    case abi::op_msg_ring:
      return start_message(r);
    default:
      return start_call(r);
  }
}

// ---- a request's way ----

void backend::end(request& r, std::int64_t result, std::uint32_t flags) noexcept {
  auto& s = r.scratch_as<op_state>();
  if (s.watch >= 0) watches_.remove(s.watch);
  if (!adopt_for_slot(r, result)) result = -ENOMEM;
  if (s.copies != nullptr) {
    s.copies->unlink();
    delete s.copies;
  }
  ring_->complete(r, static_cast<std::int32_t>(result), flags);
}

void backend::attempt(request& r) noexcept {
  auto& s = r.scratch_as<op_state>();
  const int fd = s.watch >= 0 ? watches_.descriptor(s.watch) : r.file;
  const std::int64_t result = s.attempt(*this, r, s, fd);
  if (result == taken) return;
  if (result != would_block) return end(r, result);
  watch(r, fd);
}

void backend::watch(request& r, int fd) noexcept {
  auto& s = r.scratch_as<op_state>();
  if (s.cancelled) return end(r, s.done > 0 ? s.done : -ECANCELED);
  if (s.watch >= 0) {
    if (const int answer = watches_.again(s.watch, s.events); answer < 0) end(r, answer);
    return;
  }
  const int place = watches_.add(r, fd, s.events, watches::mode::one_shot);
  if (place < 0) return end(r, place == -EPERM ? -EAGAIN : place);
  s.watch = place;
  raise_taskrun();
}

void backend::lend(request& r, std::unique_ptr<job> j, worker_class by) noexcept {
  auto& s = r.scratch_as<op_state>();
  if (s.cancelled) return end(r, s.done > 0 ? s.done : -ECANCELED);
  j->of = &r;
  j->home = home_;
  j->by = by;
  s.lent = j.get();
  if (workers::shared().submit(*j)) return (void)j.release();
  if (by == worker_class::bounded) {
    // No thread is there and none can be had: what ends by itself is done here and not refused.
    j->run();
    j->where = job::stage::done;
    const std::shared_ptr<channel> home = std::move(j->home);
    home->send(*j.release());
    return;
  }
  s.lent = nullptr;
  end(r, -EAGAIN);
}

kept* backend::keep(request& r) noexcept {
  auto& s = r.scratch_as<op_state>();
  if (s.copies == nullptr) {
    s.copies = new (std::nothrow) kept;
    if (s.copies != nullptr) copies_.push_back(*s.copies);
  }
  return s.copies;
}

emulated::cancel_answer backend::cancel(request& r) noexcept {
  using emulated::cancel_answer;
  auto& s = r.scratch_as<op_state>();
  if (s.lent != nullptr) {
    s.cancelled = true;
    switch (workers::shared().withdraw(*s.lent)) {
      case workers::withdrawal::running:
        return cancel_answer::too_late;
      case workers::withdrawal::done:
        return cancel_answer::not_found;
      case workers::withdrawal::withdrawn:
        delete std::exchange(s.lent, nullptr);
    }
  }
  end(r, s.done > 0 ? s.done : -ECANCELED);
  return cancel_answer::cancelled;
}

// ---- what comes back ----

void backend::raise_taskrun() noexcept {
  if (watches_.urgent() != 0)
    __atomic_fetch_or(ring_->shared_flags(), abi::sq_taskrun, __ATOMIC_RELAXED);
}

void backend::take_home() noexcept {
  for (parcel* p = home_->take(); p != nullptr;) {
    std::unique_ptr<parcel> arrived(p);
    p = p->next_parcel;
    if (!arrived->arrive(*this)) (void)arrived.release();
  }
}

// What ends here may begin others, which only adds watches; but a cancel among them may end one
// whose event is still to come.
int backend::look(std::uint64_t timeout_ns) noexcept {
  const int answer = watches_.collect(timeout_ns);
  // New watches may move the list.
  for (std::size_t i = 0; i < watches_.told().size(); ++i) {
    const watches::event e = watches_.told()[i];
    if (watches_.stale(e)) continue;
    request& r = *e.of;
    if (r.entry.opcode == abi::op_poll_add)
      poll_fired(r, e.what);
    else
      attempt(r);
  }
  return answer;
}

void backend::harvest() noexcept {
  take_home();
  if (watches_.size() != 0) (void)look(0);
  raise_taskrun();
}

int backend::wait(std::uint64_t deadline_ns) noexcept {
  std::uint64_t timeout = emulated::never;
  if (deadline_ns != emulated::never) {
    const std::uint64_t now = now_ns(emulated::clock::monotonic);
    timeout = deadline_ns > now ? deadline_ns - now : 0;
  }
  int answer = 0;
  if (home_->begin_sleep()) {
    answer = look(timeout);
    home_->end_sleep();
  }
  take_home();
  raise_taskrun();
  return answer;
}

// ---- descriptors ----

int backend::hold(int fd) noexcept {
  base::owned_fd own(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!own) return -errno;
  try {
    const int number = own.get();
    auto file = std::make_shared<held_file>(std::move(own), registry::find(fd));
    held_[number] = std::move(file);
    forget_hint(number);
    return number;
  } catch (const std::bad_alloc&) {
    return -ENOMEM;
  }
}

bool backend::adopt_for_slot(const request& r, std::int64_t fd) noexcept {
  const auto opcode = r.entry.opcode;
  const bool makes_file = opcode == abi::op_openat || opcode == abi::op_openat2 ||
                          opcode == abi::op_socket || opcode == abi::op_accept;
  if (!makes_file || fd < 0 || r.entry.file_index == 0) return true;
  const int number = static_cast<int>(fd);
  if (held_.contains(number)) return true;  // by a post that had no room
  base::owned_fd own(number);
  try {
    auto file = std::make_shared<held_file>();
    file->fd = std::move(own);
    held_[number] = std::move(file);
    forget_hint(number);
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

std::shared_ptr<held_file> backend::held(int fd) const noexcept {
  const auto at = held_.find(fd);
  return at != held_.end() ? at->second : nullptr;
}

std::shared_ptr<held_file> backend::file_of(const request& r) const noexcept {
  const bool registered = (r.entry.flags & abi::iosqe_fixed_file) != 0;
  return registered && r.file >= 0 ? held(r.file) : nullptr;
}

void backend::let_go(int file) noexcept {
  held_.erase(file);  // what runs on a worker has a reference of its own
}

void backend::close_inherited() noexcept {
  watches_.close_inherited();
  for (auto& [number, file] : held_) {
    struct stat s;
    if (::fstat(number, &s) == 0 && !S_ISREG(s.st_mode)) ::close(number);
  }
}

bool backend::is_open(int fd) noexcept { return ::fcntl(fd, F_GETFD) >= 0; }

bool backend::acts_on(const request& r, int fd) noexcept {
  const auto& s = r.scratch_as<op_state>();
  if (s.watch < 0 && s.lent == nullptr) return false;
  const int own = s.watch >= 0 ? watches_.descriptor(s.watch) : s.lent->fd;
  constexpr int kcmp_file = 0;
  const pid_t self = ::getpid();
  if (const long order = ::syscall(SYS_kcmp, self, self, kcmp_file, own, fd); order >= 0)
    return order == 0;
  // Where kcmp(2) is forbidden: the same number, with a file of the same inode.
  const file_identity now = identity_of(fd);
  return r.file == fd && now != file_identity{} && identity_of(own) == now;
}

int backend::install(int file, bool close_on_exec) noexcept {
  const int fd = ::fcntl(file, close_on_exec ? F_DUPFD_CLOEXEC : F_DUPFD, 0);
  return fd >= 0 ? fd : -errno;
}

backend::hint& backend::hint_of(int fd) noexcept {
  const auto at = static_cast<std::size_t>(fd);
  if (at >= hints_.size() && at < hints_kept) {
    try {
      hints_.resize(std::min(hints_kept, 2 * at + 64));
    } catch (const std::bad_alloc&) {  // then nothing is remembered
    }
  }
  hint& h = at < hints_.size() ? hints_[at] : no_hint_;
  if (h.left == 0 || &h == &no_hint_) {
    const int flags = ::fcntl(fd, F_GETFL);
    h = {};
    h.left = uses_per_look;
    h.waits = flags >= 0 && (flags & (O_DIRECT | O_SYNC | O_DSYNC)) != 0;
  }
  --h.left;
  return h;
}

void backend::forget_hint(int fd) noexcept {
  if (fd >= 0 && static_cast<std::size_t>(fd) < hints_.size())
    hints_[static_cast<std::size_t>(fd)] = {};
}

std::uint64_t backend::now_ns(emulated::clock which) noexcept {
  clockid_t id = CLOCK_MONOTONIC;
  if (which == emulated::clock::boottime) id = CLOCK_BOOTTIME;
  if (which == emulated::clock::realtime) id = CLOCK_REALTIME;
  timespec t;
  ::clock_gettime(id, &t);
  return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000u +
         static_cast<std::uint64_t>(t.tv_nsec);
}

int backend::reg(unsigned opcode, const void* arg, unsigned count) noexcept {
  if (opcode != abi::register_iowq_max_workers) return -EINVAL;
  if (arg == nullptr || count != 2) return -EINVAL;
  auto* const limits = static_cast<std::uint32_t*>(const_cast<void*>(arg));  // in and out
  const auto before = workers::shared().limit({limits[0], limits[1]});
  limits[0] = before[0];
  limits[1] = before[1];
  return 0;
}

}  // namespace parkring::kernel::threads
