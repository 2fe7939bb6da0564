// test-args: {work}/silent {work}/trace.json
// A program that hangs, and says where: tasks wait for a pipe that nobody writes to.
#include <sys/stat.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <iostream>
#include <system_error>

#include <parkring/parkring.hpp>

namespace pr = parkring;
using namespace std::chrono_literals;

void make_fifo(const char* path) {
  if (::mkfifo(path, 0600) != 0 && errno != EEXIST)
    throw std::system_error(errno, std::generic_category(), std::string("mkfifo ") + path);
}

pr::task<std::size_t> read_header(pr::fs::file& from, pr::buffer& into) {
  co_return co_await from.read_at(into, 0);
}

pr::task<> serve(std::filesystem::path path) {
  auto fifo = co_await pr::fs::open(path, {.access = pr::fs::access::read_write});
  pr::buffer buf(4096);
  (void)co_await pr::timeout(1h, pr::when_all(read_header(fifo, buf), pr::sleep_for(2h)));
}

pr::task<> hang(pr::runtime& rt, std::filesystem::path path) {
  auto server = pr::spawn(serve(path));
  auto waits_for_it =
      pr::spawn([](pr::join_handle<void>& h) -> pr::task<> { co_await h; }, std::ref(server));
  co_await pr::sleep_for(20ms);

  const pr::runtime_dump now = rt.dump();
  for (const pr::task_dump& t : now.tasks)
    if (t.chain.status == pr::task_status::waiting && !t.chain.frames.empty())
      std::cout << "task #" << t.number << " hangs in " << to_string(t.chain.frames.back()) << '\n';
  std::cout << now;  // the same and more, as text

  std::raise(SIGUSR1);  // as `kill -USR1` would: the dump goes to standard error
  co_await pr::sleep_for(20ms);
}

int main(int argc, char** argv) try {
  if (argc != 3) {
    std::cerr << "usage: dump FIFO TRACE (made if they do not exist)\n";
    return 2;
  }
  make_fifo(argv[1]);
  pr::trace::session recording(argv[2]);  // for https://ui.perfetto.dev

  pr::runtime rt({.track_ages = true, .stall_threshold = 100ms});
  pr::dump_on_signal on_usr1(rt, SIGUSR1);
  rt.run(hang(rt, argv[1]));
  std::cout << rt.counters() << '\n';
} catch (const std::exception& e) {
  std::cerr << e.what() << '\n';
  return 1;
}
