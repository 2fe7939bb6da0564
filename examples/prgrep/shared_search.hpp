// What the threads of one search share: the pattern, which does not change; the output, which has a
// lock; and searchers, of which a thread takes one for a file. It lives as long as any of them.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "grep.hpp"
#include "output.hpp"

namespace prgrep {

struct shared_search {
  const grep_options options;
  const pattern what;
  prgrep::output output;
  std::atomic<std::size_t> files{0}, matching{0}, failed{0};

  shared_search(grep_options o, int fd)
      : options(std::move(o)),
        what(options.patterns, options.match),
        output(fd, {.separator = separator(), .at_once = options.at_once}) {}

  /// True if a line was selected. Throws what `file_searcher::search` does.
  bool search(source& from);
  void fail(const std::string& name, const std::string& why);
  void fail(const std::string& name, const std::error_code& why) { fail(name, why.message()); }
  void warn(const std::string& text) const {
    if (options.tell && !options.silent) options.tell(text);
  }
  void give_up() noexcept { unwanted_.store(true, std::memory_order_relaxed); }
  [[nodiscard]] bool wanted() const noexcept { return !unwanted_.load(std::memory_order_relaxed); }
  [[nodiscard]] bool answered() const {
    return options.search.what == report::nothing && matching.load() != 0;
  }
  /// Printing what was printed, and printing that, there would be no end.
  [[nodiscard]] bool prints_to(std::uint64_t device, std::uint64_t inode) const {
    return inode == output.inode() && device == output.device() &&
           options.search.what == report::lines && options.search.at_most > 1;
  }

 private:
  [[nodiscard]] std::string separator() const {
    std::string text;
    if (options.search.in_groups && options.search.what == report::lines)
      printer(what, options.print).separator(text);
    return text;
  }
  std::atomic<bool> unwanted_{false};
  std::mutex mutex_;
  std::vector<std::unique_ptr<file_searcher>> idle_;
};

}  // namespace prgrep
