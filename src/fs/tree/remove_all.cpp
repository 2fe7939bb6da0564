#include <parkring/fs/remove_all.hpp>

#include <cerrno>
#include <memory>
#include <string>
#include <utility>

#include <parkring/detail/check.hpp>

#include "fs/calls.hpp"
#include "fs/tree/remove_tree.hpp"
#include "fs/tree/tree_error.hpp"
#include "fs/tree/tree_starts.hpp"
#include "fs/tree/tree_task.hpp"

namespace parkring::fs {
namespace {

task<removal_counts> removal(base::owned_fd in, std::string name, std::string path,
                             removal_options options) {
  auto& calls = file_calls_here();
  call_fd at(calls, in.release());
  auto work = std::make_shared<remove_tree>(std::move(at), std::move(name), std::move(path),
                                            options.concurrency, calls);
  return finish_tree<remove_tree, removal_counts>(
      std::move(work), "remove_all", std::move(options.progress), std::move(options.on_error),
      [](const remove_tree&) { return false; });
}

}  // namespace

task<removal_counts> remove_all(std::filesystem::path path, removal_options options) {
  if (path.native().find('\0') != std::string::npos)
    throw io_error(tree_error(EINVAL, "remove_all", path.native()));
  // Behind a slash the system follows a link, whatever it is told.
  std::string name = path.native();
  while (name.size() > 1 && name.ends_with('/')) name.pop_back();
  if (name == "." || name == ".." || name.ends_with("/.") || name.ends_with("/.."))
    throw io_error(error{EINVAL, "remove_all", path.native(),
                         "name the directory itself, not the one in it or above it"});
  std::string shown = name;
  auto whole = removal({}, std::move(name), std::move(shown), std::move(options));
  co_return co_await std::move(whole);
}

task<removal_counts> tree_starts::remove_all(base::owned_fd in, std::string name, std::string path,
                                             removal_options options) {
  PARKRING_CHECK(in, "without a directory the name would be one of the working directory");
  return removal(std::move(in), std::move(name), std::move(path), std::move(options));
}

}  // namespace parkring::fs
