#include "kernel/sim/journal.hpp"

#include <algorithm>
#include <utility>

namespace parkring::kernel::sim {

// The inode's scratch fields, cleared at their first use within one call.
inode& journal::fresh(inode& i) const {
  if (i.scratch_round != round_) {
    i.scratch_round = round_;
    i.seen = i.keep = 0;
    i.as_container = i.as_subject = false;
  }
  return i;
}

void journal::pin(const transaction& t) {
  for (unsigned k = 0; k < t.count; ++k) {
    ++t.changes[k].directory->pins;
    if (t.changes[k].now) ++t.changes[k].now->pins;
    if (t.changes[k].before) ++t.changes[k].before->pins;
  }
}

void journal::unpin(inode* i, std::vector<inode*>& released) {
  if (i != nullptr && --i->pins == 0 && i->links == 0) released.push_back(i);
}

void journal::add(entry_change one) {
  transaction& t = pending_.emplace_back();
  t.changes[0] = std::move(one);
  t.count = 1;
  pin(t);
}

void journal::add(entry_change one, entry_change other, bool moves_directory) {
  transaction& t = pending_.emplace_back();
  t.changes = {std::move(one), std::move(other)};
  t.count = 2;
  t.after_all = moves_directory;
  pin(t);
}

void journal::apply(const transaction& t, std::vector<inode*>& released) {
  for (unsigned k = 0; k < t.count; ++k) {
    const entry_change& c = t.changes[k];
    auto& durable = c.directory->durable;
    const auto at = durable.find(c.name);
    inode* old = at == durable.end() ? nullptr : at->second;
    if (c.now != nullptr) ++c.now->pins;
    if (c.now != nullptr) {
      if (at == durable.end()) {
        durable.emplace(c.name, c.now);
      } else {
        at->second = c.now;
      }
    } else if (at != durable.end()) {
      durable.erase(at);
    }
    unpin(old, released);
  }
}

void journal::forget(const transaction& t, std::vector<inode*>& released) {
  for (unsigned k = 0; k < t.count; ++k) {
    unpin(t.changes[k].now, released);
    unpin(t.changes[k].before, released);
    unpin(t.changes[k].directory, released);
  }
}

void journal::commit_first(std::size_t count, std::vector<inode*>& released) {
  for (std::size_t i = 0; i < count; ++i) {
    apply(pending_[i], released);
    forget(pending_[i], released);
  }
  pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(count));
}

void journal::commit_chosen(std::vector<inode*>& released) {
  for (const transaction& t : pending_) {
    if (!t.chosen) continue;
    apply(t, released);
    forget(t, released);
  }
  std::erase_if(pending_, [](const transaction& t) { return t.chosen; });
}

void journal::commit_directory(inode& directory, std::vector<inode*>& released) {
  if (pending_.empty()) return;
  ++round_;
  fresh(directory).as_container = true;
  bool everything = false;
  // Backwards: whatever a chosen one depends on is chosen when it is reached.
  for (std::size_t i = pending_.size(); i-- > 0;) {
    transaction& t = pending_[i];
    bool chosen = everything;
    for (unsigned k = 0; k < t.count; ++k) {
      const entry_change& c = t.changes[k];
      chosen |= fresh(*c.directory).as_container;
      chosen |= c.now != nullptr && fresh(*c.now).as_subject;
      chosen |= c.before != nullptr && fresh(*c.before).as_subject;
    }
    t.chosen = chosen;
    if (!chosen) continue;
    everything |= t.after_all || !reorder_;
    for (unsigned k = 0; k < t.count; ++k) {
      const entry_change& c = t.changes[k];
      c.directory->as_container = true;
      if (c.now != nullptr) c.now->as_subject = true;
      if (c.before != nullptr) c.before->as_subject = true;
    }
  }
  commit_chosen(released);
}

void journal::choose_survivors(random& draws) {
  ++round_;
  for (const transaction& t : pending_)
    for (unsigned k = 0; k < t.count; ++k) ++fresh(*t.changes[k].directory).seen;
  // `keep`: how many of the directory's changes may survive, plus one; drawn at the first.
  bool lost = false;
  for (transaction& t : pending_) {
    bool survives = !(t.after_all && lost);
    for (unsigned k = 0; k < t.count; ++k) {
      const entry_change& c = t.changes[k];
      inode& d = *c.directory;
      if (d.keep == 0) d.keep = 1 + draws.between(0, d.seen);
      if (d.keep == 1) survives = false;
      if (c.now != nullptr && fresh(*c.now).as_subject) survives = false;
      if (c.before != nullptr && fresh(*c.before).as_subject) survives = false;
    }
    t.chosen = survives;
    lost |= !survives;
    for (unsigned k = 0; k < t.count; ++k) {
      const entry_change& c = t.changes[k];
      if (!survives) {
        c.directory->keep = 1;  // nothing later in it either
        if (c.now != nullptr) c.now->as_subject = true;
        if (c.before != nullptr) c.before->as_subject = true;
      } else if (c.directory->keep > 1) {
        --c.directory->keep;
      }
    }
  }
}

void journal::cut(random& draws, std::vector<inode*>& released) {
  if (!pending_.empty()) {
    const std::uint64_t mode = draws.below(8);  // 0: nothing survives, 1: everything
    if (mode == 1) {
      commit_all(released);
    } else if (mode > 1 && !reorder_) {
      commit_first(static_cast<std::size_t>(draws.between(0, pending_.size())), released);
    } else if (mode > 1) {
      choose_survivors(draws);
      commit_chosen(released);
    }
  }
  for (const transaction& t : pending_) forget(t, released);
  pending_.clear();
}

}  // namespace parkring::kernel::sim
