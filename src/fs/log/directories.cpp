// Which log of this process has which directory.
//
// A log that was dropped may have a write under way, and one that is opened behind its back would
// take that for its own place. So a directory is free when the last task of its log has ended, and
// not before.
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "base/fork_held_mutex.hpp"
#include "exec/core.hpp"
#include "fs/log/state.hpp"

namespace parkring::fs::wal {
namespace {

// Two machines, of which one may be simulated, have directories of the same name.
using place = std::pair<const void*, std::string>;
struct owner {
  const state* who;
  std::weak_ptr<state> alive;
};
struct registry {
  base::fork_held_mutex mutex;
  std::map<place, owner> directories;
};
registry& all() {
  static auto* const instance = new registry;  // logs may end after static objects do
  return *instance;
}

}  // namespace

std::shared_ptr<state> claim(const std::shared_ptr<state>& s) {
  auto path = s->directory();
  if (!path.is_absolute() && exec::this_core().driver.ring.real())
    path = std::filesystem::absolute(path);
  path = path.lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  place where(&exec::this_core().driver.ring.served_by(), path.native());
  registry& r = all();
  const std::lock_guard held(r.mutex);
  const auto [at, is_new] = r.directories.try_emplace(std::move(where), owner{s.get(), s});
  if (is_new) return nullptr;
  auto other = at->second.alive.lock();
  if (other != nullptr) return other;
  at->second = {s.get(), s};
  return nullptr;
}

void release_claim(const state& s) noexcept {
  registry& r = all();
  const std::lock_guard held(r.mutex);
  std::erase_if(r.directories, [&](const auto& one) { return one.second.who == &s; });
}

}  // namespace parkring::fs::wal
