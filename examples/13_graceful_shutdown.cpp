// test-args: 30
// Ends in order. The first SIGINT or SIGTERM stops new work and lets what has begun finish, within
// a deadline; a second one ends everything at once. With a number it sends itself SIGTERM after so
// many milliseconds.
#include <signal.h>

#include <chrono>
#include <cstdlib>
#include <functional>
#include <iostream>

#include <parkring/parkring.hpp>

namespace pr = parkring;
using namespace std::chrono_literals;

pr::task<> serve_one(int number) {
  co_await pr::sleep_for(20ms);  // the work
  std::cout << "job " << number << " is done\n";
}

// Stands for a loop that accepts connections.
pr::task<> accept_work(pr::task_group& jobs) {
  for (int number = 1;; ++number) {
    co_await pr::sleep_for(8ms);
    jobs.spawn(serve_one, number);
  }
}

pr::task<> serve_until_told(std::chrono::milliseconds patience) {
  pr::signals stop({SIGINT, SIGTERM});  // from here on they end nothing by themselves
  pr::task_group jobs;
  auto accepting = pr::spawn(accept_work, std::ref(jobs));

  const auto first = co_await stop.next();
  std::cout << "signal " << first.number << ": no new work\n";
  accepting.abort();

  const auto ended = co_await pr::race(jobs.join(), pr::sleep_for(patience), stop.next());
  if (ended.index() == 0) std::cout << "all that had begun is done\n";
  if (ended.index() == 1) std::cout << "time is up: ";
  if (ended.index() == 2) std::cout << "told again: ";
  if (jobs.size() != 0) std::cout << jobs.size() << " job(s) are dropped\n";
  jobs.abort_all();  // as the group's end would; what the kernel has stays safe
}

// Stands for whoever sends the signal.
pr::task<> tell_myself(std::chrono::milliseconds after) {
  co_await pr::sleep_for(after);
  ::raise(SIGTERM);
}

int main(int argc, char** argv) try {
  pr::runtime rt;
  auto told = rt.spawn(
      [](int ms) -> pr::task<> {
        if (ms > 0) co_await tell_myself(std::chrono::milliseconds(ms));
      },
      argc > 1 ? std::atoi(argv[1]) : 0);
  rt.run(serve_until_told(5s));
} catch (const std::exception& e) {
  std::cerr << e.what() << '\n';
  return 1;
}
