// The work of a walk: directories to be listed, and batches of what was found.
//
//   pending   directories to be listed or listed on, under the mutex. The last come first, so the
//             list stays about as long as the tree is deep, not as it is wide.
//   a share   takes one after the other, its own finds first, until its batch is full; then gives
//             back what it did not get to and hands the batch in, both under the mutex. So a
//             directory's entry is handed in before anybody can list that directory.
//   done      batches in the order in which they were handed in, until the walk takes them.
//
// A share also ends early when others have nothing to do and it has more than one directory left.
// The walk sends jobs only while few batches wait to be taken: so a slow consumer stops the work.
//
// Entries that are to be visited (walk_visits.cpp) are set aside in small groups, each a thing to
// do of its own: so the files of one large directory are visited by several jobs, and who lists it
// is not who visits all of it. What visitors leave of them comes with the batch of the job that
// visited, so behind the directory that they are in.
//
// In the order `depth_first` there is one job at a time, and `pending` is the path from the root to
// where it is, each with the sorted entries that are left.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include <parkring/fs/walk.hpp>

#include "fs/tree/crew.hpp"
#include "fs/tree/tree_place.hpp"
#include "kernel/file_calls.hpp"

namespace parkring::fs {

class visited_directory;

class walk_work final : public shared_work {
 public:
  /// `opened`: the root, where it was found before; else it is opened by its path.
  walk_work(std::string root, call_fd opened, walk_options options, const char* operation,
            kernel::file_calls& calls);

  void do_share() override;
  void clean_up() noexcept override;
  [[nodiscard]] bool left_over() const noexcept override;

  // ---- for the walk, on its thread ----

  /// A batch; null: none is waiting.
  [[nodiscard]] std::optional<std::vector<walk_entry>> take();
  /// Whether another job has something to do, and its batch a place to wait in.
  [[nodiscard]] bool wants_job(std::size_t out) const;
  void skip(tree_place& place) noexcept;
  [[nodiscard]] bool any_skipped() const noexcept {
    return any_skipped_.load(std::memory_order_relaxed);
  }
  /// What is wrong with the root, once.
  [[nodiscard]] std::optional<error> take_root_error();

  // ---- for visits, on any thread ----

  [[nodiscard]] kernel::file_calls& calls() const noexcept { return calls_; }
  [[nodiscard]] bool follows() const noexcept { return follow_; }

  const walk_options options;

 private:
  // A directory to be listed.
  struct item {
    std::shared_ptr<tree_place> place;
    std::shared_ptr<open_dir> above;    // what it is opened in; null: the root
    std::shared_ptr<open_dir> opened;   // it is, and is being listed
    call_fd reading;                    // its descriptor, where `opened` keeps none
    std::vector<walk_entry> sorted;     // depth_first: its entries, the next one last
    bool listed = false;                // depth_first: `sorted` is what is left
    std::vector<walk_entry> unvisited;  // not empty: nothing to list, but these entries of `opened`
  };
  // What one job has: nobody else touches it.
  struct share {
    std::vector<walk_entry> batch;
    std::size_t left_out = 0;  // entries that were visited and do not come
    std::vector<item> mine;
    std::unique_ptr<std::byte[]> listing =
        std::make_unique_for_overwrite<std::byte[]>(listing_bytes);
    [[nodiscard]] std::size_t done() const noexcept { return batch.size() + left_out; }
  };

  bool open(share& s, item& i);
  bool identify(share& s, item& i, int fd);
  std::size_t read_some(share& s, item& i, std::vector<walk_entry>& into);
  void list(share& s, item i);
  void list_sorted(share& s, item i);
  void step_depth_first(share& s, item i);
  void add(const item& i, int fd, const listed_entry& found, std::vector<walk_entry>& into);
  [[nodiscard]] bool ask(int fd, walk_entry& e) const;
  void plan_descent(walk_entry& e) const;
  void queue_inside(share& s, const walk_entry& e, const std::shared_ptr<open_dir>& in);
  [[nodiscard]] bool is_visited(const walk_entry& e) const;
  void set_aside(share& s, std::size_t first, const std::shared_ptr<open_dir>& in);
  void visit_all(share& s, const open_dir& in, std::vector<walk_entry>& entries);
  void fail(share& s, const item& i, int number);

  const char* const operation_;  // as errors call it
  kernel::file_calls& calls_;
  const bool follow_;
  const unsigned most_jobs_;
  const bool identities_;  // directories are asked which they are
  const shared_budget budget_;
  call_fd root_;                   // where it was found before; of the job that opens it
  std::uint64_t root_device_ = 0;  // set before a second directory is queued

  std::atomic<bool> any_skipped_{false};
  mutable std::mutex mutex_;
  std::vector<item> pending_;
  std::deque<std::vector<walk_entry>> done_;
  std::optional<error> root_error_;
  unsigned busy_ = 0;
};

}  // namespace parkring::fs
