// examples/kv_store in a simulated world: what happens to it there, and what must hold.
//
// A world has several lives. In each the store is opened, and must contain what the ones before
// left; then tasks change it at once, while requests fail and, at a step that is drawn, the power.
// What it must contain: changes take effect in the order in which they were begun, so it is what
// the last opening found, and a beginning of the changes begun since, which includes at least all
// that were acknowledged.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <parkring/parkring.hpp>
#include <parkring/sim/explore.hpp>

#include "kv_store_testing.hpp"

namespace kv::testing {

/// What the store was asked to do, and what it has answered.
class history {
 public:
  /// A change begins. Gives its number, for `acknowledge`.
  std::size_t begin(std::string key, std::optional<std::string> value) {
    begun_.push_back({std::move(key), std::move(value)});
    return begun_.size();
  }
  void acknowledge(std::size_t number) {
    if (number > acknowledged_) acknowledged_ = number;
  }

  /// The store was opened: fails unless it contains what it may. From now on it must contain that.
  void opened(const contents& found) {
    contents may = base_;
    std::size_t n = 0;
    for (; n < acknowledged_; ++n) apply(begun_[n], may);
    const contents least = may;
    while (may != found && n < begun_.size()) apply(begun_[n++], may);
    parkring::sim::require(may == found, "the store contains " + words(found) +
                                             "; what was acknowledged is " + words(least) +
                                             later());
    base_ = found;
    begun_.clear();
    acknowledged_ = 0;
  }

 private:
  struct change {
    std::string key;
    std::optional<std::string> value;
  };
  static void apply(const change& c, contents& to) {
    if (c.value)
      to[c.key] = *c.value;
    else
      to.erase(c.key);
  }
  static std::string start_of(const std::string& value) { return value.substr(0, value.find('.')); }
  static std::string words(const contents& all) {
    std::string out = "{";
    for (const auto& [key, value] : all) out += " " + key + "=" + start_of(value);
    return out + " }";
  }
  [[nodiscard]] std::string later() const {
    std::string out;
    for (std::size_t n = acknowledged_; n < begun_.size(); ++n)
      out += (out.empty() ? "; begun later: " : ", ") + begun_[n].key + "=" +
             (begun_[n].value ? start_of(*begun_[n].value) : std::string("nothing"));
    return out;
  }

  contents base_;              // what the last opening found
  std::vector<change> begun_;  // since, in order
  std::size_t acknowledged_ = 0;
};

/// Several lives of one store in one world.
class store_lives {
 public:
  struct settings {
    store_flaws flaws{};
    unsigned writers = 3;
    unsigned changes = 4;  // of each writer in each life
    unsigned lives = 3;    // at most, and one more at the end, in which nothing goes wrong
    bool faults = true;
  };

  store_lives(parkring::sim::world& w, const settings& s) : w_(w), settings_(s) {}

  void run() {
    const std::uint64_t lives = 1 + w_.random(settings_.lives);
    for (std::uint64_t life = 0; life < lives; ++life) {
      w_.set_faults(settings_.faults ? drawn_faults() : parkring::sim::faults());
      w_.cut_within(200);
      w_.until_power_cut([&] { return busy_life(); });
      if (w_.chance(0.5)) w_.drop_caches();  // time passes: what a failed sync lost is seen
      parkring::sim::require(w_.open_descriptors() == 0, "a file was left open");
    }
    w_.set_faults({});
    w_.keep_power();
    w_.run([&] { return last_life(); });
    w_.run([&] { return look(); });
  }

 private:
  // What the store claims to survive.
  parkring::sim::faults drawn_faults() {
    constexpr double often[] = {0, 0.005, 0.02};
    const double p = often[w_.random(3)];
    auto f = parkring::sim::faults::bearable(p);
    f.short_write = w_.chance(0.5) ? 0.2 : 0;
    f.failed_sync = p;
    f.io_error_once = p;
    f.no_space = p;
    return f;
  }

  parkring::task<std::unique_ptr<store>> opened() {
    auto s = co_await store::open("/db", settings_.flaws);
    history_.opened(contents_of(*s));
    co_return s;
  }

  parkring::task<> busy_life() {
    std::unique_ptr<store> s;
    try {
      s = co_await opened();
    } catch (const parkring::io_error&) {
      co_return;  // the next life tries again
    }
    parkring::task_group group;
    for (unsigned i = 0; i < settings_.writers; ++i)
      group.spawn(&store_lives::write, this, s.get());
    if (w_.chance(0.5)) group.spawn(&store_lives::compact, this, s.get());
    co_await group.join();
    if (w_.chance(0.25)) co_return;  // as if the process had been killed
    try {
      co_await s->close();
    } catch (const store_failed&) {
    } catch (const parkring::io_error&) {
    }
  }

  static parkring::task<> change(store* s, std::string key, std::optional<std::string> value) {
    if (value)
      co_await s->put(std::move(key), std::move(*value));
    else
      co_await s->del(std::move(key));
  }

  static parkring::task<> write(store_lives* self, store* s) {
    auto& w = self->w_;
    for (unsigned i = 0; i < self->settings_.changes; ++i) {
      co_await parkring::sleep_for(std::chrono::microseconds(w.random(1'000)));
      const std::string key = "k" + std::to_string(w.random(5));
      std::optional<std::string> value;
      if (!w.chance(0.25))
        value = std::to_string(++self->values_) + "." + std::string(w.random(1'500), 'v');
      const std::size_t number = self->history_.begin(key, value);
      try {
        bool told = true;
        if (w.chance(0.1))  // who asked for it gives up, perhaps
          told = co_await parkring::timeout(std::chrono::microseconds(w.random(1'000)),
                                            change(s, key, value));
        else
          co_await change(s, key, value);
        if (told) self->history_.acknowledge(number);
      } catch (const store_failed&) {
        co_return;
      }
    }
  }

  static parkring::task<> compact(store_lives* self, store* s) {
    co_await parkring::sleep_for(std::chrono::microseconds(self->w_.random(3'000)));
    try {
      co_await s->compact();
    } catch (const store_failed&) {
    } catch (const parkring::io_error&) {
    }
  }

  // Nothing goes wrong, so nothing may fail.
  parkring::task<> last_life() {
    const auto s = co_await opened();
    const std::size_t number = history_.begin("last", "one");
    co_await s->put("last", "one");
    history_.acknowledge(number);
    co_await s->compact();
    co_await s->close();
  }
  parkring::task<> look() {
    const auto s = co_await opened();
    co_await s->close();
  }

  parkring::sim::world& w_;
  const settings settings_;
  history history_;
  std::uint64_t values_ = 0;  // so that each is another
};

}  // namespace kv::testing
