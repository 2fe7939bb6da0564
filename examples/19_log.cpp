// test-args: {work}/ledger
// A ledger that survives power cuts: entries go into a write-ahead log, many tasks share each sync,
// and opening it again gives back all that was acknowledged.
#include <charconv>
#include <exception>
#include <filesystem>
#include <functional>
#include <iostream>
#include <string>

#include <parkring/parkring.hpp>

namespace pr = parkring;
using namespace pr::literals;

struct ledger {
  pr::fs::log entries;
  long balance = 0;
};

// Applies what the log holds, in order.
pr::task<ledger> open_ledger(std::filesystem::path directory) {
  ledger l;
  l.entries = co_await pr::fs::log::open(directory, {.segment = 1_MiB});
  const auto& found = l.entries.recovered();
  if (found.why == pr::fs::log_end::torn)
    std::cout << "cut " << found.cut << " bytes that were never acknowledged\n";
  auto records = l.entries.records();
  while (auto r = co_await records.next()) {
    long amount = 0;
    std::from_chars(r->bytes.data(), r->bytes.data() + r->bytes.size(), amount);
    l.balance += amount;
  }
  co_return l;
}

// When it ends the entry is durable.
pr::task<> pay_in(ledger& l, long amount) {
  co_await l.entries.append(std::to_string(amount));
  l.balance += amount;
}

// One record says as much as all before it, which are needed no more.
pr::task<> sum_up(ledger& l) {
  const auto at = co_await l.entries.append(std::to_string(l.balance));
  co_await l.entries.truncate_before(at);
}

pr::task<> use(std::filesystem::path directory) {
  ledger l = co_await open_ledger(directory);
  std::cout << "balance " << l.balance << '\n';
  pr::task_group group;
  for (long i = 1; i <= 100; ++i) group.spawn(pay_in, std::ref(l), i);
  co_await group.join();
  const auto count = l.entries.counters();
  std::cout << count.records << " entries in " << count.groups << " syncs, balance " << l.balance
            << '\n';
  co_await sum_up(l);
  co_await l.entries.close();
}

int main(int argc, char** argv) try {
  if (argc != 2) {
    std::cerr << "usage: log DIRECTORY\n";
    return 2;
  }
  pr::run(use(argv[1]));
} catch (const std::exception& e) {
  std::cerr << e.what() << '\n';
  return 1;
}
