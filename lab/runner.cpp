#include "runner.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <string_view>

#include "contender.hpp"
#include "data_file.hpp"
#include "process.hpp"
#include "report.hpp"
#include "statistics.hpp"
#include "syscall_trace.hpp"
#include "tree_files.hpp"

namespace lab {
namespace {

using clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

struct entrant {
  const contender* who;
  std::vector<measurement> rounds;
  std::string failure;
};

double seconds(clock::duration time) { return std::chrono::duration<double>(time).count(); }

bool chosen(const run_plan& plan, const contender& who) {
  if (plan.quick && !who.quick) return false;
  if (plan.contenders.empty()) return true;
  const std::string_view name = who.name;
  return std::any_of(plan.contenders.begin(), plan.contenders.end(), [&](const std::string& want) {
    return want == name || want == name.substr(0, name.find('/'));
  });
}

class run {
 public:
  run(const run_plan& plan, const std::function<const data_file&()>& file, progress& screen)
      : plan_(plan), file_(file), screen_(screen), end_(clock::now() + plan.time) {}

  results all() {
    const roster& everybody = all_contenders();
    for (std::size_t i = 0; i < plan_.rows.size(); ++i) {
      const row& what = plan_.rows[i];
      std::vector<entrant> entrants;
      for (const contender& who : everybody.present)
        if (who.does(what) && chosen(plan_, who)) entrants.push_back({&who, {}, {}});
      if (entrants.empty()) continue;
      if (!prepare(what)) continue;
      unsigned weights = 0;
      for (std::size_t later = i; later < plan_.rows.size(); ++later)
        weights += plan_.rows[later].weight;
      const auto time_left = std::max<clock::duration>(end_ - clock::now(), milliseconds(1));
      measure(what, entrants, time_left * what.weight / weights);
      conclude(what, entrants);
    }
    for (const std::string& reason : everybody.left_out) remark("left out: " + reason);
    return std::move(results_);
  }

 private:
  void remark(const std::string& text) { results_.remarks.push_back(text); }

  void remark_once(const std::string& text) {
    const auto& made = results_.remarks;
    if (!text.empty() && std::find(made.begin(), made.end(), text) == made.end()) remark(text);
  }

  // Brings the page cache into the state that the row asks for; false when the row must be left
  // out.
  bool prepare(const row& what) {
    if (what.tree) return prepare_tree(what);
    if (what.part == extent::none) return true;
    const data_file& file = file_();
    path_ = file.path();
    table_ = &file.table();
    if (what.direct) {
      if (!file.why_not_direct().empty()) {
        remark("left out: " + std::string(what.name) + ": " + path_ +
               " cannot be read past the page cache (" + file.why_not_direct() + ")");
        return false;
      }
      if (pages_) pages_.reset();
      drop_cached_pages(path_);
      return true;
    }
    const std::uint64_t bytes = what.part == extent::hot_set
                                    ? std::min<std::uint64_t>(hot_set_bytes, file.size())
                                    : file.size();
    if (!pages_ || pages_bytes_ < bytes) {
      screen_.show(done_, all_, "reading " + path_ + " into the page cache");
      pages_.reset();
      pages_ = std::make_unique<cached_pages>(path_, bytes);
      pages_bytes_ = bytes;
      if (!pages_->locked())
        remark(
            "the limit for locked memory (ulimit -l) does not allow to keep the file in the "
            "page cache; it was read again before each measurement");
    }
    return true;
  }

  bool prepare_tree(const row& what) {
    if (!tree_) tree_ = std::make_unique<tree_files>([&](const std::string& s) { screen_.say(s); });
    path_ = tree_->root().native();
    if (!what.cold) {
      tree_->warm_up();
      return true;
    }
    const std::string refused = drop_all_caches();
    if (!refused.empty())
      remark("left out: " + std::string(what.name) + ": the kernel's caches cannot be dropped (" +
             refused + ")");
    return refused.empty();
  }

