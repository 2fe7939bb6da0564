#include "search_file.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace prgrep {
namespace {

constexpr std::size_t piece = std::size_t{96} << 10;

// The first line's end in [from, end), or `end`.
const char* find_end(const char* from, const char* end, char line_end) noexcept {
  const void* at = std::memchr(from, line_end, static_cast<std::size_t>(end - from));
  return at == nullptr ? end : static_cast<const char*>(at);
}

// Where the last line of [from, end) begins: behind the last line's end in it.
const char* last_line(const char* from, const char* end, char line_end) noexcept {
  const void* at = ::memrchr(from, line_end, static_cast<std::size_t>(end - from));
  return at == nullptr ? from : static_cast<const char*>(at) + 1;
}

}  // namespace

file_searcher::file_searcher(const pattern& what, const search_options& options,
                             const print_options& print)
    : pattern_(what),
      options_(options),
      print_options_(print),
      printer_(what, print),
      memory_(piece) {}

std::string_view file_searcher::name() {
  if (name_.empty()) name_ = from_->name();
  return name_;
}

void file_searcher::count_lines_to(const char* at) {
  if (!print_options_.line_numbers) return;
  line_ += static_cast<std::uint64_t>(std::count(counted_, at, options_.line_end));
  counted_ = at;
}

void file_searcher::print(const char* line, const char* end, line_kind kind) {
  count_lines_to(line);
  const bool shows_name = print_options_.names;
  printer_.line(text_, shows_name ? name() : std::string_view(), line_ + 1, line, end, kind);
  printed_to_ = end + 1;
}

// What is still to be printed behind a selected line, of the lines before `until`.
void file_searcher::print_after(const char* until) {
  for (; after_left_ != 0 && printed_to_ < until; --after_left_)
    print(printed_to_, find_end(printed_to_, until, options_.line_end), line_kind::context);
}

// The line [line, end) is selected; `end` is its end, or that of the file.
void file_searcher::select(const char* line, const char* end) {
  ++selected_;
  if (silent_) {
    after_left_ = 0;
    return;
  }
  print_after(line);
  const char* from = line;
  const char* const lowest = printed_to_ != nullptr ? printed_to_ : first_;
  for (std::size_t n = 0; n < options_.before && from > lowest; ++n)
    from = last_line(lowest, from - 1, options_.line_end);
  if (options_.in_groups && any_printed_ && from != printed_to_) printer_.separator(text_);
  while (from < line) {
    const char* const stop = find_end(from, line, options_.line_end);
    print(from, stop, line_kind::context);
    from = stop + 1;
  }
  print(line, end, line_kind::selected);
  any_printed_ = true;
  after_left_ = options_.after;
}

// [from, end) are whole lines.
void file_searcher::search_lines(const char* from, const char* end) {
  const char e = options_.line_end;
  const auto select_all = [&](const char* at, const char* to) {
    while (at < to && selected_ < enough_) {
      const char* const stop = find_end(at, to, e);
      select(at, stop);
      at = stop + 1;
    }
  };
  for (const char* at = from; at < end && selected_ < enough_;) {
    const char* const hit = pattern_.find(at, end, space_);
    if (hit == nullptr || (hit == end && end[-1] == e)) {
      if (options_.invert) select_all(at, end);
      break;
    }
    const char* const line = last_line(at, hit, e);
    const char* const stop = find_end(hit, end, e);
    if (options_.invert)
      select_all(at, line);
    else
      select(line, stop);
    at = stop + 1;
  }
  print_after(end);
}

void file_searcher::begin(source& from) {
  from_ = &from;
  name_.clear();
  text_.clear();
  selected_ = line_ = before_binary_ = 0;
  const bool one_is_enough = options_.what != report::lines && options_.what != report::counts;
  enough_ = one_is_enough ? std::min<std::uint64_t>(options_.at_most, 1) : options_.at_most;
  silent_ = options_.what != report::lines;
  binary_ = any_printed_ = false;
  printed_to_ = nullptr;
  after_left_ = 0;
}

// There is a NUL in [at, end). They end lines, too.
void file_searcher::meet_binary(char* at, const char* end) {
  if (!std::exchange(binary_, true)) {
    before_binary_ = selected_;
    if (options_.what == report::lines) {
      silent_ = true;
      enough_ = std::min(enough_, selected_ + 1);
    }
  }
  // Always written, unlike by std::replace: so the compiler takes many bytes at once.
  for (; at != end; ++at) *at = *at == '\0' ? '\n' : *at;
}

// Moves what is needed with the next piece to the front of the memory, and says how much that is:
// lines before `searched` that may be printed, and what is behind it.
std::size_t file_searcher::keep(const char* searched, const char* end) {
  const char* const lowest = printed_to_ != nullptr ? printed_to_ : first_;
  const char* from = searched;
  for (std::size_t n = 0; !silent_ && n < options_.before && from > lowest; ++n)
    from = last_line(lowest, from - 1, options_.line_end);
  count_lines_to(from);
  const auto size = static_cast<std::size_t>(end - from);
  std::memmove(memory_.data(), from, size);
  if (memory_.size() < size + piece) memory_.resize(std::max(size + piece, memory_.size() * 2));
  first_ = counted_ = memory_.data();
  printed_to_ = printed_to_ == from ? first_ : nullptr;
  return size;
}

file_searcher::outcome file_searcher::search(source& from, output& to) {
  begin(from);
  output::turn turn(to);
  std::size_t kept = 0, line = 0;  // bytes in memory; where the line begins whose end is to come
  first_ = counted_ = memory_.data();
  for (bool left_out = false; !left_out;) {
    std::size_t got = 0;
    try {
      got = from.read(memory_.data() + kept, piece);
    } catch (...) {
      turn.add(text_);
      turn.end(selected_ != 0);
      throw;
    }
    char* const data = memory_.data();
    char* const fresh = data + kept;
    const char* const end = fresh + got;
    const bool may_be_binary =
        options_.line_end == '\n' && options_.binary != binary_files::searched;
    if (may_be_binary && got != 0 && (binary_ || std::memchr(fresh, '\0', got) != nullptr)) {
      left_out = options_.binary == binary_files::left_out;
      if (left_out) selected_ = 0;
      if (left_out) break;
      meet_binary(data + line, end);
    }
    const char* const lines = data + line;
    const char* const stop = got == 0 ? end : last_line(lines, end, options_.line_end);
    if (stop != lines) search_lines(lines, stop);
    if (got == 0 || is_over()) break;
    if (text_.size() >= output::most_kept || to.writes_at_once()) turn.add(text_);
    const auto unfinished = static_cast<std::size_t>(end - stop);
    kept = keep(stop, end);
    line = kept - unfinished;
  }
  finish();
  turn.add(text_);
  turn.end(selected_ != 0);
  const bool told = options_.what == report::lines && binary_ && selected_ > before_binary_;
  return {.selected = selected_ != 0, .binary_told = told};
}

// What is printed of the file as a whole.
void file_searcher::finish() {
  if (options_.what == report::counts) printer_.count(text_, name(), selected_);
  if (options_.what == (selected_ != 0 ? report::names_with : report::names_without))
    printer_.name(text_, name());
}

}  // namespace prgrep
