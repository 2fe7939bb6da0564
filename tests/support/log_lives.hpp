// A log in a simulated world: what happens to it there, and what must hold.
//
// A world has several lives. In each the log is opened, read, and used by tasks at once, while
// requests fail, and the power at a step that is drawn. What an opening must find: the records that
// the one before found, less what was truncated since, and behind them a beginning of those that
// were appended since, in their order, which includes at least all that were acknowledged.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <parkring/parkring.hpp>
#include <parkring/sim/explore.hpp>

#include "fs/log/state.hpp"

namespace parkring::fs::testing {

/// What the log was asked to do, and what it has answered.
class log_history {
 public:
  enum class answer : std::uint8_t { none, unknown, durable, refused };

  std::size_t begin(std::string bytes) {
    begun_.push_back({std::move(bytes), answer::none, {}});
    return begun_.size() - 1;
  }
  void answered(std::size_t number, answer a, lsn at = {}) {
    begun_[number].told = a;
    begun_[number].at = at;
  }
  /// All before is durable, as `sync` has said.
  [[nodiscard]] std::size_t begun() const noexcept { return begun_.size(); }
  void truncating(lsn to) { may_begin_ = std::max(may_begin_, to); }
  void truncated(lsn to) { begins_ = std::max(begins_, to); }
  /// Positions that are known, to choose from.
  [[nodiscard]] std::vector<lsn> durable_positions() const {
    std::vector<lsn> all;
    for (const auto& r : base_) all.push_back(r.next);
    for (const auto& a : begun_)
      if (a.told == answer::durable && a.at.value != 0) all.push_back(a.at);
    return all;
  }

  /// Fails unless the records may be what the log holds. From now on it must hold them.
  void opened(lsn first, std::vector<log_record> found) {
    for (const auto& a : begun_) ever_.insert(a.bytes);
    const auto say = [&](const std::string& what) {
      std::string text = what + "; found:";
      for (const auto& r : found) text += " " + std::to_string(r.at.value) + "=" + name(r.bytes);
      text += "; before:";
      for (const auto& r : base_) text += " " + std::to_string(r.at.value) + "=" + name(r.bytes);
      text += "; then:";
      for (const auto& a : begun_)
        text += " " + name(a.bytes) +
                (a.told == answer::durable   ? "!"
                 : a.told == answer::refused ? "-"
                                             : "?");
      return text;
    };
    using sim::require;
    require(first >= begins_, say("what was truncated has come back"));
    require(first <= std::max(begins_, may_begin_), say("it was truncated by itself"));
    for (std::size_t i = 0; i < found.size(); ++i)
      require(found[i].at >= (i == 0 ? first : found[i - 1].next), say("positions go back"));
    std::size_t at = 0;
    for (const auto& r : base_) {
      if (r.at < first) continue;
      require(at < found.size() && found[at].at == r.at && found[at].bytes == r.bytes,
              say("what an earlier opening found is lost"));
      ++at;
    }
    std::size_t next = 0;
    for (; at < found.size(); ++at, ++next) {
      while (next < begun_.size() && begun_[next].bytes != found[at].bytes) {
        const attempt& missing = begun_[next];
        require(missing.told != answer::durable || missing.at < first,
                say("an acknowledged record is lost in the middle"));
        require(missing.told != answer::none || missing.at < first || missing.gone,
                say("a record is lost before one that is there"));
        ++next;
      }
      require(next < begun_.size(), say("a record is there that nobody appended, or twice"));
      require(begun_[next].told != answer::refused, say("a record that was refused is there"));
    }
    for (; next < begun_.size(); ++next)
      require(begun_[next].told != answer::durable || begun_[next].at < first,
              say("an acknowledged record is lost"));
    base_ = std::move(found);
    begun_.clear();
    begins_ = may_begin_ = first;
  }
  /// The same of a device that lies: it may have lost or changed anything, and the log must not
  /// give what was never appended.
  void opened_on_a_liar(const std::vector<log_record>& found) {
    for (const auto& a : begun_) ever_.insert(a.bytes);
    begun_.clear();
    for (const auto& r : found)
      sim::require(ever_.contains(r.bytes), "a record is there that nobody appended");
  }
  void gone(std::size_t number) { begun_[number].gone = true; }

