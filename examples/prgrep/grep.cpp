// A file of a source tree is a few kilobytes, and in the page cache: opening, reading and closing
// it takes a thread a few microseconds. Asked for by the ring these are three requests with their
// records, wakes and turns, which cost about as much again, and all of it on one thread. So the
// files of a tree are searched where `fs::walk` finds them, by the threads that list directories,
// as visits; what comes to the task is only what could not be read.
//
// What visits use is one object that the visitor owns too, so those that are under way at a drop
// end by themselves.

#include "grep.hpp"

#include <sys/stat.h>

#include <cerrno>
#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include <parkring/as_result.hpp>
#include <parkring/blocking.hpp>
#include <parkring/fs.hpp>
#include <parkring/spawn.hpp>
#include <parkring/time.hpp>

#include "given_file.hpp"
#include "shared_search.hpp"

namespace prgrep {
namespace {

namespace pr = parkring;

// ---- trees ----

// The name of an entry as it is printed; `named`: the tree was, by the user.
std::string shown(const pr::fs::walk_entry& e, bool named) {
  return (named ? e.path() : e.relative_path()).native();
}

class visited_file final : public source {
 public:
  visited_file(pr::fs::walk_visit& v, bool named) : visit_(v), named_(named) {}
  std::size_t read(char* to, std::size_t size) override {
    if (!visit_.wanted()) return 0;
    const std::size_t n = visit_.read_at(std::as_writable_bytes(std::span(to, size)), at_);
    at_ += n;
    return n;
  }
  std::string name() override { return shown(visit_.entry(), named_); }

 private:
  pr::fs::walk_visit& visit_;
  const bool named_;
  std::uint64_t at_ = 0;
};

// True for what the task is to see: that there is an answer.
bool search_visited(shared_search& all, bool named, pr::fs::walk_visit& v) {
  const auto& e = v.entry();
  const auto& o = all.options;
  if (all.answered() || (!o.hidden && e.name.starts_with('.'))) return false;
  // Where links are followed, one that comes leads nowhere: reading says how.
  const bool link = e.type == pr::fs::file_type::symlink && o.follow_links;
  if ((!link && e.type != pr::fs::file_type::regular) || !o.names.takes_file(e.name)) return false;
  visited_file file(v, named);
  try {
    struct stat s {};
    if (e.inode == all.output.inode() && ::stat(e.path().c_str(), &s) == 0 &&
        all.prints_to(s.st_dev, s.st_ino)) {
      all.fail(file.name(), "input file is also the output");
      return false;
    }
    return all.search(file) && all.answered();
  } catch (const pattern_too_hard& wrong) {
    all.fail(file.name(), wrong.what());
  } catch (const pr::io_error& wrong) {
    all.fail(file.name(), wrong.code());
  }
  return false;
}

// A directory that cannot be listed.
void tell_unlisted(shared_search& all, const std::string& name, const std::error_code& why) {
  if (all.options.follow_links && why == std::errc::too_many_symbolic_link_levels)
    all.warn(name + ": warning: recursive directory loop");
  else
    all.fail(name, why);
}

pr::task<> search_tree(std::shared_ptr<shared_search> all, std::string path) {
  const bool named = !path.empty();
  const auto& o = all->options;
  pr::fs::walk_options how;
  how.follow = o.follow_links ? pr::fs::follow_links::always : pr::fs::follow_links::root_only;
  how.concurrency = o.threads;
  how.descend = [all](const pr::fs::walk_entry& e) {
    return (all->options.hidden || !e.name.starts_with('.')) &&
           all->options.names.takes_directory(e.name);
  };
  how.visit = [all, named](pr::fs::walk_visit& v) { return search_visited(*all, named, v); };
  pr::fs::walk found(named ? path : ".", std::move(how));
  for (;;) {
    const auto batch = co_await found.next_batch();
    if (batch.empty() || all->answered()) break;
    for (const pr::fs::walk_entry& e : batch)
      if (e.failure) tell_unlisted(*all, shown(e, named), e.failure->code());
  }
}

// ---- what is given by its name ----

void search_given(shared_search& all, given_file& file) {
  if (!file.is_input() && !all.options.names.takes_given_file(file.name())) return;
  if (file.error() != 0)
    return all.fail(file.name(), std::error_code(file.error(), std::generic_category()));
  if (all.prints_to(file.device(), file.inode()))
    return all.fail(file.name(), "input file is also the output");
  try {
    all.search(file);
  } catch (const read_error& wrong) {
    all.fail(file.name(), wrong.code());
  } catch (const pattern_too_hard& wrong) {
    all.fail(file.name(), wrong.what());
  }
}

// From path `i` on, up to one that is a directory: which that is.
std::size_t search_given_files(shared_search& all, std::size_t i) {
  const auto& paths = all.options.paths;
  for (; i < paths.size() && !paths[i].empty() && all.wanted() && !all.answered(); ++i) {
    given_file file(paths[i]);
    if (file.is_directory()) break;
    search_given(all, file);
  }
  return i;
}

pr::task<> search_all(std::shared_ptr<shared_search> all) {
  const auto& paths = all->options.paths;
  for (std::size_t i = 0; i < paths.size() && !all->answered(); ++i) {
    auto files = [all, i] { return search_given_files(*all, i); };
    i = co_await pr::blocking(std::move(files));
    if (i == paths.size() || all->answered()) break;
    if (!all->options.names.takes_given_directory(paths[i])) continue;
    const auto searched = co_await pr::as_result(search_tree(all, paths[i]));
    if (!searched) all->fail(paths[i], searched.error().code());
  }
}

pr::task<> tell_progress(std::shared_ptr<shared_search> all) {
  pr::interval every(std::chrono::milliseconds(100));
  for (;;) {
    co_await every.tick();
    all->options.progress(all->files.load(std::memory_order_relaxed));
  }
}

// Whoever goes away lets the threads end.
struct stop_at_end {
  std::shared_ptr<shared_search> of;
  ~stop_at_end() { of->give_up(); }
};

}  // namespace

pr::task<grep_result> grep(grep_options options, int output) {
  if (options.paths.empty()) options.paths.emplace_back();
  const auto all = std::make_shared<shared_search>(std::move(options), output);
  const stop_at_end guard{all};
  std::optional<pr::join_handle<void>> progress;
  if (all->options.progress) progress.emplace(pr::spawn(tell_progress, all));
  co_await search_all(all);
  progress.reset();
  auto write_rest = [all] { all->output.flush(); };
  co_await pr::blocking(std::move(write_rest));
  co_return grep_result{all->files, all->matching, all->failed};
}

}  // namespace prgrep
