// What requests do on the threads kernel. One object for each ring, its thread's only.
//
// A request is in one of four places:
//   tried     its system call is made here and now, in a form that does not block: files that the
//             page cache answers (RWF_NOWAIT), streams (MSG_DONTWAIT, RWF_NOWAIT), and calls that
//             never wait
//   watched   it would have blocked: a watch in epoll waits for its descriptor, then it is tried
//             again
//   lent      a job on a worker does it by the blocking call, and comes home through the channel
//   gone      `end` has given back what it held and completed it
// Only this thread moves requests. Jobs do not know them: a job that comes home when the ring has
// gone is thrown away.
//
// `request::file` is a number, which may mean another file once `start` has returned: slots of
// registered files are emptied, programs close. What goes on later has a descriptor of its own: the
// watch's duplicate, or the job's.
//
// A cancel that meets a job cannot end the request, but what it answers promises that it will end:
// `op_state::cancelled` stays, and ends the request where it would be watched or lent again.
//
// While a stream is watched `sq_taskrun` stays raised: a run loop that is busy would otherwise not
// come to look.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <array>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include <parkring/detail/list.hpp>

#include "base/owned_fd.hpp"
#include "kernel/emulated/backend.hpp"
#include "kernel/emulated/ring.hpp"
#include "kernel/threads/channel.hpp"
#include "kernel/threads/job.hpp"
#include "kernel/threads/watches.hpp"
#include "kernel/threads/workers.hpp"

namespace parkring::kernel::threads {

using emulated::request;

/// Copies of what a watched request was described by: the program may have reused that memory.
struct kept : detail::list_node {
  std::vector<iovec> parts;
  msghdr header{};
  sockaddr_storage address{};
  socklen_t address_length = 0;
};

/// A registered file: the slot and the jobs that use it share it.
struct held_file {
  base::owned_fd fd;
  std::shared_ptr<channel> ring;  // when it is a ring's descriptor
};

/// What one request transfers at most, as Linux has it (MAX_RW_COUNT).
inline constexpr std::uint32_t most_transferred = 0x7ffff000;
/// Shortens the parts to that. Lengths that are none stay, for the call to refuse.
void limit_transfer(std::vector<iovec>& parts, std::size_t most = most_transferred) noexcept;

/// What one try of a request came to: a result, or one of these.
inline constexpr std::int64_t would_block = INT64_MIN;  // watch `op_state::events`, then try again
inline constexpr std::int64_t taken = INT64_MIN + 1;    // it was lent, or has ended

/// A request's scratch.
struct op_state {
  std::int64_t (*attempt)(backend&, request&, op_state&, int fd) noexcept = nullptr;
  job* lent = nullptr;
  kept* copies = nullptr;
  std::int64_t done = 0;  // transferred by earlier tries
  std::uint32_t events = 0;
  int watch = -1;
  enum class kind : std::uint8_t { unknown, file, stream };
  kind what = kind::unknown;
  bool positionless = false;  // a stream: the offset means nothing
  bool begun = false;         // connect: goes on by itself
  bool cancelled = false;     // asked to end while lent: it waits for nothing more
};

class backend final : public emulated::backend {
 public:
  /// Null, and a positive errno, when there are no descriptors or no memory.
  [[nodiscard]] static std::unique_ptr<backend> make(int& error) noexcept;
  ~backend() override;

  /// The ring that it serves; before the first start.
  void serve(emulated::ring& r) noexcept;
  [[nodiscard]] emulated::ring& ring() noexcept { return *ring_; }
  [[nodiscard]] int pollable() const noexcept { return epoll_.get(); }
  [[nodiscard]] const std::shared_ptr<channel>& home() const noexcept { return home_; }

