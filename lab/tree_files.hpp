// The tree that the rows about trees walk and copy: one that the lab makes, of 50,000 files.
#pragma once

#include <filesystem>

#include "data_file.hpp"

namespace lab {

/// The lab's own tree, kept from run to run in the user's cache folder, and where copies of it go.
///
/// Copies stay until the end: ext4 does not give the inode of a file that was removed within the
/// last minutes to a new one, and looks long for others. So what follows a removal is slower,
/// whoever does it.
class tree_files {
 public:
  static constexpr unsigned files = 50'000;
  static constexpr unsigned entries = files + 2040;  // with the directories

  explicit tree_files(const say& report);
  tree_files(const tree_files&) = delete;
  tree_files& operator=(const tree_files&) = delete;
  /// Removes the copies.
  ~tree_files();

  [[nodiscard]] const std::filesystem::path& root() const noexcept { return root_; }
  /// Reads all files, so that the page cache has them.
  void warm_up() const;

 private:
  std::filesystem::path root_;
};

/// A new name beside the tree at `root`, for a copy of it.
[[nodiscard]] std::filesystem::path place_for_copy(const std::filesystem::path& root);

/// Makes the kernel forget all that it has cached. Empty, or why it does not.
[[nodiscard]] std::string drop_all_caches();

}  // namespace lab
