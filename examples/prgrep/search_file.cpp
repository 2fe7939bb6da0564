#include "search_file.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace prgrep {
namespace {

constexpr std::size_t first_size = std::size_t{128} << 10;  // most files are smaller
constexpr std::size_t looked_at = std::size_t{32} << 10;    // for a NUL

std::size_t read_some(int fd, char* to, std::size_t size) {
  for (;;) {
    const ssize_t n = ::read(fd, to, size);
    if (n >= 0) return static_cast<std::size_t>(n);
    if (errno != EINTR) throw std::system_error(errno, std::generic_category());
  }
}

}  // namespace

file_searcher::file_searcher(const pattern& what, const print_options& print)
    : pattern_(what),
      print_(print),
      one_is_enough_(print.quiet || print.only_names),
      memory_(first_size) {}

void file_searcher::count_lines_to(const char* at) {
  line_ += static_cast<std::size_t>(std::count(counted_, at, '\n'));
  counted_ = at;
}

// The line [line, end) is one to print; `end` is its newline, or the end of the file.
void file_searcher::select(const char* line, const char* end) {
  ++selected_;
  if (one_is_enough_ || print_.only_counts || binary_) return;
  std::string& out = *output_;
  if (print_.names) out.append(name_).push_back(':');
  if (print_.line_numbers) {
    count_lines_to(line);
    out.append(std::to_string(line_ + 1)).push_back(':');
  }
  out.append(line, end);
  out.push_back('\n');
}

// [from, end) are whole lines.
void file_searcher::search_lines(const char* from, const char* end) {
  counted_ = from;
  const bool stops = one_is_enough_ || (binary_ && !print_.only_counts);
  const auto select_all = [&](const char* at, const char* to) {
    while (at < to && !(stops && selected_ != 0)) {
      const void* newline = std::memchr(at, '\n', static_cast<std::size_t>(to - at));
      const char* const line_end = newline == nullptr ? to : static_cast<const char*>(newline);
      select(at, line_end);
      at = line_end + 1;
    }
  };
  for (const char* at = from; at < end;) {
    const char* const hit = pattern_.find(at, end, space_);
    if (hit == nullptr || (hit == end && end[-1] == '\n')) {
      if (print_.invert) select_all(at, end);
      break;
    }
    const auto* before =
        static_cast<const char*>(::memrchr(at, '\n', static_cast<std::size_t>(hit - at)));
    const char* const line = before == nullptr ? at : before + 1;
    const void* after = std::memchr(hit, '\n', static_cast<std::size_t>(end - hit));
    const char* const line_end = after == nullptr ? end : static_cast<const char*>(after);
    if (print_.invert)
      select_all(at, line);
    else
      select(line, line_end);
    if (stops && selected_ != 0) return;
    at = line_end + 1;
  }
  if (print_.line_numbers) count_lines_to(end);
}

bool file_searcher::search(int fd, std::string_view name, bool short_is_end, std::string& output) {
  name_ = name;
  output_ = &output;
  binary_ = false;
  selected_ = 0;
  line_ = 0;
  std::size_t kept = 0;  // bytes of a line whose end is to come
  for (bool first = true, ended = false; !ended; first = false) {
    if (kept == memory_.size()) memory_.resize(memory_.size() * 2);
    char* const data = memory_.data();
    const std::size_t room = memory_.size() - kept;
    const std::size_t got = read_some(fd, data + kept, room);
    ended = got == 0 || (short_is_end && got < room);
    if (first && !print_.text)
      binary_ = std::memchr(data, '\0', std::min(got, looked_at)) != nullptr;
    // In a binary file a NUL ends a line, too.
    if (binary_) std::replace(data + kept, data + kept + got, '\0', '\n');
    const char* const end = data + kept + got;
    const char* lines_end = end;
    if (!ended) {
      const void* newline = ::memrchr(data + kept, '\n', got);
      lines_end = newline == nullptr ? data : static_cast<const char*>(newline) + 1;
    }
    if (lines_end != data) search_lines(data, lines_end);
    if (selected_ != 0 && (one_is_enough_ || (binary_ && !print_.only_counts))) break;
    kept = static_cast<std::size_t>(end - lines_end);
    if (kept != 0 && !ended) std::memmove(data, lines_end, kept);
  }
  if (print_.quiet) return selected_ != 0;
  if (print_.only_names) {
    if (selected_ != 0) output.append(name).push_back('\n');
  } else if (print_.only_counts) {
    if (print_.names) output.append(name).push_back(':');
    output.append(std::to_string(selected_)).push_back('\n');
  } else if (selected_ != 0 && binary_) {
    output.append("Binary file ").append(name).append(" matches\n");
  }
  return selected_ != 0;
}

}  // namespace prgrep
