// The work of removing a tree.
//
// Things to do are: a directory (open it, list it), the rest of its list, some of its names. A
// directory is removed by whoever ends the last thing to do in it: `left` counts them, its own
// listing and each directory below included. One that something else put names into meanwhile is
// listed again, a few times.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include <parkring/fs/remove_all.hpp>

#include "fs/tree/tree_place.hpp"
#include "fs/tree/tree_work.hpp"

namespace parkring::fs {

struct removed_directory {
  std::shared_ptr<removed_directory> parent;  // null: the root
  std::shared_ptr<open_dir> opened;
  std::atomic<unsigned> left{1};
  std::atomic<bool> stays{false};  // something in it could not be removed
  unsigned lists = 1;              // how many times it was listed; of the one who finishes it
  ~removed_directory();
};

struct removal_item {
  std::shared_ptr<removed_directory> in;  // whose `left` counts this; null: the root itself
  bool is_listing = false;                // of `in`; else of a directory in it, or of names
  std::string directory;
  call_fd reading;  // where `in` keeps no descriptor
  std::vector<std::string> names;
};

class remove_tree final : public tree_work<removal_item> {
 public:
  /// Of `name` in the directory `in`; without one `name` is a path. Errors call it `path`.
  remove_tree(call_fd in, std::string name, std::string path, unsigned concurrency,
              kernel::file_calls& calls);

  [[nodiscard]] removal_counts counts() const;
  [[nodiscard]] unsigned most_jobs() const noexcept { return most_busy_; }

 private:
  using directory_ref = std::shared_ptr<removed_directory>;

  void run(share& s, removal_item&& i) override;
  bool begin(share& s, const directory_ref& in, const std::string& name);
  void list(share& s, const directory_ref& in, call_fd reading);
  void remove_names(share& s, const directory_ref& in, const std::vector<std::string>& names);
  void add_item(share& s, removal_item&& i);
  void done_in(share& s, directory_ref in);
  bool finish(share& s, const directory_ref& d);
  void fail_at(removed_directory* in, std::string_view name, int number);

  kernel::file_calls& calls_;
  const shared_budget budget_;
  [[nodiscard]] int root_at() const noexcept;
  const call_fd root_in_;
  const std::string root_name_, root_path_;
  std::atomic<std::uint64_t> files_{0}, directories_{0}, failed_{0};
};

}  // namespace parkring::fs
