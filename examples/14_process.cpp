// Runs other programs: for their output, as a filter between two pipes, and for no longer than they
// may take.
#include <algorithm>
#include <chrono>
#include <iostream>
#include <span>
#include <stdexcept>
#include <string>

#include <parkring/parkring.hpp>

namespace pr = parkring;
using namespace std::chrono_literals;

// What comes through a pipe until its other side closes.
pr::task<std::string> read_all(pr::fs::file& from) {
  std::string text;
  pr::buffer part(4096);
  while (const auto n = co_await from.read_at(part, 0)) text += part.text(0, n);
  co_return text;
}

pr::task<> feed(pr::process& to, std::string text) {
  pr::buffer bytes(text.size());
  std::ranges::copy(std::as_bytes(std::span(text)), bytes.bytes().begin());
  co_await to.stdin_pipe().write_all_at(bytes, 0);
  to.close_stdin();  // else it would wait for more
}

// Both sides at once: a filter that fills one pipe before it has read the other would wait for
// ever.
pr::task<std::string> sorted(std::string lines) {
  pr::command sort("sort", "-u");
  sort.stdin_from(pr::stdio::pipe).stdout_to(pr::stdio::pipe).environment("LC_ALL", "C");
  pr::process p = co_await sort.spawn();
  auto [fed, text] = co_await pr::when_all(feed(p, std::move(lines)), read_all(p.stdout_pipe()));
  const auto how = co_await p.wait();
  if (!how.success()) throw std::runtime_error("sort " + how.text());
  co_return std::move(text);
}

pr::task<> tour() {
  const auto said = co_await pr::command("uname", "-s").output();
  std::cout << "uname said " << said.out << "and " << said.status.text() << '\n';

  std::cout << co_await sorted("pear\napple\npear\n");

  const auto late = co_await pr::timeout(20ms, pr::command("sleep", "100").output());
  std::cout << (late ? "sleep has ended\n" : "sleep took too long, and was killed\n");

  pr::process p = co_await pr::command("sleep", "100").spawn();
  std::cout << "sleep " << (co_await p.terminate(1s)).text() << '\n';

  const auto none = co_await pr::as_result(pr::command("no-such-program").spawn());
  if (!none) std::cout << none.error().message() << '\n';
}

int main() try { pr::run(tour()); } catch (const std::exception& e) {
  std::cerr << e.what() << '\n';
  return 1;
}
