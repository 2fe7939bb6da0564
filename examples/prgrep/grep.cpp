// A file of a source tree is a few kilobytes, and in the page cache: opening, reading and closing
// it takes a thread two or three microseconds. Asked for by the ring these are three requests with
// their records, wakes and turns, which cost about as much again, and all of it on one thread. So
// the files are searched by calls that block, on as many threads as there are processors, in jobs
// of some milliseconds each: what a job costs beside its calls is then not to be seen. The runtime
// keeps the jobs going, writes what they found, and tells of progress.
//
// A job works with what it shares with the others: the pattern, which does not change, and the
// walk, which has a lock. It ends when it has done enough, so that its output is written soon.

#include "grep.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

#include <parkring/blocking.hpp>
#include <parkring/spawn.hpp>
#include <parkring/sync/mutex.hpp>
#include <parkring/task_group.hpp>
#include <parkring/time.hpp>

#include "tree.hpp"

namespace prgrep {
namespace {

namespace pr = parkring;

constexpr std::size_t files_of_a_job = 2'000;
constexpr std::size_t output_of_a_job = std::size_t{256} << 10;

struct search {
  pattern what;
  print_options print;
  tree_walk walk;
  std::atomic<std::size_t> files{0};

  search(const grep_options& o, const print_options& p)
      : what(o.pattern, o.match), print(p), walk({.hidden = o.hidden}) {}
};

struct job_result {
  std::string output;
  std::vector<std::string> complaints;
  std::size_t matching = 0;
  bool over = false;
};

// A thread's part of the search. Handed from job to job.
struct searcher {
  std::shared_ptr<search> of;
  file_searcher files;
  explicit searcher(std::shared_ptr<search> s) : of(std::move(s)), files(of->what, of->print) {}

  job_result work();

 private:
  bool search_one(const work_item& item, const std::string& name, std::string& output,
                  const complaint& complain);
};

bool searcher::search_one(const work_item& item, const std::string& name, std::string& output,
                          const complaint& complain) {
  const directory* const below = item.below.get();
  std::string path = below == nullptr ? name : below->path() + name;
  // Not to wait for a writer, should the name be a pipe's by now.
  const int flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | (item.given ? 0 : O_NOFOLLOW | O_NONBLOCK);
  const int fd = ::openat(below == nullptr ? AT_FDCWD : below->fd(), name.c_str(), flags);
  if (fd < 0) {
    complain(path, errno);
    return false;
  }
  bool matches = false;
  try {
    matches = files.search(fd, path, below != nullptr && below->short_is_end(), output);
  } catch (const std::system_error& e) {
    complain(path, e.code().value());
  } catch (const std::runtime_error& e) {
    complain(path + ": " + e.what(), 0);
  }
  ::close(fd);
  return matches;
}

job_result searcher::work() {
  job_result r;
  const complaint complain = [&r](const std::string& path, int number) {
    r.complaints.push_back(number == 0 ? path
                                       : path + ": " + std::generic_category().message(number));
  };
  work_item item;
  std::size_t done = 0;
  bool has_one = false;
  while (done < files_of_a_job && r.output.size() < output_of_a_job) {
    if (!of->walk.take(item, std::exchange(has_one, true))) {
      r.over = true;
      return r;
    }
    if (item.is_directory) {
      of->walk.list(item, complain);
      continue;
    }
    for (const std::string& name : item.names) {
      if (!search_one(item, name, r.output, complain)) continue;
      ++r.matching;
      if (of->print.quiet) of->walk.stop();
    }
    done += item.names.size();
    of->files.fetch_add(item.names.size(), std::memory_order_relaxed);
  }
  of->walk.done();
  return r;
}

int write_all(int fd, const std::string& text) {
  for (std::size_t done = 0; done < text.size();) {
    const ssize_t n = ::write(fd, text.data() + done, text.size() - done);
    if (n >= 0)
      done += static_cast<std::size_t>(n);
    else if (errno != EINTR)
      return errno;
  }
  return 0;
}

// Whoever goes away lets the threads end.
struct stop_at_end {
  std::shared_ptr<search> of;
  ~stop_at_end() { of->walk.stop(); }
};

// What the tasks of one search share.
struct state {
  std::shared_ptr<search> of;
  const grep_options& options;
  int output;
  pr::mutex writing{};
  grep_result result{};
};

pr::task<> search_by_jobs(state& s) {
  auto mine = std::make_shared<searcher>(s.of);
  for (bool over = false; !over;) {
    auto job = [mine] { return mine->work(); };
    job_result r = co_await pr::blocking(std::move(job));
    over = r.over;
    s.result.matching += r.matching;
    s.result.failed += r.complaints.size();
    if (s.options.complain)
      for (const std::string& c : r.complaints) s.options.complain(c);
    if (r.output.empty()) continue;
    const auto turn = co_await s.writing.lock();
    auto print = [fd = s.output, text = std::move(r.output)] { return write_all(fd, text); };
    const int error = co_await pr::blocking(std::move(print));
    if (error != 0) throw std::system_error(error, std::generic_category(), "write the output");
  }
}

pr::task<> tell_progress(state& s) {
  pr::interval every(std::chrono::milliseconds(100));
  for (;;) {
    co_await every.tick();
    s.options.progress(s.of->files.load(std::memory_order_relaxed));
  }
}

}  // namespace

pr::task<grep_result> grep(grep_options options, int output) {
  if (options.paths.empty()) options.paths.emplace_back();
  // How many there are decides whether names are printed, and a link to a directory is one.
  std::vector<std::string> complaints;
  auto of = std::make_shared<search>(options, options.print);
  for (const std::string& path : options.paths) {
    struct stat s {};
    const bool is_directory = path.empty() || (::stat(path.c_str(), &s) == 0 && S_ISDIR(s.st_mode));
    of->walk.add(path, is_directory);
  }
  const stop_at_end guard{of};
  state s{.of = of, .options = options, .output = output};
  pr::task_group group;
  for (unsigned i = 0; i < options.threads; ++i) group.spawn(search_by_jobs, std::ref(s));
  std::optional<pr::join_handle<void>> progress;
  if (options.progress) progress.emplace(pr::spawn(tell_progress, std::ref(s)));
  co_await group.join();
  progress.reset();
  s.result.files = of->files.load(std::memory_order_relaxed);
  co_return s.result;
}

}  // namespace prgrep
