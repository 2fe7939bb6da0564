// The seam between the ring and whatever serves it.
//
// Three calls and two queues in shared memory are all that io_uring is. Code above this file
// fills submission entries and reads completion entries; it cannot tell whether Linux, a pool of
// threads or a simulation answers.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "kernel/abi.hpp"

namespace parkring::kernel {

/// Where the queues of one ring are. Filled by `kernel::setup`, given back by `kernel::release`.
struct ring_memory {
  int fd = -1;                    // the ring's descriptor, used to register and to map
  int enter_fd = -1;              // what enter names: an index when the ring is registered, or fd
  std::uint32_t enter_flags = 0;  // enter_registered_ring when enter_fd is an index

  // Submission queue: we write the tail and the entries, the kernel writes the rest.
  std::uint32_t* sq_head = nullptr;
  std::uint32_t* sq_tail = nullptr;
  std::uint32_t* sq_flags = nullptr;
  std::uint32_t* sq_dropped = nullptr;
  std::uint32_t* sq_array = nullptr;  // null with setup_no_sqarray
  std::uint32_t sq_mask = 0;
  std::uint32_t sq_entries = 0;
  abi::sqe* sqes = nullptr;

  // Completion queue: we write the head and cq_flags, the kernel writes the rest.
  std::uint32_t* cq_head = nullptr;
  std::uint32_t* cq_tail = nullptr;
  std::uint32_t* cq_overflow = nullptr;
  std::uint32_t* cq_flags = nullptr;
  std::uint32_t cq_mask = 0;
  std::uint32_t cq_entries = 0;
  abi::cqe* cqes = nullptr;

  int watch_fd = -1;  // an event of the program's that is signalled: `kernel::watch_descriptor`

  std::uint32_t setup_flags = 0;  // setup_* as taken
  std::uint32_t features = 0;     // feat_*

  // The kernel's own, to undo the set-up.
  struct mapping {
    void* base = nullptr;
    std::size_t size = 0;
  };
  std::array<mapping, 2> mappings{};
  int owner_pid = 0;        // a forked child has none of the mappings and must not undo them
  void* context = nullptr;  // whatever an implementation keeps per ring
};

/// What is asked about a descriptor once, when a file is made of it.
struct file_facts {
  enum class kind : std::uint8_t { regular, directory, device, stream };
  kind what = kind::regular;
  bool has_position = true;
  std::uint32_t memory_alignment = 512;  // for direct I/O; 512 where the file system does not tell
  std::uint32_t offset_alignment = 512;
};

class file_calls;

/// Something that serves rings, and answers the few calls that a runtime makes beside them. Calls
/// for different rings may come from different threads; calls for one ring come from one thread at
/// a time. Nothing here throws: errors are negative errno.
class kernel {
 public:
  virtual ~kernel() = default;

  [[nodiscard]] virtual const char* name() const noexcept = 0;

  // ---- rings ----

  /// Makes a ring of at least `entries` submission entries; `p` is in and out as in
  /// io_uring_setup(2). 0, or -errno and then nothing has to be released.
  [[nodiscard]] virtual int setup(unsigned entries, abi::params& p, ring_memory& out) noexcept = 0;

  /// Consumes up to `to_submit` entries and waits for `min_complete` completions, as in
  /// io_uring_enter(2). The number of consumed entries, or -errno. -ESHUTDOWN, from then on always,
  /// when the machine has stopped (a simulated power cut): such a call has consumed all entries all
  /// the same, and every request, those included, has ended with -ECANCELED when it returns.
  virtual int enter(const ring_memory& ring, unsigned to_submit, unsigned min_complete,
                    unsigned flags, const void* arg, std::size_t arg_size) noexcept = 0;

  /// As in io_uring_register(2): a result of its own or -errno.
  virtual int reg(const ring_memory& ring, unsigned opcode, const void* arg,
                  unsigned count) noexcept = 0;

  /// Unmaps and closes. Requests in flight do not end by it: drain first.
  virtual void release(ring_memory& ring) noexcept = 0;

  // ---- for a program that waits for a ring in a loop of its own ----

  /// A descriptor to wait for: between a `begin_watch` that said true and the next `end_watch` it
  /// becomes readable, level-triggered, when an enter would find something to do. `event`, made by
  /// `make_event`, is the program's own: either it is the answer, and signalled for the ring too,
  /// or the ring must have a poll of it. Asked once for a ring, on its thread. -errno; -EOPNOTSUPP
  /// where there is none.
  [[nodiscard]] virtual int watch_descriptor(ring_memory& ring, int event) noexcept;
  /// False: there is something to do already, and the watch has not begun.
  [[nodiscard]] virtual bool begin_watch(const ring_memory& ring) noexcept;
  /// Also when none has begun.
  virtual void end_watch(const ring_memory& ring) noexcept;

  /// True when enter may be issued as an inlined system call instead of through `enter`.
  [[nodiscard]] virtual bool direct() const noexcept { return false; }

  // ---- beside the rings: by default what the process's own system does ----

  /// False when descriptors, threads and time are simulated: then no system call on a descriptor
  /// means anything, and no thread may be started for a request.
  [[nodiscard]] virtual bool real() const noexcept { return true; }

  /// Whether a read or write may be tried in place, by a system call on its descriptor, before it
  /// becomes a request; never where every request must be seen.
  [[nodiscard]] virtual bool inline_io() const noexcept { return real(); }

  /// A clock that never goes back, in nanoseconds. Of a real kernel it is the steady clock, which
  /// callers may read by themselves; else it is virtual time.
  [[nodiscard]] virtual std::uint64_t now_ns() noexcept;
  /// Lets time pass without doing anything.
  virtual void pause(std::uint64_t ns) noexcept;

  /// True once a simulated machine has stopped: nothing that is done from then on has an effect,
  /// and no program may hear of it.
  [[nodiscard]] virtual bool halted() const noexcept { return false; }

  /// What kind of file a descriptor is. 0 or -errno.
  [[nodiscard]] virtual int inspect(int fd, bool direct_io, file_facts& out) noexcept;
  /// As close(2), in place.
  virtual int close(int fd) noexcept;
  /// Calls about files that may block: see file_calls.hpp.
  [[nodiscard]] virtual file_calls& files() noexcept;

  /// A counter that can be polled, as eventfd(2) with EFD_NONBLOCK: a descriptor, or -errno.
  [[nodiscard]] virtual int make_event() noexcept;
  /// Adds one to it. Any thread.
  virtual void signal_event(int fd) noexcept;
  /// Sets it to zero.
  virtual void clear_event(int fd) noexcept;
};

/// The kernel this process runs on, by io_uring.
[[nodiscard]] kernel& linux_kernel() noexcept;
/// The same without io_uring: ordinary system calls, those that may block on a pool of threads.
[[nodiscard]] kernel& threads_kernel() noexcept;

/// The kernel of the runtimes that this thread makes, before any other choice; null: none. What a
/// simulated world sets while a program runs in it.
extern constinit thread_local kernel* this_thread_kernel;

/// Sets `this_thread_kernel` for a scope.
class this_thread_kernel_scope {
 public:
  explicit this_thread_kernel_scope(kernel& k) noexcept : before_(this_thread_kernel) {
    this_thread_kernel = &k;
  }
  this_thread_kernel_scope(const this_thread_kernel_scope&) = delete;
  this_thread_kernel_scope& operator=(const this_thread_kernel_scope&) = delete;
  ~this_thread_kernel_scope() { this_thread_kernel = before_; }

 private:
  kernel* before_;
};

}  // namespace parkring::kernel
