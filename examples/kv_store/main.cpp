// A command line for the store: each call opens it, does one thing, and closes it.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <iostream>
#include <string>

#include <CLI/CLI.hpp>

#include <parkring/runtime.hpp>

#include "store.hpp"

namespace pr = parkring;

namespace {

// Puts `count` values by up to 64 tasks at once, as the clients of a server would.
pr::task<> bench(kv::store& s, std::size_t count) {
  constexpr std::size_t most_writers = 64;
  const std::size_t writers = std::min(count, most_writers);
  const auto begin = std::chrono::steady_clock::now();
  std::size_t next = 0;
  auto writer = [&s, &next, count]() -> pr::task<> {
    while (next < count) {
      const std::size_t mine = next++;
      co_await s.put("bench-" + std::to_string(mine), std::string(100, 'v'));
    }
  };
  pr::task_group group;
  for (std::size_t i = 0; i < writers; ++i) group.spawn(writer);
  co_await group.join();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  const auto& n = s.counters();
  std::cout << count << " puts by " << writers << " tasks in " << took.count()
            << " s: " << static_cast<double>(count) / took.count() << " per second, " << n.commits
            << " syncs\n";
}

struct command {
  std::string directory, name, key, value;
  std::size_t count = 0;
};

pr::task<int> run(command c) {
  int status = 0;
  const auto s = co_await kv::store::open(c.directory);
  if (c.name == "put") co_await s->put(c.key, c.value);
  if (c.name == "del") co_await s->del(c.key);
  if (c.name == "compact") co_await s->compact();
  if (c.name == "bench") co_await bench(*s, c.count);
  if (c.name == "list")
    s->for_each(
        [](const auto& key, const auto& value) { std::cout << key << ' ' << value << '\n'; });
  if (c.name == "get") {
    const auto value = s->get(c.key);
    if (value) std::cout << *value << '\n';
    if (!value) {
      std::cerr << c.key << ": no such key\n";
      status = 1;
    }
  }
  co_await s->close();
  co_return status;
}

}  // namespace

int main(int argc, char** argv) try {
  command c;
  CLI::App app("A key-value store in DIR, which is created if it is missing.");
  app.add_option("DIR", c.directory, "the directory of the store")->required();
  app.require_subcommand(1);
  auto* put = app.add_subcommand("put", "sets the value of a key");
  put->add_option("KEY", c.key)->required();
  put->add_option("VALUE", c.value)->required();
  app.add_subcommand("get", "prints the value of a key; fails if there is none")
      ->add_option("KEY", c.key)
      ->required();
  app.add_subcommand("del", "deletes a key")->add_option("KEY", c.key)->required();
  app.add_subcommand("list", "prints all keys and values, in order");
  app.add_subcommand("compact", "replaces the log by a snapshot");
  app.add_subcommand("bench", "puts N values by 64 tasks and tells how fast")
      ->add_option("N", c.count)
      ->required();
  CLI11_PARSE(app, argc, argv);
  c.name = app.get_subcommands().front()->get_name();
  return pr::run(run(std::move(c)));
} catch (const std::exception& e) {
  std::cerr << "kv_store: " << e.what() << '\n';
  return 1;
}
