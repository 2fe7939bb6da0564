// A simulated machine for tests: its time, disk and network are made up, and a seed decides
// everything that a real one would leave to chance.
//
//   pr::sim::world w(seed);
//   w.set_faults(pr::sim::faults::bearable(0.01));
//   w.cut_within(100);
//   w.until_power_cut([] { return write_something(); });
//   w.run([] { return check_what_survived(); });
//
// Programs need no change: they open files, sleep, spawn and wait as ever. What they must not do is
// ask the machine they really run on: no std::chrono clocks (`parkring::now` instead), no threads,
// no system calls on descriptors.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <parkring/error.hpp>
#include <parkring/runtime.hpp>
#include <parkring/sim/options.hpp>

namespace parkring::kernel {
class kernel;
}
namespace parkring::sim {

/// Thrown by `world::run` when the power was cut while the program ran.
class power_cut : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Thrown by `world::run` when every task waits and nothing can happen any more.
class nothing_can_happen : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Thrown by `world::run` when the program took more steps than `world_options::max_steps`.
class too_many_steps : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// How a program in a world ended.
enum class ending : std::uint8_t { finished, power_cut };

/// A host of the simulated network, as `world::add_host` gives it; a default one is the program's.
struct host {
  unsigned number = 0;
};

/// A simulated machine.
///
/// *Owns* its disk and network. *Thread*: one; the program and all its runtimes run on it.
/// *Drop*: let all runtimes end before; files and buffers may outlive it.
class world {
 public:
  explicit world(std::uint64_t seed, const world_options& options = {});
  world(const world&) = delete;
  world& operator=(const world&) = delete;
  ~world();

  // ---- programs ----

  /// Runs a program in this world. `program` gives something to await, which then runs on a new
  /// runtime of its own (with `options`), or it is a plain function that makes runtimes itself.
  /// Gives what that gives.
  /// *Errors*: what the program throws; `power_cut`; `nothing_can_happen`; `too_many_steps`. After
  /// a power cut the next run finds the disk as it survived.
  template <class Program>
  decltype(auto) run(Program&& program, const runtime_options& options = {}) {
    const entered inside(*this);
    const auto whole = [&]() -> decltype(auto) {
      if constexpr (detail::awaitable<std::invoke_result_t<Program&>>) {
        runtime rt(options);
        return rt.run(std::invoke(program));
      } else {
        return std::invoke(program);
      }
    };
    try {
      if constexpr (std::is_void_v<decltype(whole())>) {
        whole();
        check_power();
      } else {
        decltype(auto) value = whole();
        check_power();  // it may have gone while the runtime ended
        return value;
      }
    } catch (const machine_stopped&) {
      explain_stop();
    }
  }

  /// As `run`, for programs that the power may be cut under: says which it was, and is ready for
  /// the next program.
  template <class Program>
  ending until_power_cut(Program&& program, const runtime_options& options = {}) {
    try {
      (void)(run(std::forward<Program>(program), options), 0);
      return ending::finished;
    } catch (const power_cut&) {
      return ending::power_cut;
    }
  }

  /// While it lives, runtimes that this thread makes run in the world.
  class entered {
   public:
    explicit entered(world& w);
    entered(const entered&) = delete;
    entered& operator=(const entered&) = delete;
    ~entered();

   private:
    kernel::kernel* before_;
  };

  // ---- the power ----

  /// The power goes before step `n` of this world, counted from its beginning; at the next one, if
  /// that has been already. A step is the beginning or the end of a request. The last call counts,
  /// and a cut, once it came, has to be asked for anew.
  void cut_at_step(std::uint64_t n);
  /// The power goes before one of the next `n` steps, counted from now: which, is drawn.
  void cut_within(std::uint64_t n);
  /// The power goes when the world has existed for `t`, also when nothing happens then.
  void cut_at(std::chrono::nanoseconds t);
  /// The power goes at the next step.
  void cut_now();
  /// A cut that was asked for and has not happened yet, does not happen.
  void keep_power() noexcept;
  /// Steps so far; lives and power cuts do not start it anew.
  [[nodiscard]] std::uint64_t steps() const noexcept;
  /// Requests that were begun so far.
  [[nodiscard]] std::uint64_t operations() const noexcept;
  /// How many times the power was cut and came back.
  [[nodiscard]] unsigned power_cuts() const noexcept;

  // ---- chance ----

