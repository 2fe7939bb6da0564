// A directory's names: a walk of depth one.
#include <parkring/fs/read_dir.hpp>

#include <utility>

#include <parkring/error.hpp>

#include "fs/tree/tree_starts.hpp"

namespace parkring::fs {
namespace {

directory_entry entry_of(walk_entry&& e) {
  if (e.failure) throw io_error(*e.failure);
  return {std::move(e.name), e.type, e.inode};
}

// One job at a time: the kernel lists a directory in one order.
constexpr unsigned names_in_batch = 512;

}  // namespace

directory_entries::directory_entries(const std::filesystem::path& path)
    : of_(path, {.max_depth = 1, .concurrency = 1, .batch = names_in_batch}, "read_dir") {}

task<std::optional<directory_entry>> directory_entries::next() {
  auto e = co_await of_.next();
  if (!e) co_return std::nullopt;
  co_return entry_of(std::move(*e));
}

task<std::vector<directory_entry>> directory_entries::next_batch() {
  auto batch = co_await of_.next_batch();
  std::vector<directory_entry> result;
  result.reserve(batch.size());
  for (walk_entry& e : batch) result.push_back(entry_of(std::move(e)));
  co_return result;
}

directory_entries tree_starts::read_dir(base::owned_fd root, std::string path) {
  walk_options options{.max_depth = 1, .concurrency = 1, .batch = names_in_batch};
  return directory_entries(walk(std::move(root), std::move(path), std::move(options), "read_dir"));
}

directory_entries read_dir(const std::filesystem::path& path) { return directory_entries(path); }

}  // namespace parkring::fs
