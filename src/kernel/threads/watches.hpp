// Requests that wait in epoll for a descriptor to become ready. The ring's thread's only.
//
// A node is a duplicate of a descriptor, which keeps the file when the program closes its own, and
// a registration in epoll. One-shot watches of one descriptor share a node, so that many requests
// may wait for one file; `edge` and `level` ones have nodes of their own. A shared node is
// registered under the program's number: as long as epoll knows the pair of that number and the
// file now behind it, the number means the node's file. When it does not, the number has been
// closed or has a new file: the number was taken, and the node goes on under its duplicate's
// number. What was registered under the program's number may live on and cannot be taken back, so
// that epoll would say of the number, if it means the old file once more, what it must not: nodes
// of numbers that were once taken are not shared, and registered under their duplicates from the
// beginning. (Duplicates are made of what epoll takes, which files are not: closing a duplicate of
// those would give up the record locks that the process holds on them.)
//
// A node that has lost its registration, because there was no memory for another one, tells its
// watches of an error; whoever then waits again registers it, or learns why that cannot be.
//
// One descriptor is kept in reserve from the beginning, for the eventfd that wakes a runtime: its
// watch, which begins with the first sleep, must not fail because the program has opened as many as
// it may, nor take the last one from the program, which had reason to count on it.
//
// Places have generations: an event for a watch that has ended meanwhile is told from one for its
// successor.
//
// `one_shot` watches report once and sleep until `again`; `edge` and `level` ones go on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "base/owned_fd.hpp"
#include "kernel/emulated/request.hpp"

namespace parkring::kernel::threads {

class watches {
 public:
  enum class mode : std::uint8_t { one_shot, edge, level };

  struct event {
    emulated::request* of;
    std::uint32_t what;  // EPOLLIN and so on
    std::uint32_t place;
    std::uint32_t generation;
  };

  /// `epoll` belongs to the caller.
  explicit watches(int epoll) noexcept;
  /// False when there was no descriptor for the reserve.
  [[nodiscard]] bool has_reserve() const noexcept { return static_cast<bool>(spare_); }
  watches(const watches&) = delete;
  watches& operator=(const watches&) = delete;
  ~watches();

  /// Begins to watch `fd` for `r`: the watch's place, or -errno; -EPERM when epoll does not take
  /// the file, because it is always ready.
  [[nodiscard]] int add(emulated::request& r, int fd, std::uint32_t events, mode m) noexcept;
  /// Lets a one-shot watch report again, or changes what another one waits for. 0 or -errno.
  [[nodiscard]] int again(int place, std::uint32_t events) noexcept;
  void remove(int place) noexcept;

  /// In a forked child: closes the duplicates and leaves epoll, which is the parent's too, alone.
  void close_inherited() noexcept {
    for (node& n : nodes_) n.fd.reset();
    spare_.reset();
  }

  /// The watch's own descriptor.
  [[nodiscard]] int descriptor(int place) const noexcept { return nodes_[at(place).node].fd.get(); }
  /// Watches that somebody has to look after while the thread is busy: all but those on eventfds,
  /// which programs signal to wake a thread that sleeps.
  [[nodiscard]] std::size_t urgent() const noexcept { return urgent_; }
  [[nodiscard]] std::size_t size() const noexcept { return live_; }

  /// Waits at most `timeout_ns` (0: not at all; `emulated::never`) for events of requests, which
  /// `told` has then, in the order of submission. 0, or -EINTR.
  [[nodiscard]] int collect(std::uint64_t timeout_ns) noexcept;
  [[nodiscard]] const std::vector<event>& told() const noexcept { return told_; }
  /// Whether the watch has ended since the event was collected.
  [[nodiscard]] bool stale(const event& e) const noexcept {
    const watch& w = places_[e.place];
    return w.of == nullptr || w.generation != e.generation;
  }

  /// What epoll_event::data of the channel's eventfd is.
  static constexpr std::uint64_t not_a_watch = ~std::uint64_t{0};

 private:
  static constexpr std::uint32_t none = ~std::uint32_t{0};

  struct watch {
    emulated::request* of = nullptr;  // null: free
    std::uint32_t generation = 0;
    std::uint32_t node = none;
    std::uint32_t events = 0;   // what it waits for; 0 between a report and `again`
    std::uint32_t next = none;  // of its node
    std::uint32_t prev = none;
    mode how = mode::one_shot;
    bool urgent = true;
  };
  struct node {
    base::owned_fd fd;  // closed: free
    int handle = -1;    // the number it is registered under
    std::uint32_t generation = 0;
    std::uint32_t armed = 0;     // what epoll reports next, while it is one-shot
    std::uint32_t first = none;  // of its watches
    mode how = mode::one_shot;
    bool lost = false;  // not registered, and its watches have not been told
  };

  [[nodiscard]] base::owned_fd duplicate(int fd, mode m) noexcept;
  [[nodiscard]] int find_node(int fd, std::uint32_t events);
  [[nodiscard]] int make_node(int fd, std::uint32_t events, mode m, bool shared) noexcept;
  void close_node(std::uint32_t index) noexcept;
  [[nodiscard]] int arm(std::uint32_t index, std::uint32_t events) noexcept;
  int take_number(std::uint32_t index) noexcept;
  [[nodiscard]] int control(int operation, int number, std::uint32_t index,
                            std::uint32_t events) noexcept;
  void report(const node& n, std::uint32_t what) noexcept;
  void rearm(std::uint32_t index) noexcept;

  [[nodiscard]] const watch& at(int place) const noexcept {
    return places_[static_cast<std::size_t>(place)];
  }
  [[nodiscard]] int wait(std::uint64_t timeout_ns) noexcept;

  int epoll_;
  std::size_t live_ = 0;
  std::size_t urgent_ = 0;
  std::vector<watch> places_;
  std::vector<std::uint32_t> free_;
  std::vector<node> nodes_;
  std::vector<std::uint32_t> free_nodes_;
  // Nodes of one-shot watches, by the program's number; `none`: the number was once taken.
  std::unordered_map<int, std::uint32_t> shared_;
  std::vector<event> told_;  // has room for one event of each place
  base::owned_fd spare_;     // see the top; its file means nothing
  bool any_lost_ = false;
};

}  // namespace parkring::kernel::threads
