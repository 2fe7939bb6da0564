// test-args: {source} /etc/passwd /etc/hosts
// A pipeline of three stages that pass values on: names of files, their contents, their counts. The
// channels between them are bounded, so a slow stage holds back the ones before it.
#include <algorithm>
#include <filesystem>
#include <functional>
#include <iostream>
#include <string>
#include <vector>

#include <parkring/parkring.hpp>

namespace pr = parkring;
using path = std::filesystem::path;

struct content {
  path from;
  std::string text;
};

// Several of these share the two channels: each name goes to one of them.
pr::task<> read_files(pr::channel_receiver<path> names, pr::channel_sender<content> contents) {
  while (auto name = co_await names.receive()) {
    auto text = co_await pr::as_result(pr::fs::read_file(*name));
    if (!text) continue;
    content one(*name, std::move(*text));
    co_await contents.send(std::move(one));
  }
}

// The sum is the program's: a lock guards it over the awaits of the one who adds to it.
struct totals {
  pr::mutex lock;
  long lines = 0;
};

pr::task<> count_lines(pr::channel_receiver<content> contents, totals& sum) {
  while (auto one = co_await contents.receive()) {
    const auto lines = std::ranges::count(one->text, '\n');
    const auto held = co_await sum.lock.lock();
    std::cout << one->from.native() << ": " << lines << '\n';
    sum.lines += lines;
  }
}

pr::task<long> run_pipeline(std::vector<path> files) {
  totals sum;
  auto names = pr::channel<path>(4);
  auto contents = pr::channel<content>(2);
  pr::task_group group;
  for (int i = 0; i < 3; ++i) group.spawn(read_files, names.receiver, contents.sender);
  group.spawn(count_lines, std::move(contents.receiver), std::ref(sum));
  contents.sender = {};  // the readers have theirs: when they end, the channel closes
  for (auto& file : files) co_await names.sender.send(std::move(file));
  names.sender = {};  // no more: the readers come to their end, and then the counter
  co_await group.join();
  co_return sum.lines;
}

int main(int argc, char** argv) try {
  std::vector<path> files(argv + 1, argv + argc);
  if (files.empty()) files = {"/etc/hostname", "/etc/hosts"};
  std::cout << pr::run(run_pipeline(std::move(files))) << " lines\n";
} catch (const std::exception& e) {
  std::cerr << e.what() << '\n';
  return 1;
}
