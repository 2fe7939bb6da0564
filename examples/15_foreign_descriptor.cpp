// A library that knows nothing of Parkring, with a descriptor that says when it has something: here
// the kernel's inotify. Tasks wait for it and read files in the meantime.
#include <fcntl.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <iostream>
#include <string>
#include <system_error>

#include <parkring/parkring.hpp>

namespace pr = parkring;

// The foreign library: it reads its descriptor itself, and never waits.
class watcher {
 public:
  explicit watcher(const std::filesystem::path& folder)
      : fd_(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {
    if (fd_ < 0 || ::inotify_add_watch(fd_, folder.c_str(), IN_CLOSE_WRITE) < 0)
      throw std::system_error(errno, std::generic_category(), "inotify");
  }
  ~watcher() { ::close(fd_); }
  int descriptor() const { return fd_; }
  /// The name of a file that was written, or nothing.
  std::string next() {
    alignas(inotify_event) std::array<char, 4096> bytes;
    if (::read(fd_, bytes.data(), bytes.size()) <= 0) return {};
    return reinterpret_cast<const inotify_event*>(bytes.data())->name;
  }

 private:
  int fd_;
};

pr::task<std::string> next_file(watcher& w, pr::async_fd& fd) {
  for (;;) {
    if (std::string name = w.next(); !name.empty()) co_return name;
    co_await fd.readable();  // through the ring, beside everything else
  }
}

pr::task<> watch(std::filesystem::path folder) {
  watcher library(folder);
  auto fd = pr::async_fd::borrow(library.descriptor());

  auto news = pr::spawn(next_file, std::ref(library), std::ref(fd));
  co_await pr::yield();  // it waits now
  co_await pr::fs::write_file(folder / "hello", "written by another task\n");
  const std::string name = co_await std::move(news);
  std::cout << name << ": " << co_await pr::fs::read_file(folder / name);

  co_await fd.release();  // the kernel has let go: the library may close its descriptor
}

int main() try {
  std::string folder = "/tmp/parkring-foreign-XXXXXX";
  if (::mkdtemp(folder.data()) == nullptr) return 1;
  pr::run(watch(folder));
  std::filesystem::remove_all(folder);
} catch (const std::exception& e) {
  std::cerr << e.what() << '\n';
  return 1;
}
