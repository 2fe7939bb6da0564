// A server's day: requests with names and deadlines, commits that cannot be dropped, a clean end.
#include <chrono>
#include <iostream>
#include <string>
#include <vector>

#include <parkring/parkring.hpp>

namespace pr = parkring;
using namespace std::chrono_literals;

// What a log line wants to know, without being handed down through every call.
const pr::task_local<std::string> request;

void log(const std::string& text) {
  std::cout << (request.get() != nullptr ? *request.get() : "server") << ": " << text << '\n';
}

pr::task<int> ask_replica(int number, std::chrono::milliseconds takes) {
  co_await pr::sleep_for(takes);
  co_return number;
}

// The first of many that answers; the others are dropped.
pr::task<int> ask_all() {
  std::vector<pr::task<int>> replicas;
  for (int i = 0; i < 3; ++i) replicas.push_back(ask_replica(i, i == 1 ? 1ms : 1h));
  const auto first = co_await pr::race(std::move(replicas));
  co_return first.value;
}

pr::task<> commit(bool& done) {
  co_await pr::sleep_for(20ms);
  done = true;
  log("committed");
}

// Started here, but bounded like everything else by the deadline of the request.
pr::task<> handle(bool& committed) {
  log("answered by replica " + std::to_string(co_await ask_all()));
  pr::spawn(ask_replica, 7, 1h).detach();  // nobody waits for it: the deadline ends it
  co_await pr::shield(commit(committed));  // the deadline does not end this one
  log("this line is not reached in time");
}

// A task that finishes what it is at before it goes.
pr::task<> beat(int& beats) {
  for (;;) {
    const bool slept = co_await pr::sleep_for(1ms, pr::stoppable);
    if (!slept) break;
    ++beats;
  }
  log("asked to stop");
}

pr::task<> serve() {
  int beats = 0;
  bool committed = false;
  pr::task_group background;
  background.spawn(beat, std::ref(beats));

  const bool in_time =
      co_await request.with("request 1", pr::with_timeout(10ms, handle(committed)));
  log(in_time ? "in time" : "too late for the client");

  while (!committed) co_await pr::sleep_for(1ms);
  background.request_stop();
  co_await background.join();
  log(beats > 0 ? "good night" : "no beat?");
}

int main() { pr::run(serve()); }