 private:
  struct attempt {
    std::string bytes;
    answer told = answer::none;
    lsn at;
    bool gone = false;  // who appended was dropped
  };
  static std::string name(const std::string& bytes) { return bytes.substr(0, bytes.find('.')); }

  std::vector<log_record> base_;  // what the last opening found
  std::vector<attempt> begun_;    // since, in order
  std::set<std::string> ever_;    // of all lives
  lsn begins_, may_begin_;        // truncations that were acknowledged, and begun
};

/// Several lives of one log in one world.
class log_lives {
 public:
  struct settings {
    wal::flaws flaws{};
    log_options options{.segment = 4096, .group = 1024};
    unsigned writers = 3;
    unsigned records = 6;  // of each writer in each life
    unsigned lives = 3;    // at most, and one more at the end, in which nothing goes wrong
    std::uint64_t cut_within = 300;
    // What goes wrong in a life; none: what a log claims to survive, by chance.
    std::optional<sim::faults> faults{};
    bool lasting = false;  // what went wrong stays: the last life may fail too
    bool lies = false;     // the device does: only what is no record must be noticed
  };

  log_lives(sim::world& w, const settings& s) : w_(w), settings_(s) {}

  void run() {
    const std::uint64_t lives = 1 + w_.random(settings_.lives);
    for (std::uint64_t life = 0; life < lives; ++life) {
      w_.set_faults(settings_.faults ? *settings_.faults : drawn_faults());
      w_.cut_within(settings_.cut_within);
      w_.until_power_cut([&] { return busy_life(); });
      if (w_.chance(0.5)) w_.drop_caches();  // time passes: what a failed sync lost is seen
      sim::require(w_.open_descriptors() == 0, "a file was left open");
    }
    w_.set_faults({});
    w_.keep_power();
    try {
      w_.run([&] { return last_life(); });
      w_.run([&] { return look(); });
    } catch (const io_error& e) {
      const int number = e.error().number();
      const bool may =
          (settings_.lasting && number == EIO) || (settings_.lies && number == EBADMSG);
      if (!may) throw;
    }
  }

 private:
  using answer = log_history::answer;

  sim::faults drawn_faults() {
    constexpr double often[] = {0, 0.005, 0.02};
    const double p = often[w_.random(3)];
    auto f = sim::faults::bearable(p);
    f.short_write = w_.chance(0.5) ? 0.2 : 0;
    f.failed_sync = p;
    f.io_error_once = p;
    f.no_space = w_.chance(0.5) ? 10 * p : p;
    return f;
  }

  task<log> opened() {
    log l = co_await wal::log_access::open("/wal", settings_.options, settings_.flaws);
    std::vector<log_record> found;
    auto all = l.records();
    while (auto r = co_await all.next()) found.push_back(std::move(*r));
    if (settings_.lies)
      history_.opened_on_a_liar(found);
    else
      history_.opened(l.first(), std::move(found));
    co_return l;
  }

  task<> busy_life() {
    log l;
    try {
      l = co_await opened();
    } catch (const io_error& e) {
      may_fail_to_open(e);
      co_return;  // the next life tries again
    }
    {
      task_group group;
      for (unsigned i = 0; i < settings_.writers; ++i) group.spawn(&log_lives::write, this, &l);
      if (w_.chance(0.7)) group.spawn(&log_lives::truncate, this, &l);
      if (w_.chance(0.5)) group.spawn(&log_lives::follow, this, &l);
      co_await group.join();
    }
    if (w_.chance(0.3)) co_return;  // it is dropped, as if the process had been killed
    try {
      co_await l.close();
    } catch (const io_error&) {
      co_return;
    }
    if (w_.chance(0.3)) co_await reopen();
  }

  // At once, on the same runtime.
  task<> reopen() {
    try {
      const log l = co_await opened();
    } catch (const io_error& e) {
      may_fail_to_open(e);
    }
  }

