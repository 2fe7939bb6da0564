// find and cp as contenders in the rows about trees.
#include <unistd.h>

#include "../contender.hpp"
#include "../tree_files.hpp"
#include "tree_runs.hpp"

namespace lab {
namespace {

void find(session& run) {
  run_in_children(
      run, tree_files::entries, [] {},
      [&] {
        const char* const command[] = {"find", run.path(), "-printf", "%s\n", nullptr};
        return become_quiet(command);
      });
}

void copy(session& run) {
  std::string target;
  const auto before = [&] { target = prepare_copy(run); };
  run_in_children(run, tree_files::files, before, [&] {
    const char* const command[] = {"cp", "-r", run.path(), target.c_str(), nullptr};
    return become_quiet(command);
  });
}

}  // namespace

std::string prepare_copy(session& run) {
  const std::string target = place_for_copy(run.path()).native();
  if (!run.what().cold)
    ::sync();
  else if (const std::string refused = drop_all_caches(); !refused.empty())
    fail("drop caches: %s", refused.c_str());
  return target;
}

void add_tree_programs(roster& to) {
  const auto add = [&](const char* name, work kind, void (*run)(session&)) {
    if (!program_in_path(name)) {
      to.left_out.emplace_back(std::string(name) + ": no program of this name in PATH");
      return;
    }
    to.present.push_back({.name = name,
                          .kind = kind,
                          .run = run,
                          .quick = false,
                          .all_cpus = true,
                          .external = true});
  };
  add("find", work::walk, find);
  add("cp", work::copy_tree, copy);
}

}  // namespace lab
