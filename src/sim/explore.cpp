#include <parkring/sim/explore.hpp>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <mutex>
#include <thread>

namespace parkring::sim {
namespace {

// How a world is made to differ from what its seed says, to see whether it still fails.
struct variation {
  std::vector<std::uint64_t> without;
  std::optional<std::uint64_t> cut_step;
  bool calm = false;
};

struct outcome {
  bool failed = false;
  failure what;
  std::optional<std::uint64_t> first_cut;
  std::uint64_t operations = 0, steps = 0;
  std::uint64_t hash = 0;
};

void change(world& w, const variation& v) {
  for (const std::uint64_t ordinal : v.without) w.suppress(ordinal);
  if (v.cut_step) w.force_cut_step(*v.cut_step);
  if (v.calm) w.calm();
}

outcome run_once(const explore_options& o, std::uint64_t seed, const variation& v,
                 const std::function<void(world&)>& scenario) {
  outcome out;
  world w(seed, o.world);
  change(w, v);
  const auto failed = [&](const char* text) {
    out.failed = true;
    out.what = {.seed = seed,
                .step = w.steps(),
                .what = text,
                .cut_step = w.last_cut(),
                .forced_cut = v.cut_step,
                .faults = w.injected(),
                .without = v.without,
                .calm = v.calm,
                .repeatable = true,
                .trace = w.trace(o.trace_lines)};
  };
  try {
    scenario(w);
  } catch (const std::exception& e) {
    failed(e.what());
  } catch (...) {
    failed("something that is no std::exception was thrown");
  }
  out.operations = w.operations();
  out.steps = w.steps();
  out.first_cut = w.first_cut();
  out.hash = w.hash();
  return out;
}

// A failure, and what it takes to see that it comes again.
struct suspect {
  std::optional<failure> what;
  std::uint64_t hash = 0;
};

// Keeps whatever leaves the failure in place.
failure shrink(const explore_options& o, failure smallest, variation v,
               std::optional<std::uint64_t> first_cut,
               const std::function<void(world&)>& scenario) {
  unsigned tries = 500;
  std::uint64_t steps = 0;
  constexpr std::uint64_t enough_steps = 20'000'000;  // one that hangs takes many
  const auto still_fails = [&](const variation& changed) {
    if (tries == 0 || steps > enough_steps) return false;
    --tries;
    outcome out = run_once(o, smallest.seed, changed, scenario);
    steps += out.steps;
    if (!out.failed) return false;
    v = changed;
    first_cut = out.first_cut;
    smallest = std::move(out.what);
    return true;
  };
  variation calm = v;
  calm.calm = true;
  (void)still_fails(calm);
  // Faults in halves, then one by one.
  for (std::size_t part = std::max<std::size_t>(smallest.faults.size() / 2, 1);; part /= 2) {
    for (std::size_t from = 0; from < smallest.faults.size();) {
      variation fewer = v;
      for (std::size_t i = from; i < std::min(from + part, smallest.faults.size()); ++i)
        fewer.without.push_back(smallest.faults[i].ordinal);
      if (!still_fails(fewer)) from += part;
    }
    if (part <= 1) break;
  }
  // A fault that is not needed may yet have moved the steps behind it, and so the cut: without any
  // it may fail too, when the cut moves as well.
  if (!smallest.faults.empty() && first_cut) {
    variation none = v;
    for (const auto& f : smallest.faults) none.without.push_back(f.ordinal);
    const std::uint64_t last = *first_cut;
    for (std::uint64_t back = 0; back <= std::min<std::uint64_t>(last, 64); ++back) {
      none.cut_step = last - back;
      if (still_fails(none)) break;
    }
  }
  for (std::uint64_t back = first_cut.value_or(0); back != 0; back /= 2) {
    while (first_cut && *first_cut >= back) {
      variation earlier = v;
      earlier.cut_step = *first_cut - back;
      if (!still_fails(earlier)) break;
    }
  }
  return smallest;
}

// Of the failure with the lowest number.
void finish(const explore_options& o, exploration& found, suspect first,
            const std::function<void(world&)>& scenario) {
  if (!first.what) return;
  found.first = std::move(first.what);
  const variation v{.without = {}, .cut_step = found.first->forced_cut};
  const outcome again = run_once(o, found.first->seed, v, scenario);
  if (!again.failed || again.what.what != found.first->what || again.hash != first.hash)
    found.first->repeatable = false;
  else if (o.shrink)
    found.first = shrink(o, std::move(*found.first), v, again.first_cut, scenario);
  if (o.print) std::fprintf(stderr, "%s", found.text().c_str());
}

// Calls `run(i)` for i from 0 on, on several threads, up to `n` or the first that fails.
template <class Run>
exploration in_parallel(const explore_options& o, std::uint64_t n, suspect& first, const Run& run) {
  exploration all;
  std::atomic<std::uint64_t> next{0};
  std::atomic<std::uint64_t> lowest{n};  // that failed
  std::mutex mutex;
  std::exception_ptr broken;
  const auto work = [&] {
    try {
      for (;;) {
        const std::uint64_t i = next.fetch_add(1, std::memory_order_relaxed);
        if (i >= lowest.load(std::memory_order_relaxed)) return;
        outcome out = run(i);
        const std::scoped_lock lock(mutex);
        ++all.seeds;
        all.operations += out.operations;
        all.steps += out.steps;
        if (out.failed && i < lowest.load(std::memory_order_relaxed)) {
          lowest.store(i, std::memory_order_relaxed);
          first = {std::move(out.what), out.hash};
        }
      }
    } catch (...) {
      const std::scoped_lock lock(mutex);
      broken = std::current_exception();
      lowest.store(0, std::memory_order_relaxed);
    }
  };
  unsigned threads = o.threads != 0 ? o.threads : std::max(1u, std::thread::hardware_concurrency());
  threads = static_cast<unsigned>(std::min<std::uint64_t>(threads, n));
  {
    std::vector<std::jthread> others;
    for (unsigned i = 1; i < threads; ++i) others.emplace_back(work);
    work();
  }
  if (broken) std::rethrow_exception(broken);
  return all;
}

}  // namespace

exploration explore(const explore_options& o, const std::function<void(world&)>& scenario) {
  suspect first;
  exploration found = in_parallel(o, o.seeds, first, [&](std::uint64_t i) {
    return run_once(o, o.first_seed + i, {}, scenario);
  });
  finish(o, found, std::move(first), scenario);
  return found;
}

void replay(const explore_options& o, const failure& what,
            const std::function<void(world&)>& scenario) {
  world w(what.seed, o.world);
  change(w, {.without = what.without, .cut_step = what.forced_cut, .calm = what.calm});
  scenario(w);
}

namespace {

// Without a variation that moves the cut there is none.
std::function<void(world&)> with_a_cut(const std::function<void(world&)>& program,
                                       const std::function<void(world&)>& check) {
  return [&](world& w) {
    w.cut_at_step(~std::uint64_t{0});
    w.until_power_cut([&] { program(w); });
    check(w);
  };
}

}  // namespace

void replay(const explore_options& o, const failure& what,
            const std::function<void(world&)>& program, const std::function<void(world&)>& check) {
  replay(o, what, with_a_cut(program, check));
}

exploration explore_power_cuts(const explore_options& o, const std::function<void(world&)>& program,
                               const std::function<void(world&)>& check) {
  const auto scenario = with_a_cut(program, check);
  exploration all;
  suspect first;
  for (std::uint64_t seed = o.first_seed; seed < o.first_seed + o.seeds && !first.what; ++seed) {
    std::uint64_t steps = 0;
    outcome whole = run_once(o, seed, {}, [&](world& w) {
      w.until_power_cut([&] { program(w); });
      steps = w.steps();
      check(w);
    });
    exploration found;
    if (whole.failed) {
      first = {std::move(whole.what), whole.hash};
    } else {
      found = in_parallel(o, steps, first, [&](std::uint64_t i) {
        return run_once(o, seed, {.without = {}, .cut_step = i}, scenario);
      });
    }
    all.seeds += found.seeds + 1;
    all.operations += found.operations + whole.operations;
    all.steps += found.steps + whole.steps;
  }
  finish(o, all, std::move(first), scenario);
  return all;
}

std::string failure::text() const {
  std::string out = "failed with seed " + std::to_string(seed) + " at step " +
                    std::to_string(step) + ": " + what + "\n";
  if (!repeatable) {
    out +=
        "  The same seed did not fail the same way again: the scenario uses something beside its "
        "world (a clock, a thread, a static variable, an address).\n";
  }
  if (cut_step) out += "  The power was cut at step " + std::to_string(*cut_step) + ".\n";
  if (faults.empty()) {
    out += "  It takes no fault.\n";
  } else {
    out += "  It takes these faults:\n";
    for (const auto& f : faults) out += "    " + std::to_string(f.ordinal) + ": " + f.what + "\n";
  }
  if (calm) out += "  Requests took fixed times.\n";
  return out + "  The last events (step, time, what, request, subject, range, result):\n" + trace;
}

std::string exploration::text() const {
  std::string out = std::to_string(seeds) + " worlds, " + std::to_string(operations) +
                    " requests, " + std::to_string(steps) + " steps: ";
  return out + (first ? first->text() : std::string("nothing failed\n"));
}

}  // namespace parkring::sim
