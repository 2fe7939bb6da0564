// What travels between threads: a parcel to a ring's thread, and the job, which comes back as one.
//
// A job is made on a ring's thread, lent to the workers, run once on one of them or withdrawn
// before, and comes home through the ring's channel.
//   queued    on the workers' list; the ring's thread may withdraw it
//   running   a worker's; nobody else touches it. The system call of one that is interruptible may
//             be made to end: then it ends with -ECANCELED, or as it had ended already
//   done      in the channel, or thrown away: the ring had gone
// `where` changes under the workers' lock only. A job owns all that it acts on but the memory of
// its transfer, which the request owes to whoever submitted it, as with io_uring.
#pragma once

#include <cstdint>
#include <memory>

namespace parkring::kernel::emulated {
struct request;
}

namespace parkring::kernel::threads {

class backend;
class channel;
class interrupter;

/// Something for a ring's thread, from another thread.
struct parcel {
  parcel() = default;
  parcel(const parcel&) = delete;
  parcel& operator=(const parcel&) = delete;
  virtual ~parcel() = default;

  /// On the ring's thread. The caller destroys the parcel afterwards, unless this answers false:
  /// then it goes on to somewhere else.
  virtual bool arrive(backend& at) noexcept = 0;
  /// The ring has gone: undoes what nobody will learn of. Any thread.
  virtual void discard() noexcept {}

  parcel* next_parcel = nullptr;
};

enum class worker_class : std::uint8_t {
  bounded,    // what ends by itself: files and paths
  unbounded,  // what may wait for somebody else for ever
  ready       // what has just been ready: it waits only when somebody else was faster
};

struct job : parcel {
  /// On a worker: does the work and sets `result`. Does not throw.
  virtual void run() = 0;
  bool arrive(backend& at) noexcept override;

  std::int64_t result = 0;
  emulated::request* of = nullptr;  // the ring's thread's only
  int fd = -1;                      // what it acts on; does not change once it is lent
  std::shared_ptr<channel> home;

  enum class stage : std::uint8_t { queued, running, done };
  stage where = stage::queued;  // under the lock of its class's workers
  worker_class by = worker_class::bounded;
  bool interruptible = false;     // its result may be -EINTR: then nothing was done
  bool interrupted = false;       // under the lock: its worker was told to leave the call
  interrupter* runner = nullptr;  // under the lock, while it runs and is interruptible
  job* next = nullptr;            // on the workers' list
  job* prev = nullptr;
};

}  // namespace parkring::kernel::threads