  [[nodiscard]] bool supports(unsigned opcode) const noexcept override;
  void start(request& r) noexcept override;
  [[nodiscard]] emulated::cancel_answer cancel(request& r) noexcept override;
  [[nodiscard]] int update_poll(request& r, std::uint32_t events,
                                std::uint32_t flags) noexcept override;
  [[nodiscard]] int hold(int fd) noexcept override;
  void let_go(int file) noexcept override;
  [[nodiscard]] bool is_open(int fd) noexcept override;
  [[nodiscard]] bool acts_on(const request& r, int fd) noexcept override;
  [[nodiscard]] int install(int file, bool close_on_exec) noexcept override;
  [[nodiscard]] std::uint64_t now_ns(emulated::clock which) noexcept override;
  void harvest() noexcept override;
  [[nodiscard]] int wait(std::uint64_t deadline_ns) noexcept override;
  [[nodiscard]] int reg(unsigned opcode, const void* arg, unsigned count) noexcept override;

  /// In a forked child, which has copies of the parent's descriptors: closes those by which others
  /// would see that a stream has not ended. Files stay open: the child may have locked them.
  void close_inherited() noexcept;

  // ---- for the families of operations ----

  /// The last completion: gives back what the request holds.
  void end(request& r, std::int64_t result, std::uint32_t flags = 0) noexcept;
  /// Tries, and watches or ends it accordingly.
  void attempt(request& r) noexcept;
  /// Watches without trying first; `fd` matters when it has no watch yet.
  void watch(request& r, int fd) noexcept;
  /// To a worker. When there is none and none can be started, what ends by itself is done here and
  /// now, and anything else ends with -EAGAIN.
  void lend(request& r, std::unique_ptr<job> j, worker_class by) noexcept;
  /// Copies for a request that waits; null and it has ended when there is no memory.
  [[nodiscard]] kept* keep(request& r) noexcept;
  /// The registered file of a request that begins, for its jobs; null when it acts on a plain
  /// descriptor.
  [[nodiscard]] std::shared_ptr<held_file> file_of(const request& r) const noexcept;
  /// Null when `fd` is not what `hold` or `adopt` has given.
  [[nodiscard]] std::shared_ptr<held_file> held(int fd) const noexcept;
  /// Makes a descriptor that a request has made the ring's own if it is for a slot. False when
  /// there is no memory: then it is closed.
  [[nodiscard]] bool adopt_for_slot(const request& r, std::int64_t fd) noexcept;

  /// What was learned of a descriptor number, and is looked up again now and then. A guess: when
  /// the number has a new file it is wrong, which may cost time and must cost nothing else. So no
  /// call that could wait is made because of it.
  struct hint {
    std::uint8_t left = 0;     // uses until the next look
    bool waits = false;        // O_DIRECT, O_SYNC: a try would wait for the disk
    bool no_try_read = false;  // RWF_NOWAIT is refused
    bool no_try_write = false;
    dev_t memory = 0;  // tmpfs: the plain call on a regular file of this device waits for nothing
  };
  [[nodiscard]] hint& hint_of(int fd) noexcept;
  void forget_hint(int fd) noexcept;

  // rw.cpp
  void start_rw(request& r) noexcept;
  void start_read_multishot(request& r) noexcept;
  // net.cpp, accept_connect.cpp
  void start_send_receive(request& r) noexcept;
  void start_accept(request& r) noexcept;
  void start_connect(request& r) noexcept;
  void start_epoll_wait(request& r) noexcept;
  // polls.cpp
  void start_poll(request& r) noexcept;
  void poll_fired(request& r, std::uint32_t what) noexcept;
  // calls.cpp
  void start_call(request& r) noexcept;
  // messages.cpp
  void start_message(request& r) noexcept;

  [[nodiscard]] watches& watched() noexcept { return watches_; }
  void raise_taskrun() noexcept;

 private:
  backend(base::owned_fd epoll, std::shared_ptr<channel> home) noexcept;
  void take_home() noexcept;
  [[nodiscard]] int look(std::uint64_t timeout_ns) noexcept;

  base::owned_fd epoll_;
  std::shared_ptr<channel> home_;
  watches watches_;
  emulated::ring* ring_ = nullptr;
  detail::intrusive_list<kept> copies_;
  std::unordered_map<int, std::shared_ptr<held_file>> held_;
  std::vector<hint> hints_;
  hint no_hint_;  // for descriptors beyond the table
};

/// Whether a call can serve the opcode, see calls.cpp.
[[nodiscard]] bool is_call(unsigned opcode) noexcept;

}  // namespace parkring::kernel::threads
