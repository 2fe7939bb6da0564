#include "conformance/client.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace parkring::conformance {

namespace {

constexpr std::uint64_t patience_ns = 10'000'000'000u;
constexpr int most_turns = 200'000;

}  // namespace

client::client(kernel::kernel& k, ring::options o) : ring_(k, o) {
  EXPECT_EQ(ring_.bind_to_this_thread(), 0);
  abi::probe known{};
  EXPECT_GE(ring_.reg(abi::register_probe, &known, 256), 0);
  for (unsigned i = 0; i < known.ops_len; ++i) {
    if ((known.ops[i].flags & abi::op_supported) != 0) opcodes_.set(known.ops[i].op);
  }
}

client::~client() { drain(); }

// Ends what the test left in flight, so that nothing writes to freed memory.
void client::drain() {
  collect();
  if (in_flight_.empty()) return;
  auto left = [this] {
    std::erase_if(in_flight_, [](const auto& one) { return one.second <= 0; });
    return !in_flight_.empty();
  };
  // What cancelling finds no more has ended or is about to: some turns bring its completion.
  for (int round = 0, quiet = 0; round < 20 && quiet < 2 && left(); ++round) {
    const std::int32_t found =
        next(start(cancel(0, abi::async_cancel_any | abi::async_cancel_all))).res;
    if (found == no_answer) return;
    quiet = found == 0 ? quiet + 1 : 0;
    for (int i = 0; i < 20 && left(); ++i) {
      const abi::timespec64 moment{.tv_sec = 0, .tv_nsec = 1'000'000};
      ring_.enter(1, &moment);
      collect();
    }
  }
}

std::uint64_t client::push(abi::sqe e) {
  if (e.user_data == 0) e.user_data = ++last_user_data_;
  if (ring_.room() == 0) submit();
  abi::sqe* place = ring_.take();
  if (place == nullptr) {
    ADD_FAILURE() << "the submission queue stays full";
    return e.user_data;
  }
  *place = e;
  // A request that says nothing when it succeeds is not waited for at the end.
  if ((e.flags & abi::iosqe_cqe_skip_success) == 0) ++in_flight_[e.user_data];
  return e.user_data;
}

bool client::turn(unsigned wait_for, unsigned extra) {
  const abi::timespec64 limit{.tv_sec = 1, .tv_nsec = 0};
  const int result = ring_.enter(wait_for, wait_for != 0 ? &limit : nullptr, extra);
  if (result >= 0 || result == -ETIME || result == -EINTR || result == -EBUSY || result == -EAGAIN)
    return true;
  ADD_FAILURE() << "enter answered " << result << " (" << std::strerror(-result) << ")";
  return false;
}

void client::submit() {
  for (int turns = 0; turns < most_turns && ring_.unsubmitted() != 0; ++turns) {
    if (!turn(0, 0)) return;
    // A full completion queue may have to be emptied first.
    if (ring_.unsubmitted() != 0) collect();
  }
  EXPECT_EQ(ring_.unsubmitted(), 0u);
}

std::uint64_t client::start(const abi::sqe& e) {
  const std::uint64_t user_data = push(e);
  submit();
  return user_data;
}

void client::collect() {
  if (ring_.kernel_wants_enter()) turn(0, abi::enter_getevents);
  ring_.reap([this](const abi::cqe& c) {
    arrived_.push_back({c.res, c.flags, c.user_data});
    order_.push_back(c.user_data);
    if ((c.flags & abi::cqe_f_more) == 0) --in_flight_[c.user_data];
  });
}

answer client::next(std::uint64_t user_data) {
  const std::uint64_t deadline = served_by().now_ns() + patience_ns;
  for (int turns = 0; turns < most_turns; ++turns) {
    collect();
    const auto found = std::ranges::find(arrived_, user_data, &answer::user_data);
    if (found != arrived_.end()) {
      const answer a = *found;
      arrived_.erase(found);
      return a;
    }
    if (served_by().now_ns() > deadline || !turn(1, 0)) break;
  }
  ADD_FAILURE() << "no completion came for request " << user_data;
  return {no_answer, 0, user_data};
}

