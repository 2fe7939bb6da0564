// Copies files and trees, and compares the copies with what they were made of.
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include <parkring/parkring.hpp>

#include "../support/plain_arguments.hpp"
#include "compare.hpp"

namespace pr = parkring;
using path = std::filesystem::path;

namespace {

struct command {
  std::vector<std::string> sources;
  std::string target;
  std::vector<std::string> preserve;
  bool archive = false, verify = false, only_verify = false, progress = false, quiet = false;
  bool hard_links = true;
  pr::fs::existing existing = pr::fs::existing::replace;
  pr::fs::cloning cloning = pr::fs::cloning::if_possible;
  unsigned jobs = 4;
};

// What a terminal is shown, a few times a second.
class display {
 public:
  explicit display(bool shown) : shown_(shown) {}
  void show(const pr::fs::copy_counts& c) {
    if (!shown_ || pr::now() < next_) return;
    next_ = pr::now() + std::chrono::milliseconds(200);
    std::fprintf(stderr, "\r%llu files, %llu MiB\033[K", static_cast<unsigned long long>(c.files),
                 static_cast<unsigned long long>(c.bytes >> 20));
    any_ = true;
  }
  void clear() {
    if (any_) std::fputs("\r\033[K", stderr);
    any_ = false;
  }

 private:
  bool shown_, any_ = false;
  decltype(pr::now()) next_{};
};

struct totals {
  pr::fs::copy_counts copied;
  std::uint64_t errors = 0, compared = 0;
};

void complain(display& screen, totals& all, const std::string& message) {
  screen.clear();
  std::cerr << "prcp: " << message << '\n';
  ++all.errors;
}

void add(pr::fs::copy_counts& to, const pr::fs::copy_counts& c) {
  to.files += c.files;
  to.directories += c.directories;
  to.links += c.links;
  to.hard_links += c.hard_links;
  to.others += c.others;
  to.bytes += c.bytes;
  to.skipped += c.skipped;
}

pr::fs::copy_options options_of(const command& c) {
  const auto keeps = [&](const char* what) {
    return c.archive || std::ranges::find(c.preserve, what) != c.preserve.end();
  };
  pr::fs::copy_options o;
  o.existing = c.existing;
  o.cloning = c.cloning;
  o.permissions = keeps("mode");
  o.owner = keeps("owner");
  o.times = keeps("times");
  o.attributes = keeps("xattr");
  o.hard_links = c.hard_links;
  o.concurrency = c.jobs;
  return o;
}

// A link that was named itself.
pr::task<pr::fs::copy_counts> copy_link(const command& c, path from, path to) {
  const path target = co_await pr::fs::read_link(from);
  const auto taken = co_await pr::as_result(pr::fs::stat(to, pr::fs::links::no_follow));
  if (taken && c.existing == pr::fs::existing::skip) co_return pr::fs::copy_counts{.skipped = 1};
  if (taken && c.existing == pr::fs::existing::replace) co_await pr::fs::remove(to);
  co_await pr::fs::symlink(target, to);
  co_return pr::fs::copy_counts{.links = 1};
}

// `follow`: what a link leads to is meant, as by a slash behind it.
pr::task<> copy_one(const command& c, const path& from, const path& to, bool follow,
                    display& screen, totals& all) {
  pr::fs::copy_options o = options_of(c);
  o.progress = [&](const pr::fs::copy_counts& counts) { screen.show(counts); };
  o.on_error = [&](const pr::error& e) {
    complain(screen, all, e.message());
    return true;
  };
  const auto links = follow ? pr::fs::links::follow : pr::fs::links::no_follow;
  const auto what = co_await pr::fs::stat(from, links);
  const auto there = co_await pr::as_result(pr::fs::stat(to, pr::fs::links::no_follow));
  if (there && there->inode == what.inode && there->device == what.device)
    throw pr::io_error({EINVAL, "copy", from.native() + ", " + to.native(), "they are one file"});
  auto copying = what.is_directory() ? pr::fs::copy_all(from, to, o)
                 : what.is_symlink() ? copy_link(c, from, to)
                                     : pr::fs::copy(from, to, o);
  const auto counts = co_await std::move(copying);
  add(all.copied, counts);
}

pr::task<> verify(const path& from, const path& to, display& screen, totals& all) {
  auto tell = [&](const std::string& difference) { complain(screen, all, difference); };
  const auto found = co_await prcp::compare(from, to, tell);
  all.compared += found.files;
}

pr::task<int> run(const command& c) {
  display screen(c.progress || (!c.quiet && ::isatty(STDERR_FILENO) == 1));
  totals all;
  const auto there = co_await pr::as_result(pr::fs::stat(c.target));
  const bool into = there && there->is_directory() && (!c.only_verify || c.sources.size() > 1);
  if (c.sources.size() > 1 && !into) {
    std::cerr << "prcp: " << c.target << " is no directory, so it cannot take several copies\n";
    co_return 2;
  }
  std::set<path> made;
  for (const std::string& source : c.sources) {
    path from = source;
    const bool slash = !from.has_filename();  // at the end
    if (slash) from = from.parent_path();
    const path name = from.filename();
    // What is in "." or ".." goes into the target itself, and never beside it.
    const bool named = name != "." && name != "..";
    const path to = into && named ? path(c.target) / name : path(c.target);
    if (!made.insert(to.lexically_normal()).second) {
      complain(screen, all,
               to.native() + ": another SOURCE has this name, so " + source + " is left out");
      continue;
    }
    if (!c.only_verify) {
      const auto done = co_await pr::as_result(copy_one(c, from, to, slash, screen, all));
      if (!done) {
        complain(screen, all, done.error().message());
        continue;
      }
    }
    if (c.verify || c.only_verify) {
      const auto done = co_await pr::as_result(verify(from, to, screen, all));
      if (!done) complain(screen, all, done.error().message());
    }
  }
  screen.clear();
  if (!c.quiet) {
    if (!c.only_verify)
      std::cout << all.copied.files << " files, " << all.copied.directories << " directories, "
                << all.copied.links << " links, " << all.copied.bytes << " bytes copied";
    if (all.copied.skipped != 0) std::cout << ", " << all.copied.skipped << " skipped";
    if (c.verify) std::cout << "; ";
    if (c.verify || c.only_verify) std::cout << all.compared << " files are the same";
    if (all.errors != 0) std::cout << "; " << all.errors << " errors";
    std::cout << '\n';
  }
  co_return all.errors == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) try {
  command c;
  CLI::App app(
      "Copies each SOURCE to TARGET, or into it if it is a directory: files, and directories with "
      "all that is in them. Links are copied as links, FIFOs in directories are made anew; sockets "
      "and devices are not copied, which is told as an error.\n"
      "Exit status: 0 all is well, 1 some entries could not be copied or differ, 2 wrong usage.");
  app.add_option("SOURCE... TARGET", c.sources, "what to copy, and last where to")
      ->required()
      ->expected(2, 1 << 20);
  app.add_option("-p,--preserve", c.preserve, "what to keep, separated by commas")
      ->delimiter(',')
      ->check(CLI::IsMember({"mode", "owner", "times", "xattr"}));
  app.add_flag("-a,--archive", c.archive, "keep mode, owner, times and extended attributes");
  app.add_option("--existing", c.existing, "what to do with names that are taken")
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, pr::fs::existing>{{"replace", pr::fs::existing::replace},
                                                  {"skip", pr::fs::existing::skip},
                                                  {"fail", pr::fs::existing::fail}}));
  app.add_option("--reflink", c.cloning, "share blocks with the original (default: auto)")
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, pr::fs::cloning>{{"auto", pr::fs::cloning::if_possible},
                                                 {"never", pr::fs::cloning::never},
                                                 {"always", pr::fs::cloning::always}}));
  app.add_flag("!--no-hard-links", c.hard_links,
               "copy each further name of a file as a file of its own");
  app.add_option("-j,--jobs", c.jobs, "jobs at once")
      ->capture_default_str()
      ->check(CLI::Range(1U, 64U));
  app.add_flag("--verify", c.verify, "read everything back and compare");
  app.add_flag("--only-verify", c.only_verify, "copy nothing, compare SOURCE with TARGET");
  app.add_flag("--progress", c.progress, "show progress also where there is no terminal");
  bool as_it_is = false;  // what cp has to be told
  app.add_flag("-r,-R,--recursive", as_it_is, "directories are copied, as they are anyway");
  app.add_flag("-q,--quiet", c.quiet, "say nothing but errors");
  try {
    const support::plain_arguments arguments(argc, argv);
    app.parse(arguments.count(), arguments.pointers());
    for (std::string& s : c.sources) s = support::plain_arguments::said(std::move(s));
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  c.target = std::move(c.sources.back());
  c.sources.pop_back();
  pr::runtime rt({.blocking_threads = c.jobs});
  const int status = rt.run(run(c));
  if (std::cout.flush()) return status;
  std::cerr << "prcp: standard output cannot be written\n";
  return 1;
} catch (const std::exception& e) {
  std::cerr << "prcp: " << e.what() << '\n';
  return 1;
}
