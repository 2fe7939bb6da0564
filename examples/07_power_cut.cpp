// A program on a machine that is made up, whose power is cut at one step after another. It promises
// to keep lines of a journal; with a mistake that hardly any test on a real machine would find: it
// promises before the line is durable.
#include <algorithm>
#include <cstdint>
#include <exception>
#include <iostream>
#include <span>
#include <string>
#include <string_view>

#include <parkring/parkring.hpp>
#include <parkring/sim.hpp>

namespace pr = parkring;
namespace sim = parkring::sim;

constexpr std::string_view text = "a line\n";
enum class promises { too_early, in_time };

// `promised` is what others are told: so many lines are safe.
pr::task<> keep_lines(promises when, std::uint64_t& promised) {
  pr::buffer line(text.size());
  std::ranges::copy(std::as_bytes(std::span(text)), line.bytes().begin());
  auto journal = co_await pr::fs::open(
      "/journal", {.access = pr::fs::access::write, .creation = pr::fs::creation::if_missing});
  co_await pr::fs::sync_directory("/");  // its name
  for (std::uint64_t n = 1; n <= 5; ++n) {
    co_await journal.write_all_at(line, (n - 1) * text.size());
    if (when == promises::too_early) promised = n;
    co_await journal.datasync();
    if (when == promises::in_time) promised = n;
  }
}

// What happens in one world. It fails by throwing.
void scenario(sim::world& w, promises when) {
  std::uint64_t promised = 0;
  w.set_faults(sim::faults::bearable(0.01));
  w.cut_within(50);
  w.until_power_cut([&] { return keep_lines(when, promised); });

  const std::string found = w.exists("/journal") ? w.read_file("/journal") : "";
  std::string expected;
  for (std::uint64_t n = 0; n < promised; ++n) expected += text;
  sim::require(found.starts_with(expected),
               "of " + std::to_string(promised) + " lines not all are there");
}

int main() try {
  const sim::explore_options options{.seeds = 500, .trace_lines = 8, .print = false};
  const auto wrong = explore(options, [](sim::world& w) { scenario(w, promises::too_early); });
  std::cout << "Promises too early: " << wrong.text();
  const auto right = explore(options, [](sim::world& w) { scenario(w, promises::in_time); });
  std::cout << "Promises in time: " << right.text();
  return !wrong.ok() && right.ok() ? 0 : 1;
} catch (const std::exception& e) {
  std::cerr << e.what() << '\n';
  return 1;
}
