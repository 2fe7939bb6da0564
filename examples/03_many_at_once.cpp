// test-args: {source} {source} /etc/passwd /no/such/file
// Counts the lines of many files, all at the same time, on one thread.
#include <algorithm>
#include <functional>
#include <iostream>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include <parkring/parkring.hpp>

namespace pr = parkring;
using namespace pr::literals;
using path = std::filesystem::path;
using index_of_lines = std::map<path, std::ptrdiff_t>;

// One thread runs all tasks, so they share the index without a lock.
pr::task<> index_one(path p, index_of_lines& idx) {
  auto content = co_await pr::as_result(pr::fs::read_file(p));
  if (!content) {  // a file that cannot be read is no reason to stop
    std::cerr << content.error().message() << '\n';
    co_return;
  }
  idx[p] = std::ranges::count(*content, '\n');
}

// All of them: the group lets none outlive it, whatever is thrown.
pr::task<index_of_lines> index_all(std::vector<path> paths) {
  index_of_lines idx;
  pr::task_group group;
  for (auto& p : paths) group.spawn(index_one, p, std::ref(idx));
  co_await group.join();
  co_return idx;
}

// Both of two.
pr::task<bool> same_head(path left, path right) {
  auto [a, b] = co_await pr::when_all(pr::fs::open(left), pr::fs::open(right));
  pr::buffer x(4_KiB), y(4_KiB);
  auto [m, n] = co_await pr::when_all(a.read_at(x, 0), b.read_at(y, 0));
  co_return x.text(0, m) == y.text(0, n);
}

// The faster of two: the other is dropped, and its buffer disposed of.
pr::task<std::string> either_head(path primary, path replica) {
  auto [a, b] = co_await pr::when_all(pr::fs::open(primary), pr::fs::open(replica));
  pr::buffer x(4_KiB), y(4_KiB);
  auto winner = co_await pr::race(a.read_at(x, 0), b.read_at(y, 0));
  co_return std::string((winner.index == 0 ? x : y).text(0, winner.value));
}

pr::task<> report(std::vector<path> paths) {
  for (auto& [p, lines] : co_await index_all(paths))
    std::cout << lines << '\t' << p.native() << '\n';
  const bool same = co_await same_head(paths[0], paths[1]);
  const std::string head = co_await either_head(paths[0], paths[1]);
  std::cout << "the first two begin " << (same ? "alike" : "differently")
            << ", the faster of them with: " << head.substr(0, head.find('\n')) << '\n';
}

int main(int argc, char** argv) try {
  if (argc < 3) throw std::invalid_argument("usage: many_at_once FILE FILE...");
  pr::runtime rt;
  rt.run(report({argv + 1, argv + argc}));
  const auto c = rt.counters();
  std::cout << c.submissions << " requests in " << c.enters << " system calls\n";
} catch (const std::exception& e) {
  std::cerr << e.what() << '\n';
  return 1;
}