  void measure(const row& what, std::vector<entrant>& entrants, clock::duration time) {
    const std::size_t number = entrants.size() * plan_.rounds;
    all_ = plan_.rows.size() * number;
    done_ = static_cast<std::size_t>(&what - plan_.rows.data()) * number;
    const auto row_start = clock::now();
    const double share = seconds(time) / static_cast<double>(number);
    const double slice = std::clamp(share - overhead_, 0.01, 1.0);
    session_plan plan{.what = &what,
                      .table = table_,
                      .path = path_.c_str(),
                      .nanoseconds = static_cast<std::uint64_t>(slice * 1e9),
                      .noatime = plan_.noatime};
    double least_present = 1.0;
    for (unsigned round = 0; round < plan_.rounds; ++round) {
      for (std::size_t i = 0; i < entrants.size(); ++i) {
        // Each round starts with another one, so that nobody always follows the same neighbour.
        entrant& current = entrants[(i + round) % entrants.size()];
        screen_.show(done_++, all_,
                     std::string(what.name) + ", round " + std::to_string(round + 1) + " of " +
                         std::to_string(plan_.rounds) + ": " + current.who->name);
        if (!current.failure.empty()) continue;
        if (cached(what)) pages_->refresh();
        // A run on a tree goes to its end, after all that is dirty has gone to the disk.
        const long at_least = what.tree ? 180'000 : 5'000;
        const auto patience = milliseconds(static_cast<long>(slice * 10'000) + at_least);
        const outcome came = measure_in_child(*current.who, plan, plan_.cpu, patience);
        current.failure = came.failure;
        if (came.failure.empty()) current.rounds.push_back(came.figures);
        if (cached(what)) least_present = std::min(least_present, pages_->share_present());
      }
    }
    if (least_present < 0.999) {
      char text[160];
      std::snprintf(text, sizeof(text),
                    "%s: only %.1f %% of the file were in the page cache after a measurement; "
                    "its figures contain disk reads",
                    what.name.data(), least_present * 100);
      remark(text);
    }
    trace(what, entrants, plan);
    const double spent = seconds(clock::now() - row_start) / static_cast<double>(number);
    overhead_ = (overhead_ + std::max(0.0, spent - slice)) / 2;
  }

  static bool cached(const row& what) { return what.part != extent::none && !what.direct; }

  // Those that do not count their system calls are traced, once.
  void trace(const row& what, std::vector<entrant>& entrants, const session_plan& plan) {
    for (entrant& current : entrants) {
      if (current.rounds.empty() || !current.failure.empty()) continue;
      if (current.who->external) continue;
      const double own = current.rounds.front().syscalls_per_op;
      if (!std::isnan(own) && !plan_.trace_all) continue;
      screen_.show(done_, all_,
                   std::string(what.name) + ", counting system calls: " + current.who->name);
      const double counted = traced_syscalls_per_op(*current.who, plan, plan_.cpu);
      if (std::isnan(counted)) continue;
      for (measurement& round : current.rounds) round.syscalls_per_op = counted;
      if (!std::isnan(own) && std::abs(own - counted) > 0.01 + 0.05 * counted) {
        char text[160];
        std::snprintf(text, sizeof(text),
                      "%s, %s: counts %.3f system calls per operation itself, traced %.3f",
                      what.name.data(), current.who->name.c_str(), own, counted);
        remark(text);
      }
    }
  }

  void conclude(const row& what, const std::vector<entrant>& entrants) {
    const auto limit = std::find_if(entrants.begin(), entrants.end(),
                                    [](const entrant& one) { return one.who->name == "limit"; });
    double least_share = 1.0;
    for (const entrant& one : entrants) {
      result line;
      line.row = what.name;
      line.contender = one.who->name;
      line.failure = one.failure;
      line.rounds = static_cast<unsigned>(one.rounds.size());
      if (one.failure.empty()) {
        line.figures = median_of(one.rounds);
        if (limit != entrants.end() && limit->failure.empty())
          line.ratio = ratio_to(one.rounds, limit->rounds, what.by_cpu_time);
        std::vector<double> rates;
        for (const measurement& round : one.rounds)
          rates.push_back(what.by_cpu_time ? round.cpu_ns_per_op : round.ops_per_s);
        line.spread = spread(rates);
        least_share = std::min(least_share, line.figures.share);
        remark_once(one.who->remark);
      }
      results_.lines.push_back(std::move(line));
    }
    if (what.show_user_time) say_user_time(what, entrants);
    if (what.block != 4096) {
      remark(std::string(what.name) +
             (what.checksum ? ": an operation reads and sums " : ": an operation reads ") +
             std::to_string(what.block >> 10) + " KiB");
    }
    if (least_share < 1.0) {
      char text[200];
      std::snprintf(text, sizeof(text),
                    "%s: the time allowed for %.0f %% of the file; what was read was verified. "
                    "Give more with --seconds",
                    what.name.data(), least_share * 100);
      remark(text);
    }
  }

  // The tables have no column for it: the kernel only samples it.
  void say_user_time(const row& what, const std::vector<entrant>& entrants) {
    std::string text(what.name);
    text += ": of the CPU time, user space took";
    const char* separator = " ";
    for (const entrant& one : entrants) {
      if (!one.failure.empty()) continue;
      text += separator + with_unit(median_of(one.rounds).user_ns_per_op, true) + " (" +
              one.who->name + ")";
      separator = ", ";
    }
    remark(text);
  }

  const run_plan& plan_;
  const std::function<const data_file&()>& file_;
  progress& screen_;
  clock::time_point end_;
  results results_;
  std::string path_;
  block_table empty_;
  const block_table* table_ = &empty_;
  std::unique_ptr<cached_pages> pages_;
  std::uint64_t pages_bytes_ = 0;
  std::unique_ptr<tree_files> tree_;
  std::size_t done_ = 0;
  std::size_t all_ = 0;
  double overhead_ = 0.03;  // seconds that a measurement takes beside its timed phase
};

}  // namespace

results run_rows(const run_plan& plan, const std::function<const data_file&()>& file,
                 progress& screen) {
  return run(plan, file, screen).all();
}

}  // namespace lab