  void may_fail_to_open(const io_error& e) const {
    sim::require(settings_.lies || e.error().number() != EBADMSG,
                 std::string("an end was taken for damage: ") + e.what());
  }

  static task<lsn> append(log* l, std::string bytes) {
    co_return co_await l->append(std::move(bytes));
  }

  static task<> write(log_lives* self, log* l) {
    sim::world& w = self->w_;
    log_history& h = self->history_;
    for (unsigned i = 0; i < self->settings_.records; ++i) {
      if (w.chance(0.5)) co_await sleep_for(std::chrono::microseconds(w.random(1'000)));
      const std::uint64_t most = w.chance(0.1) ? 3'000 : w.chance(0.5) ? 40 : 700;
      std::string bytes = std::to_string(++self->made_) + "." + std::string(w.random(most), 'v');
      const std::size_t number = h.begin(bytes);
      try {
        if (w.chance(0.1)) {  // who asked for it gives up, perhaps
          const auto told = co_await timeout(std::chrono::microseconds(w.random(1'000)),
                                             append(l, std::move(bytes)));
          if (told)
            h.answered(number, answer::durable, *told);
          else
            h.gone(number);
        } else if (w.chance(0.2)) {
          const lsn at = co_await l->append_unsynced(std::move(bytes));
          if (w.chance(0.5)) {
            co_await l->durable(at);
            h.answered(number, answer::durable, at);
          } else {
            h.gone(number);  // nobody will be told if it is refused
          }
        } else {
          const lsn at = co_await l->append(copying(bytes));
          h.answered(number, answer::durable, at);
        }
      } catch (const io_error& e) {
        if (l->failure()) {
          h.answered(number, answer::unknown);
          h.gone(number);
          co_return;
        }
        sim::require(e.error().number() == ENOSPC || e.error().number() == EMFILE,
                     std::string("refused for no reason: ") + e.what());
        h.answered(number, answer::refused);
      }
    }
  }

  static task<> truncate(log_lives* self, log* l) {
    sim::world& w = self->w_;
    for (int i = 0; i < 3; ++i) {
      co_await sleep_for(std::chrono::microseconds(w.random(3'000)));
      const auto all = self->history_.durable_positions();
      if (all.empty()) continue;
      const lsn to = w.chance(0.3) ? l->durable_end() : all[w.random(all.size())];
      self->history_.truncating(to);
      try {
        co_await l->truncate_before(to);
        self->history_.truncated(to);
        sim::require(l->first() >= to, "it begins before it was truncated");
      } catch (const io_error& e) {
        if (l->failure()) co_return;
        sim::require(e.error().number() == ENOSPC, e.what());
      }
    }
  }

  // Reads along; what it reads must be in order, and was appended.
  static task<> follow(log_lives* self, log* l) {
    try {
      auto all =
          l->records(l->first(), self->w_.chance(0.5) ? log_reading::follow : log_reading::to_end);
      lsn at{};
      for (;;) {
        auto one = co_await timeout(std::chrono::microseconds(3'000), all.next());
        if (!one || !*one) co_return;
        sim::require((*one)->at >= at, "a reader goes back");
        at = (*one)->next;
      }
    } catch (const io_error& e) {
      const int number = e.error().number();
      sim::require(self->settings_.lies || (number != EBADMSG && number != EINVAL),
                   std::string("a reader sees what is no record: ") + e.what());
    }
  }

  // Nothing goes wrong, so nothing may fail.
  task<> last_life() {
    log l = co_await opened();
    std::string last = "last." + std::string(600, 'v');
    for (int i = 0; i < 8; ++i) {
      std::string bytes = std::to_string(++made_) + last;
      const std::size_t number = history_.begin(bytes);
      const lsn at = co_await l.append(std::move(bytes));
      history_.answered(number, answer::durable, at);
    }
    co_await l.close();
  }
  task<> look() {
    log l = co_await opened();
    co_await l.close();
  }

  sim::world& w_;
  const settings settings_;
  log_history history_;
  std::uint64_t made_ = 0;  // so that each is another
};

}  // namespace parkring::fs::testing
