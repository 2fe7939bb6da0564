// Walks, lists and removals that begin in a directory which is open already.
#pragma once

#include <string>

#include <parkring/fs/read_dir.hpp>
#include <parkring/fs/remove_all.hpp>
#include <parkring/fs/walk.hpp>
#include <parkring/task.hpp>

#include "base/owned_fd.hpp"

namespace parkring::fs {

struct tree_starts {
  /// Of the directory `root`; entries and errors call it `path`. No links are followed.
  [[nodiscard]] static fs::walk walk(base::owned_fd root, std::string path, walk_options options,
                                     const char* operation = "walk");
  [[nodiscard]] static directory_entries read_dir(base::owned_fd root, std::string path);
  /// Of `name`, one part of a path, in the directory `in`; errors call it `path`.
  [[nodiscard]] static task<removal_counts> remove_all(base::owned_fd in, std::string name,
                                                       std::string path, removal_options options);
};

}  // namespace parkring::fs
