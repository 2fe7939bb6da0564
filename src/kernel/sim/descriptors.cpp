#include "kernel/sim/descriptors.hpp"

#include <cerrno>
#include <mutex>
#include <thread>
#include <utility>

#include <parkring/detail/check.hpp>

#include "base/descriptor.hpp"
#include "kernel/sim/worlds.hpp"

namespace parkring::kernel::sim {
namespace {

constexpr std::size_t places = 1 << 14;

struct place {
  descriptors* table = nullptr;
  std::thread::id owner;
  int begin = 0;  // the first index that nobody can have
};

struct all_places {
  std::mutex mutex;
  std::vector<place> table{places};
  std::size_t next = 0;
};

all_places& the_places() {
  static all_places& instance = *new all_places;  // never destroyed: handles may be static
  return instance;
}

int close_anywhere(int fd) noexcept {
  auto& all = the_places();
  descriptors* table = nullptr;
  {
    const std::scoped_lock lock(all.mutex);
    const place& p = all.table[static_cast<std::size_t>((fd - first_descriptor) >> 16)];
    if (p.table != nullptr && p.owner == std::this_thread::get_id()) table = p.table;
  }
  // On its own thread the machine cannot end meanwhile.
  return table != nullptr ? table->close(fd) : -EBADF;
}

}  // namespace

int enter_world(descriptors& table) {
  static_assert(first_descriptor == base::first_simulated_descriptor);
  base::close_simulated.store(&close_anywhere, std::memory_order_release);
  auto& all = the_places();
  const std::scoped_lock lock(all.mutex);
  for (std::size_t i = 0; i < places; ++i) {
    const std::size_t at = (all.next + i) % places;
    place& p = all.table[at];
    if (p.table != nullptr || p.begin + descriptors_per_machine > descriptors_per_place) continue;
    p.table = &table;
    p.owner = std::this_thread::get_id();
    all.next = at + 1;
    return first_descriptor + static_cast<int>(at) * descriptors_per_place + p.begin;
  }
  PARKRING_CHECK(false,
                 "16,384 simulated worlds are alive, or have ended while files of theirs were "
                 "still open; let the files go before the world");
  return -1;
}

void leave_world(int first, int spent) noexcept {
  auto& all = the_places();
  const std::scoped_lock lock(all.mutex);
  place& p = all.table[static_cast<std::size_t>((first - first_descriptor) >> 16)];
  p.table = nullptr;
  p.begin += spent;
}

descriptors::descriptors() : first_(enter_world(*this)) {}

descriptors::~descriptors() {
  const bool all_closed = open_ == 0 && unclosed_count_ == 0;
  leave_world(first_, all_closed ? 0 : static_cast<int>(table_.size()));
}

int descriptors::add(open_object object) {
  while (lowest_ < table_.size() && table_[lowest_]) ++lowest_;
  if (lowest_ >= descriptors_per_machine) return -EMFILE;
  if (lowest_ == table_.size()) table_.emplace_back();
  table_[lowest_] = std::move(object);
  ++open_;
  return first_ + static_cast<int>(lowest_++);
}

const open_object* descriptors::find(int fd) const noexcept {
  const auto at =
      static_cast<std::size_t>(static_cast<unsigned>(fd) - static_cast<unsigned>(first_));
  if (fd < first_ || at < dead_ || at >= table_.size() || !table_[at]) return nullptr;
  return &table_[at];
}

int descriptors::duplicate(int fd) {
  const open_object* const object = find(fd);
  return object == nullptr ? -EBADF : add(open_object(*object));
}

int descriptors::close(int fd) noexcept {
  if (find(fd) == nullptr) {
    const auto at = static_cast<std::size_t>(fd - first_);
    if (fd >= first_ && at < unclosed_.size() && unclosed_[at]) {
      unclosed_[at] = false;
      --unclosed_count_;
    }
    return -EBADF;
  }
  const auto at = static_cast<std::size_t>(fd - first_);
  --open_;
  if (at < lowest_) lowest_ = at;
  // What it was ends last: its end may close others.
  const open_object last = std::exchange(table_[at], {});
  return 0;
}

void descriptors::forget_all() noexcept {
  unclosed_.resize(table_.size());
  for (std::size_t i = dead_; i < table_.size(); ++i) {
    if (!table_[i]) continue;
    unclosed_[i] = true;
    ++unclosed_count_;
    const open_object last = std::exchange(table_[i], {});
  }
  open_ = 0;
  dead_ = lowest_ = table_.size();
}

}  // namespace parkring::kernel::sim
