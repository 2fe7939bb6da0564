// Which log of this process has which directory.
//
// A log that was dropped may have a write under way, and one that is opened behind its back would
// take that for its own place. So a directory is free when the last task of its log has ended, and
// not before. A task that is destroyed with its runtime leaves its requests to that, whose home
// closes once they have ended: then that frees the directory.
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

// A simulated machine has directories of its own; those of this one are the same for every kernel.
using place = std::pair<const void*, std::string>;
struct owner {
  const state* who = nullptr;
  std::weak_ptr<state> alive;
  detail::home_ref home;  // of the runtime that has its tasks
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

bool claim(const std::shared_ptr<state>& s, std::shared_ptr<state>& other) {
  exec::core& core = exec::this_core();
  const bool real = core.driver.ring.real();
  auto path = s->directory();
  if (!path.is_absolute() && real) path = std::filesystem::absolute(path);
  path = path.lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  const place where(real ? nullptr : &core.driver.ring.served_by(), path.native());
  registry& r = all();
  for (;;) {
    detail::home_ref last;
    std::shared_ptr<state> now_open;
    {
      const std::lock_guard held(r.mutex);
      const auto [at, is_new] = r.directories.try_emplace(where, owner{s.get(), s, core.home_of});
      if (is_new) return true;
      now_open = at->second.alive.lock();
      last = at->second.home;
    }
    // Without the registry, since either may be the last reference, and the end of a state takes a
    // mutex of the same kind.
    other = std::move(now_open);
    if (other != nullptr && !other->is_over()) return false;
    other = nullptr;
    // Asked without the registry, since a fork takes the homes first and then that.
    if (last.is_open()) return false;
    const std::lock_guard held(r.mutex);
    owner& now = r.directories[where];
    if (now.who != nullptr && !(now.home == last)) continue;  // somebody else was faster
    now = {s.get(), s, core.home_of};
    return true;
  }
}

void release_claim(const state& s) noexcept {
  registry& r = all();
  const std::lock_guard held(r.mutex);
  std::erase_if(r.directories, [&](const auto& one) { return one.second.who == &s; });
}

}  // namespace parkring::fs::wal
