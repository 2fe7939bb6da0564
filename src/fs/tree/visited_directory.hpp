// The directory whose entries one job visits, one after the other: the way to it, found when the
// first of its files is read. Of one job's thread.
#pragma once

#include <optional>

#include <parkring/fs/walk_visit.hpp>

#include "fs/tree/tree_place.hpp"
#include "fs/tree/walk_work.hpp"

namespace parkring::fs {

class visited_directory {
 public:
  visited_directory(walk_work& work, const open_dir& in) noexcept : work_(work), in_(in) {}
  visited_directory(const visited_directory&) = delete;
  visited_directory& operator=(const visited_directory&) = delete;

  /// Has `options.visit` look at `e`; false if that does not come.
  [[nodiscard]] bool visit(walk_entry& e);

  [[nodiscard]] walk_work& work() const noexcept { return work_; }
  /// Opens a file for reading; a negative errno if that fails.
  [[nodiscard]] int open(const std::string& name);

 private:
  walk_work& work_;
  const open_dir& in_;
  std::optional<reached> way_;
};

}  // namespace parkring::fs
