// Life of a shard: its thread makes a runtime and tells the constructor; runs it until `stop` is
// set; destroys it, and with it what still runs there. The constructor returns when all have a
// runtime, or fails when one has none, after the others have ended.
#include <parkring/shards.hpp>

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <future>
#include <string>
#include <thread>

#include <parkring/detail/core.hpp>

namespace parkring {
namespace {

constinit thread_local int number_of_this_thread = -1;

std::vector<int> usable_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> usable;
  if (::sched_getaffinity(0, sizeof set, &set) == 0)
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
      if (CPU_ISSET(cpu, &set)) usable.push_back(cpu);
  return usable;
}

void keep_on(int cpu) noexcept {  // where it is refused the shard runs anywhere
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  (void)::pthread_setaffinity_np(::pthread_self(), sizeof set, &set);
}

}  // namespace

struct shards::worker {
  event stop;
  std::promise<remote> started;
  std::thread thread;

  void serve(unsigned number, int cpu, const runtime_options& options) {
    number_of_this_thread = static_cast<int>(number);
    const std::string name = "shard-" + std::to_string(number);
    (void)::pthread_setname_np(::pthread_self(), name.c_str());
    if (cpu >= 0) keep_on(cpu);
    std::optional<runtime> rt;
    try {
      rt.emplace(options);
    } catch (...) {
      started.set_exception(std::current_exception());
      return;
    }
    started.set_value(rt->remote());
    rt->run(stop.wait());
  }
  ~worker() {
    stop.set();
    if (thread.joinable()) thread.join();
  }
};

shards::shards(const shards_options& options) {
  PARKRING_CHECK(!detail::in_simulated_world(),
                 "a simulated world has one thread: make no shards in it");
  const std::vector<int> cpus = usable_processors();
  const auto n = options.shards != 0 ? options.shards
                                     : static_cast<unsigned>(std::max<std::size_t>(1, cpus.size()));
  for (unsigned i = 0; i < n; ++i) {
    worker& s = *workers_.emplace_back(std::make_unique<worker>());
    const int cpu = options.pin && !cpus.empty() ? cpus[i % cpus.size()] : -1;
    s.thread = std::thread([&s, i, cpu, rt = options.runtime] { s.serve(i, cpu, rt); });
  }
  for (auto& s : workers_) remotes_.push_back(s->started.get_future().get());
}

shards::~shards() {
  PARKRING_CHECK(!this_shard().has_value(), "destroy shards from outside of them");
  for (auto& s : workers_) s->stop.set();  // all at once, then one after the other is waited for
}

std::optional<unsigned> shards::this_shard() noexcept {
  if (number_of_this_thread < 0) return std::nullopt;
  return static_cast<unsigned>(number_of_this_thread);
}

const remote& shards::remote_of(unsigned shard) const {
  PARKRING_CHECK(shard < remotes_.size(), "there is no shard of that number");
  return remotes_[shard];
}

}  // namespace parkring
