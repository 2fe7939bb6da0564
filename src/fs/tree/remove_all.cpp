#include <parkring/fs/remove_all.hpp>

#include <memory>
#include <utility>

#include "fs/calls.hpp"
#include "fs/tree/remove_tree.hpp"
#include "fs/tree/tree_error.hpp"
#include "fs/tree/tree_task.hpp"

namespace parkring::fs {

task<removal_counts> remove_all(std::filesystem::path path, removal_options options) {
  if (path.native().find('\0') != std::string::npos)
    throw io_error(tree_error(EINVAL, "remove_all", path.native()));
  auto work = std::make_shared<remove_tree>(path.native(), options.concurrency, file_calls_here());
  auto whole = finish_tree<remove_tree, removal_counts>(
      std::move(work), "remove_all", std::move(options.progress), std::move(options.on_error),
      [](const remove_tree&) { return false; });
  co_return co_await std::move(whole);
}

}  // namespace parkring::fs
