// test-args: {work}/silent
// Gives up on a read that never ends. The kernel still has the buffer then, and the buffer says so.
#include <sys/stat.h>

#include <cerrno>
#include <chrono>
#include <iostream>
#include <optional>
#include <string_view>
#include <system_error>

#include <parkring/parkring.hpp>

namespace pr = parkring;
using namespace std::chrono_literals;

void make_fifo(const char* path) {
  if (::mkfifo(path, 0600) != 0 && errno != EEXIST)
    throw std::system_error(errno, std::generic_category(), std::string("mkfifo ") + path);
}

pr::task<> listen(std::filesystem::path path) {
  // Open for both, a FIFO waits for nobody; and as nobody writes, a read of it never ends.
  auto fifo = co_await pr::fs::open(path, {.access = pr::fs::access::read_write});
  pr::buffer buf(4096);

  std::optional<std::size_t> n = co_await pr::timeout(10ms, fifo.read_at(buf, 0));
  if (n) {
    std::cout << "somebody wrote: " << buf.text(0, *n) << '\n';
    co_return;
  }
  std::cout << "nothing came within 10 ms; the read is dropped\n";

  try {
    (void)buf.bytes();  // too early: the kernel may still write
  } catch (const pr::buffer_locked& e) {
    std::cout << "buffer_locked: " << e.what() << '\n';
  }

  co_await buf.returned();  // or just let it go: it returns to its pool when the kernel is done
  std::cout << "all " << buf.bytes().size() << " bytes are ours again\n";

  constexpr std::string_view word = "hello";
  co_await fifo.write_at(pr::copying(word), 0);
  n = co_await pr::timeout(1s, fifo.read_at(buf, 0));
  std::cout << "and the next read gets: " << (n ? buf.text(0, *n) : "nothing") << '\n';
}

int main(int argc, char** argv) try {
  if (argc != 2) {
    std::cerr << "usage: timeout_that_drops FIFO (made if it does not exist)\n";
    return 2;
  }
  make_fifo(argv[1]);
  pr::run(listen(argv[1]));
} catch (const std::exception& e) {
  std::cerr << e.what() << '\n';
  return 1;
}
