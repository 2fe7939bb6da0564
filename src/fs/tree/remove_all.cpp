#include <parkring/fs/remove_all.hpp>

#include <cerrno>
#include <memory>
#include <string>
#include <utility>

#include "fs/calls.hpp"
#include "fs/tree/remove_tree.hpp"
#include "fs/tree/tree_error.hpp"
#include "fs/tree/tree_task.hpp"

namespace parkring::fs {

task<removal_counts> remove_all(std::filesystem::path path, removal_options options) {
  if (path.native().find('\0') != std::string::npos)
    throw io_error(tree_error(EINVAL, "remove_all", path.native()));
  // Behind a slash the system follows a link, whatever it is told.
  std::string name = path.native();
  while (name.size() > 1 && name.ends_with('/')) name.pop_back();
  if (name == "." || name == ".." || name.ends_with("/.") || name.ends_with("/.."))
    throw io_error(error{EINVAL, "remove_all", path.native(),
                         "name the directory itself, not the one in it or above it"});
  auto work =
      std::make_shared<remove_tree>(std::move(name), options.concurrency, file_calls_here());
  auto whole = finish_tree<remove_tree, removal_counts>(
      std::move(work), "remove_all", std::move(options.progress), std::move(options.on_error),
      [](const remove_tree&) { return false; });
  co_return co_await std::move(whole);
}

}  // namespace parkring::fs
