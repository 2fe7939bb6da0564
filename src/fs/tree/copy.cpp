// Copies as their users have them. That of one file is work of its own kind: one thing to do, a
// piece of the file in each job.
#include <parkring/fs/copy.hpp>

#include <fcntl.h>

#include <cerrno>
#include <memory>
#include <utility>

#include "fs/calls.hpp"
#include "fs/tree/copy_file.hpp"
#include "fs/tree/copy_tree.hpp"
#include "fs/tree/tree_error.hpp"
#include "fs/tree/tree_task.hpp"

namespace parkring::fs {
namespace {

// The file, handed from job to job.
class copy_one_file final : public tree_work<std::unique_ptr<file_copy>> {
 public:
  copy_one_file(std::string from, std::string to, copy_options options, kernel::file_calls& calls)
      : from_(std::move(from)), to_(std::move(to)), options_(std::move(options)), calls_(calls) {
    add(std::make_unique<file_copy>(calls_, options_, ways_, copy_target{nullptr, to_, true}));
  }
  ~copy_one_file() override { clean_up(); }

  [[nodiscard]] copy_counts counts() const {
    return {.files = finished_, .bytes = bytes_, .cloned = cloned_, .skipped = skipped_};
  }
  [[nodiscard]] static unsigned most_jobs() noexcept { return 1; }

 private:
  void run(share& s, std::unique_ptr<file_copy>&& file) override {
    int more = 0;
    if (!begun_) {
      begun_ = true;
      more = file->open_source(AT_FDCWD, from_.c_str(), true);
      if (more == 0) more = file->make_target(AT_FDCWD);
      if (more > 0) {
        ++skipped_;
        return;
      }
    }
    if (more == 0) more = file->step(enough, memory_of(s));
    bytes_ += file->take_bytes();
    s.spent = enough;  // he who waits hears of each piece
    if (more > 0) return s.mine.push_back(std::move(file));
    if (more == 0) more = file->finish(AT_FDCWD);
    if (more < 0) return fail(tree_error(more, "copy", file->at_target() ? to_ : from_));
    ++finished_;
    if (file->cloned()) ++cloned_;
  }

  const std::string from_, to_;
  const copy_options options_;
  kernel::file_calls& calls_;
  copy_ways ways_;
  bool begun_ = false;  // of the one job
  std::atomic<std::uint64_t> finished_{0}, bytes_{0}, cloned_{0}, skipped_{0};
};

void refuse_nul(const char* operation, const std::filesystem::path& path) {
  if (path.native().find('\0') != std::string::npos)
    throw io_error(tree_error(EINVAL, operation, path.native()));
}

}  // namespace

task<copy_counts> copy(std::filesystem::path from, std::filesystem::path to, copy_options options) {
  refuse_nul("copy", from);
  refuse_nul("copy", to);
  auto progress = std::move(options.progress);
  auto work = std::make_shared<copy_one_file>(from.native(), to.native(), std::move(options),
                                              file_calls_here());
  auto whole =
      finish_tree<copy_one_file, copy_counts>(std::move(work), "copy", std::move(progress), nullptr,
                                              [](const copy_one_file&) { return true; });
  co_return co_await std::move(whole);
}

task<copy_counts> copy_all(std::filesystem::path from, std::filesystem::path to,
                           copy_options options) {
  refuse_nul("copy_all", from);
  refuse_nul("copy_all", to);
  auto progress = std::move(options.progress);
  auto on_error = std::move(options.on_error);
  auto work = std::make_shared<copy_tree>(from.native(), to.native(), std::move(options),
                                          file_calls_here());
  auto whole = finish_tree<copy_tree, copy_counts>(
      std::move(work), "copy_all", std::move(progress), std::move(on_error),
      [](const copy_tree& w) { return w.root_failed(); });
  co_return co_await std::move(whole);
}

}  // namespace parkring::fs
