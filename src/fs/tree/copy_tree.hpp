// The work of copying a tree.
//
// Things to do are: a directory (make it, list it), the rest of a directory's list, some of its
// names, a large file that is under way, and a further name of a file. A directory is finished
// (owner, permissions, times) by whoever ends the last thing to do in it: `left` counts them, its
// own listing and each directory below included.
//
// Further names of a file: the first that is met is copied, those that are met before it is
// finished wait in its entry of `twins_`, under the mutex there, and become things to do when it
// is. If it fails, they are copied as files of their own.
#pragma once

#include <sys/stat.h>

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <parkring/fs/copy.hpp>

#include "fs/tree/copy_file.hpp"
#include "fs/tree/tree_place.hpp"
#include "fs/tree/tree_work.hpp"

namespace parkring::fs {

// A directory and its copy.
struct copied_directory {
  std::shared_ptr<copied_directory> parent;  // null: the root
  std::shared_ptr<open_dir> source, target;
  struct statx facts {};   // of the source
  unsigned made_mode = 0;  // what the copy was made with, or ~0: it was there
  std::atomic<unsigned> left{1};
  ~copied_directory();
};

// A name in a directory that is to be copied.
struct name_to_copy {
  std::string name;
  unsigned char d_type;
};

struct copy_item {
  enum class kind : std::uint8_t { directory, listing, names, file, twin };
  kind what = kind::names;
  std::shared_ptr<copied_directory> in;  // whose `left` counts this; null: the root itself
  std::string name;                      // directory, twin
  call_fd reading;                       // listing: where `in` keeps no descriptor
  std::vector<name_to_copy> names;
  std::unique_ptr<file_copy> file;
};

class copy_tree final : public tree_work<copy_item> {
 public:
  copy_tree(std::string from, std::string to, copy_options options, kernel::file_calls& calls);
  ~copy_tree() override;

  [[nodiscard]] copy_counts counts() const;
  /// Whether the error that was found first is the root's: nothing was copied.
  [[nodiscard]] bool root_failed() const noexcept {
    return root_failed_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] unsigned most_jobs() const noexcept { return most_busy_; }

 private:
  using directory_ref = std::shared_ptr<copied_directory>;
  using inode_name = std::pair<std::uint64_t, std::uint64_t>;
  struct twin {
    directory_ref in;  // where the first name of its copy is
    std::string name;
    bool finished = false;
    std::vector<copy_item> waiting;
  };
  struct ends {  // the two descriptors of a directory
    reached source, target;
  };
  static constexpr std::size_t cost_of_a_name = 16 * 1024;  // in bytes copied, about

  void run(share& s, copy_item&& i) override;
  bool begin_directory(share& s, copy_item&& i);
  bool make_directory(const copy_item& i, const struct statx& facts, copied_directory& into);
  void list(share& s, const directory_ref& in, call_fd reading);
  void copy_names(share& s, const directory_ref& in, std::vector<name_to_copy> names);
  void copy_one(share& s, const directory_ref& in, const ends& of, name_to_copy& n);
  void copy_link(const directory_ref& in, const ends& of, const std::string& name);
  void copy_fifo(const directory_ref& in, const ends& of, const std::string& name);
  void copy_file(share& s, const directory_ref& in, const ends& of, const std::string& name);
  void go_on(share& s, const directory_ref& in, int target, std::unique_ptr<file_copy> file);
  bool is_further_name(const directory_ref& in, const ends& of, const file_copy& file);
  void settle_twins(const file_copy& file, bool copied);
  void add_name(share& s, copy_item&& i);
  void done_in(directory_ref in);
  void finish_directory(copied_directory& d);
  void fail_at(const copied_directory* in, std::string_view name, int number, bool at_target);
  [[nodiscard]] bool describes() const noexcept;

  struct atomic_counts {
    std::atomic<std::uint64_t> files{0}, directories{0}, links{0}, hard_links{0}, others{0},
        bytes{0}, cloned{0}, skipped{0}, failed{0};
  };

  const copy_options options_;
  kernel::file_calls& calls_;
  copy_ways ways_;
  const shared_budget budget_;
  const std::string from_, to_;
  std::uint64_t target_device_ = 0, target_inode_ = 0;  // the root of the copy; set before the rest
  std::atomic<bool> root_failed_{false};
  atomic_counts counts_;
  std::mutex twins_mutex_;
  std::map<inode_name, twin> twins_;
};

}  // namespace parkring::fs