  [[nodiscard]] std::uint64_t seed() const noexcept;
  /// A random number below `n`, the same in every run of the seed.
  [[nodiscard]] std::uint64_t random(std::uint64_t n);
  /// True with probability `p`.
  [[nodiscard]] bool chance(double p);
  /// What goes wrong.
  [[nodiscard]] const sim::faults& faults() const noexcept;
  /// Other things go wrong from now on; between programs, or while one runs.
  void set_faults(const sim::faults& f);
  /// What went wrong so far, in order: the ordinal of each fault and its name.
  struct injection {
    std::uint64_t ordinal;
    std::string what;
  };
  [[nodiscard]] std::vector<injection> injected() const;

  // ---- to make a failure smaller, or to see one again that `explore` made smaller ----

  /// The fault of this ordinal does not happen; nothing else changes.
  void suppress(std::uint64_t ordinal);
  /// The first `cut_at_step`, `cut_within`, `cut_at` or `cut_now` of the program means this step.
  void force_cut_step(std::uint64_t n);
  /// No chance in times: requests, and what is sent over the network, take the least that they may,
  /// or the mean of an exponential latency, and never stall but by a fault.
  void calm();
  /// Before which step the power was cut first, and last.
  [[nodiscard]] std::optional<std::uint64_t> first_cut() const noexcept;
  [[nodiscard]] std::optional<std::uint64_t> last_cut() const noexcept;

  // ---- what happened ----

  /// Virtual time since the beginning.
  [[nodiscard]] std::chrono::nanoseconds now() const noexcept;
  /// Of everything that happened: order, times, results and bytes. Equal for equal runs.
  [[nodiscard]] std::uint64_t hash() const noexcept;
  /// The last `n` events, one in a line. If the last power cut lies before them, one half of the
  /// lines are the events that led to it.
  [[nodiscard]] std::string trace(std::size_t n = 50) const;
  /// Puts a line of the program's own into the trace.
  void note(const std::string& words);

  // ---- the disk, from outside: takes no time, and nothing goes wrong ----

  // What is changed here is durable at once, with what was done before in the directories above it.
  // What programs have written stays as it is.

  /// Creates or replaces a file.
  void write_file(std::string_view path, std::string_view content);
  /// *Errors*: `std::system_error`, as of all below.
  [[nodiscard]] std::string read_file(std::string_view path) const;
  [[nodiscard]] bool exists(std::string_view path) const;
  void create_directory(std::string_view path);
  void remove(std::string_view path);
  /// The names in a directory, in order.
  [[nodiscard]] std::vector<std::string> list(std::string_view path) const;
  /// Reads and write-backs of this part of a file fail from now on.
  void damage(std::string_view path, std::uint64_t offset, std::uint64_t size);
  /// What is clean leaves the page cache: reads give what the device has, which after a failed sync
  /// is something else.
  void drop_caches();

  // ---- pipes, from outside ----

  /// The descriptors of the two ends of a pipe, which the world has open. A program takes one over
  /// with `fs::adopt_descriptor`, or opens an end once more by the path "/proc/self/fd/N".
  struct pipe {
    int read_end;
    int write_end;
  };
  [[nodiscard]] pipe make_pipe();
  /// A pipe with a name, durable (mkfifo(3)).
  void make_fifo(std::string_view path);
  /// Puts bytes into a pipe, as far as there is room: how many. Programs notice in their own time.
  std::size_t put(int write_end, std::string_view bytes);
  /// Takes up to `most` bytes from a pipe; nothing when there are none.
  [[nodiscard]] std::string take(int read_end, std::size_t most);
  /// Closes a descriptor of the world.
  void close(int fd);

  // ---- the network, from outside ----

  /// A further host, with the addresses 10.0.0.n and fd00::n.
  host add_host();
  /// Sockets that programs make from now on are on this host; after a power cut on the first.
  void use_host(host h);
  [[nodiscard]] host host_in_use() const noexcept;
  void set_link(host a, host b, const link_options& options);
  /// Nothing passes between them until `heal`.
  void partition(host a, host b);
  /// Nothing passes from one to the other until `heal`; the other way all does.
  void block(host from, host to);
  /// All passes between these two again, or between all.
  void heal(host a, host b);
  void heal();
  /// Both ends of all connections of a host see a reset, now.
  void reset_connections(host h);
  /// The host stops and is back at once, with no socket open.
  void crash(host h);

  // ---- leaks ----

  /// Descriptors that programs have open.
  [[nodiscard]] std::size_t open_descriptors() const noexcept;

 private:
  void check_power();
  [[noreturn]] void explain_stop();

  struct parts;
  std::unique_ptr<parts> parts_;
};

}  // namespace parkring::sim
