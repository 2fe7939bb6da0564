// test-args: 4
// A counter in a file: changed by several tasks or processes at once, one after the other, and
// after a power cut it is what it was before or after a change, never half of one.
#include <cstdlib>
#include <iostream>
#include <string>

#include <parkring/parkring.hpp>

namespace pr = parkring;
namespace fs = parkring::fs;

// The lock is on a file of its own: the counter's own is another file after each change.
pr::task<int> count_one(std::filesystem::path counter, const fs::file& lock_file) {
  const fs::file_lock mine = co_await fs::lock(lock_file, fs::lock_kind::exclusive);
  const auto before = co_await pr::as_result(fs::read_file(counter));
  const int now = before ? std::stoi(*before) + 1 : 1;
  co_await fs::write_file_durably(counter, std::to_string(now));
  co_return now;
}

pr::task<> count(int times) {
  const fs::temporary_directory dir =
      co_await fs::create_temporary_directory(std::filesystem::temp_directory_path());
  co_await fs::create_directories(dir / "state/counters");

  // What starts from an open directory stays there, whoever renames it.
  fs::directory state = co_await fs::open_directory(dir / "state");
  const fs::open_options anew{.access = fs::access::read_write,
                              .creation = fs::creation::if_missing};
  fs::file lock_file = co_await state.open("lock", anew, fs::within::beneath);

  const auto counter = dir / "state/counters/visits";
  std::vector<pr::task<int>> visits;
  for (int i = 0; i < times; ++i) visits.push_back(count_one(counter, lock_file));
  co_await pr::when_all(std::move(visits));

  const fs::metadata m = co_await state.stat("counters/visits");
  std::cout << fs::name_of(m.type) << " of " << m.size << " byte(s), mode " << std::oct
            << m.permissions << std::dec << ": " << co_await fs::read_file(counter) << '\n';
}

int main(int argc, char** argv) try {
  pr::run(count(argc > 1 ? std::atoi(argv[1]) : 10));
} catch (const std::exception& e) {
  std::cerr << e.what() << '\n';
  return 1;
}
