// The changes of directories that the device has not heard of yet, in order.
//
// A transaction is atomic: a rename, also across directories, survives whole or not at all. It
// depends on each earlier one that changed one of its directories, or that named one of the inodes
// it names; moving a directory to another parent depends on everything earlier, as file systems
// serialise such renames. What survives a cut is closed under these dependencies:
//   reorder_metadata       any such set: for each directory, a prefix of its changes
//   not reorder_metadata   a prefix of the journal
// Committing applies transactions to `inode::durable`, and counts its entries as pins.
#pragma once

#include "kernel/sim/inode.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace parkring::kernel::sim {

// In a directory, a name now leads to another inode (null: to none).
struct entry_change {
  inode* directory = nullptr;
  std::string name;
  inode* now = nullptr;
  inode* before = nullptr;
};

class journal {
 public:
  explicit journal(bool reorder) noexcept : reorder_(reorder) {}

  void add(entry_change one);
  void add(entry_change one, entry_change other, bool moves_directory);
  bool empty() const noexcept { return pending_.empty(); }
  std::size_t size() const noexcept { return pending_.size(); }

  // Each commit puts inodes whose last pin may have gone into `released`.
  /// Makes the changes of one directory durable, and what they depend on.
  void commit_directory(inode& directory, std::vector<inode*>& released);
  void commit_first(std::size_t count, std::vector<inode*>& released);
  void commit_all(std::vector<inode*>& released) { commit_first(pending_.size(), released); }
  /// A power cut: commits what survives, and forgets the rest.
  void cut(random& draws, std::vector<inode*>& released);

 private:
  struct transaction {
    std::array<entry_change, 2> changes;
    unsigned count = 0;
    bool after_all = false;  // depends on everything earlier
    bool chosen = false;
  };

  inode& fresh(inode& i) const;
  void pin(const transaction& t);
  static void unpin(inode* i, std::vector<inode*>& released);
  static void apply(const transaction& t, std::vector<inode*>& released);
  static void forget(const transaction& t, std::vector<inode*>& released);
  void commit_chosen(std::vector<inode*>& released);
  void choose_survivors(random& draws);

  bool reorder_;
  mutable std::uint64_t round_ = 0;
  std::vector<transaction> pending_;
};

}  // namespace parkring::kernel::sim
