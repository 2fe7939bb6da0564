// Parkring in the rows about trees: as a program that does nothing else.
#include <cstdint>
#include <exception>
#include <parkring/parkring.hpp>

#include "../contender.hpp"
#include "../tree_files.hpp"
#include "tree_runs.hpp"

namespace lab {
namespace {

namespace pr = parkring;

pr::task<int> sizes(const char* root) {
  pr::fs::walk w(root, {.metadata = true});
  std::uint64_t bytes = 0;
  unsigned entries = 0;
  for (;;) {
    const auto batch = co_await w.next_batch();
    if (batch.empty()) break;
    for (const auto& e : batch) bytes += e.metadata->size;
    entries += static_cast<unsigned>(batch.size());
  }
  co_return entries == tree_files::entries&& bytes != 0 ? 0 : 1;
}

void walk(session& run) {
  run_in_children(
      run, tree_files::entries, [] {}, [&] { return pr::run(sizes(run.path())); });
}

pr::task<int> copy_of(const char* from, std::string to) {
  const auto counts = co_await pr::fs::copy_all(from, to);
  co_return counts.files == tree_files::files ? 0 : 1;
}

void copy(session& run) {
  std::string target;
  const auto before = [&] { target = prepare_copy(run); };
  run_in_children(run, tree_files::files, before,
                  [&] { return pr::run(copy_of(run.path(), target)); });
}

}  // namespace

void add_parkring_trees(roster& to) {
  const auto add = [&](work kind, void (*run)(session&)) {
    to.present.push_back({.name = "parkring",
                          .kind = kind,
                          .run = run,
                          .quick = false,
                          .all_cpus = true,
                          .external = true,
                          .remark = "rows about trees: each run is a process from its beginning to "
                                    "its end, whose system calls are not counted"});
  };
  add(work::walk, walk);
  add(work::copy_tree, copy);
}

}  // namespace lab
