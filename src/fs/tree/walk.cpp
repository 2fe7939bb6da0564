// A walk as its user has it: it takes batches from its work and keeps the jobs going.
#include <parkring/fs/walk.hpp>

#include <stdexcept>
#include <utility>

#include <parkring/this_task.hpp>

#include "fs/calls.hpp"
#include "fs/tree/crew.hpp"
#include "fs/tree/tree_starts.hpp"
#include "fs/tree/walk_work.hpp"

namespace parkring::fs {

class walk_state {
 public:
  walk_state(std::string root, walk_options options, const char* operation,
             base::owned_fd opened = {})
      : root_(std::move(root)),
        opened_(std::move(opened)),
        options_(std::move(options)),
        operation_(operation) {}

  task<std::vector<walk_entry>> next_batch();
  task<std::optional<walk_entry>> next();
  void skip(const walk_entry& e);
  void skip_last();

 private:
  void begin();
  std::vector<walk_entry> rest();
  void leave_out_skipped(std::vector<walk_entry>& batch) const;

  std::string root_;
  base::owned_fd opened_;  // the root, where it was found before
  walk_options options_;   // all until it begins
  const char* operation_;
  std::shared_ptr<walk_work> work_;
  std::optional<crew> crew_;
  std::vector<walk_entry> batch_;     // for `next`
  std::size_t at_ = 0;                // in it
  std::shared_ptr<tree_place> last_;  // the directory that `next` gave last
};

void walk_state::begin() {
  if (work_) return;
  auto& calls = file_calls_here();
  call_fd opened(calls, opened_.release());
  work_ = std::make_shared<walk_work>(std::move(root_), std::move(opened), std::move(options_),
                                      operation_, calls);
  crew_.emplace(work_, operation_);
}

void walk_state::leave_out_skipped(std::vector<walk_entry>& batch) const {
  if (work_->any_skipped())
    std::erase_if(batch, [](const walk_entry& e) { return e.in_->skipped_here_or_above(); });
}

// What `next` has not given of its batch.
std::vector<walk_entry> walk_state::rest() {
  std::vector<walk_entry> left = std::exchange(batch_, {});
  left.erase(left.begin(), left.begin() + static_cast<std::ptrdiff_t>(std::exchange(at_, 0)));
  leave_out_skipped(left);
  return left;
}

task<std::vector<walk_entry>> walk_state::next_batch() {
  begin();
  std::vector<walk_entry> batch = rest();
  while (batch.empty()) {
    auto taken = work_->take();
    if (taken) batch_ = std::move(*taken);  // it stays there when no thread can be had
    while (work_->wants_job(crew_->out())) crew_->send();
    if (taken) {
      batch = rest();
      continue;
    }
    if (auto wrong = work_->take_root_error()) throw io_error(std::move(*wrong));
    if (crew_->out() == 0) break;
    co_await crew_->one_home();
  }
  co_return batch;
}

task<std::optional<walk_entry>> walk_state::next() {
  begin();
  for (;;) {
    while (at_ < batch_.size()) {
      walk_entry& e = batch_[at_];
      if (work_->any_skipped() && e.in_->skipped_here_or_above()) {
        ++at_;
        continue;
      }
      // A consumer that never waits for anything lets others run all the same.
      if (!detail::running_core().spend_budget()) {
        co_await yield();
        continue;
      }
      last_ = e.inside_;
      ++at_;
      co_return std::optional<walk_entry>(std::move(e));
    }
    auto batch = co_await next_batch();
    if (batch.empty()) co_return std::nullopt;
    batch_ = std::move(batch);
    at_ = 0;
  }
}

void walk_state::skip(const walk_entry& e) {
  if (e.inside_ && work_) work_->skip(*e.inside_);
}
void walk_state::skip_last() {
  if (last_ && work_) work_->skip(*last_);
}

walk::walk(std::filesystem::path root, walk_options options)
    : walk(std::move(root), std::move(options), "walk") {}
walk::walk(std::filesystem::path root, walk_options options, const char* operation)
    : state_(std::make_unique<walk_state>(root.native(), std::move(options), operation)) {}
walk::walk(std::unique_ptr<walk_state> state) noexcept : state_(std::move(state)) {}
walk::walk(walk&&) noexcept = default;
walk& walk::operator=(walk&&) noexcept = default;
walk::~walk() = default;

task<std::optional<walk_entry>> walk::next() {
  PARKRING_CHECK(state_ != nullptr, "this walk was moved from");
  return state_->next();
}
task<std::vector<walk_entry>> walk::next_batch() {
  PARKRING_CHECK(state_ != nullptr, "this walk was moved from");
  return state_->next_batch();
}
void walk::skip(const walk_entry& directory) { state_->skip(directory); }
void walk::skip() { state_->skip_last(); }

walk tree_starts::walk(base::owned_fd root, std::string path, walk_options options,
                       const char* operation) {
  PARKRING_CHECK(root, "without a directory the walk would begin at the path");
  return fs::walk(std::make_unique<walk_state>(std::move(path), std::move(options), operation,
                                               std::move(root)));
}

std::filesystem::path walk_entry::relative_path() const {
  return in_ ? in_->relative_path(name) : name;
}
std::filesystem::path walk_entry::path() const { return in_ ? in_->path(name) : name; }

}  // namespace parkring::fs
