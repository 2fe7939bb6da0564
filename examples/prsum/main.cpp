// Checksums of files and trees, by several workers; or checks files against such sums.
#include <deque>
#include <fstream>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>

#include <parkring/parkring.hpp>

#include "../support/plain_arguments.hpp"
#include "sums.hpp"

namespace pr = parkring;
using path = std::filesystem::path;

namespace {

constexpr std::size_t most_at_once = 64;

struct command {
  std::vector<std::string> paths;
  std::string algorithm = "sha256";
  std::string check;
  bool quiet = false;
  unsigned workers = std::max(1U, std::thread::hardware_concurrency());
};

struct outcome {
  std::string digits, failure;
};

pr::task<outcome> sum_or_failure(path file, std::string algorithm) {
  auto sum = co_await pr::as_result(prsum::sum_of(file, algorithm));
  if (sum) co_return outcome{std::move(*sum), {}};
  co_return outcome{{}, sum.error().message()};
}

// Sums under way, in the order in which they were asked for.
class queue {
 public:
  explicit queue(std::string algorithm) : algorithm_(std::move(algorithm)) {}
  [[nodiscard]] bool full() const noexcept { return under_way_.size() >= most_at_once; }
  [[nodiscard]] bool empty() const noexcept { return under_way_.empty(); }
  void ask(std::string name, std::string expected = {}) {
    auto sum = pr::spawn_anywhere(sum_or_failure, path(name), algorithm_);
    under_way_.push_back({std::move(name), std::move(expected), std::move(sum)});
  }
  struct answer {
    std::string name, expected;
    outcome came;
  };
  pr::task<answer> first() {
    entry e = std::move(under_way_.front());
    under_way_.pop_front();
    outcome came = co_await e.sum;
    co_return answer{std::move(e.name), std::move(e.expected), std::move(came)};
  }

 private:
  struct entry {
    std::string name, expected;
    pr::remote_handle<outcome> sum;
  };
  std::string algorithm_;
  std::deque<entry> under_way_;
};

// ---- sums ----

pr::task<bool> print_first(queue& sums) {
  const auto a = co_await sums.first();
  if (!a.came.failure.empty()) {
    std::cerr << "prsum: " << a.came.failure << '\n';
    co_return false;
  }
  std::cout << prsum::line_of(a.came.digits, a.name) << '\n';
  co_return true;
}

pr::task<bool> sum_tree(const std::string& root, queue& sums) {
  bool good = true;
  pr::fs::walk entries(root, {.order = pr::fs::walk_order::depth_first});
  for (;;) {
    auto e = co_await entries.next();
    if (!e) break;
    if (e->failure) {
      std::cerr << "prsum: " << e->failure->message() << '\n';
      good = false;
    }
    if (e->type != pr::fs::file_type::regular) continue;
    while (sums.full()) good &= co_await print_first(sums);
    sums.ask(e->path().native());
  }
  co_return good;
}

pr::task<bool> sum_all(const command& c, queue& sums) {
  bool good = true;
  for (const std::string& p : c.paths) {
    const auto what = co_await pr::as_result(pr::fs::stat(p));
    if (what && what->is_directory()) {
      const auto tree = co_await pr::as_result(sum_tree(p, sums));
      if (!tree) std::cerr << "prsum: " << tree.error().message() << '\n';
      good &= tree.value_or(false);
      continue;
    }
    while (sums.full()) good &= co_await print_first(sums);
    sums.ask(p);  // which says what is wrong with it
  }
  while (!sums.empty()) good &= co_await print_first(sums);
  co_return good;
}

// ---- checks ----

struct verdict {
  unsigned wrong = 0, unreadable = 0, malformed = 0, checked = 0;
};

pr::task<> check_first(queue& sums, bool quiet, verdict& v) {
  const auto a = co_await sums.first();
  if (!a.came.failure.empty()) {
    ++v.unreadable;
    std::cerr << "prsum: " << a.came.failure << '\n';
    std::cout << a.name << ": FAILED open or read\n";
  } else if (a.came.digits != a.expected) {
    ++v.wrong;
    std::cout << a.name << ": FAILED\n";
  } else if (!quiet) {
    std::cout << a.name << ": OK\n";
  }
}

void warn(unsigned n, const char* what) {
  if (n != 0) std::cerr << "prsum: WARNING: " << n << what << '\n';
}

pr::task<bool> check_all(const command& c, queue& sums) {
  const path list = c.check == "-" ? "/dev/stdin" : c.check;
  const std::string text = co_await pr::fs::read_file(list);
  verdict v;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const auto line = prsum::read_line(std::string_view(text).substr(at, end - at));
    const bool is_comment = text[at] == '#';
    at = end + 1;
    if (is_comment) continue;
    if (!line || line->digits.size() != prsum::digits_of(c.algorithm)) {
      ++v.malformed;
      continue;
    }
    ++v.checked;
    while (sums.full()) co_await check_first(sums, c.quiet, v);
    sums.ask(line->name, line->digits);
  }
  while (!sums.empty()) co_await check_first(sums, c.quiet, v);
  if (v.checked == 0) {
    std::cerr << "prsum: " << c.check << ": no line is a checksum of " << c.algorithm << '\n';
    co_return false;
  }
  warn(v.malformed, " line(s) are no checksums");
  warn(v.unreadable, " listed file(s) could not be read");
  warn(v.wrong, " computed checksum(s) did NOT match");
  co_return v.wrong == 0 && v.unreadable == 0;
}

pr::task<int> run(const command& c) {
  queue sums(c.algorithm);
  const bool good = c.check.empty() ? co_await sum_all(c, sums) : co_await check_all(c, sums);
  co_return good ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) try {
  std::ios::sync_with_stdio(false);
  command c;
  CLI::App app(
      "Prints a checksum of each file named and of all files in the directories named, as "
      "sha256sum "
      "does; sha256sum -c checks them.\n"
      "Exit status: 0 all is well, 1 a file could not be read or is not as it was, 2 wrong usage.");
  auto* paths = app.add_option("PATH", c.paths, "files and directories");
  app.add_option("-a,--algorithm", c.algorithm,
                 "a hash of OpenSSL: sha256, sha512, sha1, md5, blake2b512 (that of b2sum)")
      ->capture_default_str();
  auto* check = app.add_option("-c,--check", c.check,
                               "check the files that are listed here; -: by standard input");
  app.add_flag("-q,--quiet", c.quiet, "with --check: say nothing of files that are as they were");
  app.add_option("-w,--workers", c.workers, "threads")
      ->capture_default_str()
      ->check(CLI::Range(1U, 64U));
  paths->excludes(check);
  try {
    const support::plain_arguments arguments(argc, argv);
    app.parse(arguments.count(), arguments.pointers());
    for (std::string& p : c.paths) p = support::plain_arguments::said(std::move(p));
    if (c.paths.empty() && c.check.empty()) throw CLI::RequiredError("PATH or --check");
    if (!prsum::knows(c.algorithm))
      throw CLI::ValidationError("--algorithm", "OpenSSL has no " + c.algorithm);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  pr::runtime rt({.workers = c.workers});
  const int status = rt.run(run(c));
  if (std::cout.flush()) return status;
  std::cerr << "prsum: standard output cannot be written\n";
  return 1;
} catch (const std::exception& e) {
  std::cerr << "prsum: " << e.what() << '\n';
  return 1;
}
