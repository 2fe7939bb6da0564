#include "shared_search.hpp"

namespace prgrep {

void shared_search::fail(const std::string& name, const std::string& why) {
  failed.fetch_add(1);
  warn(name + ": " + why);
}

bool shared_search::search(source& from) {
  std::unique_ptr<file_searcher> mine;
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      mine = std::move(idle_.back());
      idle_.pop_back();
    }
  }
  if (!mine) mine = std::make_unique<file_searcher>(what, options.search, options.print);
  const auto came = mine->search(from, output);
  files.fetch_add(1, std::memory_order_relaxed);
  if (came.selected) matching.fetch_add(1);
  if (came.binary_told && options.tell) options.tell(from.name() + ": binary file matches");
  const std::lock_guard lock(mutex_);
  idle_.push_back(std::move(mine));
  return came.selected;
}

}  // namespace prgrep