std::int32_t client::run(const abi::sqe& e) { return next(start(e)).res; }

std::vector<std::int32_t> client::run_chain(std::vector<abi::sqe> chain) {
  for (std::size_t i = 0; i + 1 < chain.size(); ++i) {
    if ((chain[i].flags & abi::iosqe_io_hardlink) == 0) chain[i] = linked(chain[i]);
  }
  return run_all(chain);
}

std::vector<std::int32_t> client::run_all(const std::vector<abi::sqe>& batch) {
  std::vector<std::uint64_t> names;
  for (const abi::sqe& e : batch) names.push_back(push(e));
  submit();
  std::vector<std::int32_t> results;
  for (const std::uint64_t name : names) results.push_back(next(name).res);
  return results;
}

bool client::silent(std::uint64_t user_data) {
  // In a simulated machine a request takes time to begin; that costs nothing.
  if (!served_by().real()) served_by().pause(1'000'000);
  for (int i = 0; i < 4; ++i) {
    run(nop());
    turn(0, abi::enter_getevents);
    collect();
  }
  return std::ranges::find(arrived_, user_data, &answer::user_data) == arrived_.end();
}

std::size_t client::place(std::uint64_t user_data) const noexcept {
  return static_cast<std::size_t>(std::ranges::find(order_, user_data) - order_.begin());
}

char* client::memory(std::size_t size) {
  return memory_.emplace_back(std::make_unique<char[]>(size + 1)).get();
}

int client::open(const std::string& path, int flags, unsigned mode) {
  return run(openat(path.c_str(), flags, mode));
}

int client::write(int fd, std::string_view bytes, std::uint64_t offset) {
  return run(conformance::write(fd, bytes.data(), bytes.size(), offset));
}

std::string client::read(int fd, std::size_t size, std::uint64_t offset) {
  std::string bytes(size, '\0');
  const int n = run(conformance::read(fd, bytes.data(), size, offset));
  if (n < 0) return std::string("<read failed: ") + std::strerror(-n) + ">";
  bytes.resize(static_cast<std::size_t>(n));
  return bytes;
}

int client::stat(const std::string& path, struct statx& out, int flags) {
  return run(statx(path.c_str(), &out, flags));
}

int client::stat(int fd, struct statx& out) {
  return run(statx("", &out, AT_EMPTY_PATH, 0x7ff, fd));
}

int client::truncate(int fd, std::uint64_t size) {
  if (supports(abi::op_ftruncate) || !served_by().real())
    return run(conformance::ftruncate(fd, size));
  return ::ftruncate(fd, static_cast<off_t>(size)) == 0 ? 0 : -errno;
}

int client::make_pipe(int (&ends)[2]) {
  if (supports(abi::op_pipe) || !served_by().real()) return run(conformance::pipe(ends, O_CLOEXEC));
  return ::pipe2(ends, O_CLOEXEC) == 0 ? 0 : -errno;
}

int client::bind_and_listen(int fd, const sockaddr* where, socklen_t size, int backlog) {
  if (supports(abi::op_bind) || !served_by().real()) {
    const int result = run(bind_to(fd, where, size));
    if (result < 0 || backlog == 0) return result;
    return run(conformance::listen(fd, static_cast<unsigned>(backlog)));
  }
  if (::bind(fd, where, size) != 0) return -errno;
  return backlog == 0 || ::listen(fd, backlog) == 0 ? 0 : -errno;
}

int client::make_file(const std::string& path, std::string_view content) {
  const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC);
  if (fd < 0) return fd;
  const int written = content.empty() ? 0 : write(fd, content, 0);
  const int closed = close(fd);
  return written != static_cast<int>(content.size()) ? (written < 0 ? written : -EIO) : closed;
}

std::string client::content(const std::string& path) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return std::string("<open failed: ") + std::strerror(-fd) + ">";
  std::string all;
  for (;;) {
    const std::string part = read(fd, 65536, all.size());
    if (part.empty() || part.starts_with("<read failed")) {
      all += part;
      break;
    }
    all += part;
  }
  close(fd);
  return all;
}

}  // namespace parkring::conformance
