// A line matches if the pattern matches within it. Looking through the lines one by one would cost
// more than the matching, so the expression runs over whole pieces of text; a match that goes over
// the end of its line is tried again within the line.

#include "pattern.hpp"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <cstring>
#include <stdexcept>

namespace prgrep {
namespace {

bool in_word(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

std::string escaped(const std::string& text) {
  std::string s;
  for (const char c : text) {
    const bool plain = in_word(c) || static_cast<unsigned char>(c) >= 0x80;
    if (!plain) s += '\\';
    s += c;
  }
  return s;
}

std::string said_by_pcre(int code) {
  PCRE2_UCHAR text[256];
  pcre2_get_error_message(code, text, sizeof text);
  return reinterpret_cast<const char*>(text);
}

// All in one. Groups are numbered anew in each, so that \1 means what it says there.
std::string any_of(const std::vector<std::string>& texts, const pattern_options& options) {
  std::string all;
  for (const std::string& text : texts)
    all += (all.empty() ? "" : "|") + ("(?:" + (options.fixed ? escaped(text) : text) + ")");
  all = texts.size() == 1 ? (options.fixed ? escaped(texts[0]) : texts[0]) : "(?|" + all + ")";
  if (options.whole_line) return "^(?:" + all + ")$";
  if (options.word) return "(?<!\\w)(?:" + all + ")(?!\\w)";
  return all;
}

}  // namespace

struct match_space::memory {
  pcre2_match_data* found = pcre2_match_data_create(1, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  pcre2_jit_stack* stack = pcre2_jit_stack_create(32 << 10, 4 << 20, nullptr);

  memory() { pcre2_jit_stack_assign(context, nullptr, stack); }
  memory(const memory&) = delete;
  memory& operator=(const memory&) = delete;
  ~memory() {
    pcre2_match_data_free(found);
    pcre2_match_context_free(context);
    pcre2_jit_stack_free(stack);
  }
};

match_space::match_space() : memory_(std::make_unique<memory>()) {}
match_space::~match_space() = default;

struct pattern::expression {
  pcre2_code* code = nullptr;

  expression(const std::string& text, std::uint32_t options, char line_end) {
    pcre2_compile_context* const how = pcre2_compile_context_create(nullptr);
    pcre2_set_newline(how, line_end == 0 ? PCRE2_NEWLINE_NUL : PCRE2_NEWLINE_LF);
    int error = 0;
    PCRE2_SIZE at = 0;
    code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), options, &error,
                         &at, how);
    pcre2_compile_context_free(how);
    if (code == nullptr)
      throw std::invalid_argument("the pattern is no regular expression: " + said_by_pcre(error) +
                                  ", at byte " + std::to_string(at));
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // without it, it is interpreted
  }
  expression(const expression&) = delete;
  expression& operator=(const expression&) = delete;
  ~expression() { pcre2_code_free(code); }

  [[nodiscard]] bool match(const char* from, const char* start, const char* end,
                           match_space::memory& space) const {
    const int n =
        pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(from), static_cast<std::size_t>(end - from),
                    static_cast<std::size_t>(start - from), 0, space.found, space.context);
    if (n >= 0) return true;
    if (n == PCRE2_ERROR_NOMATCH) return false;
    throw pattern_too_hard("the expression is too hard for this text: " + said_by_pcre(n));
  }
};

pattern::pattern(const std::vector<std::string>& texts, const pattern_options& options)
    : options_(options) {
  if (texts.empty()) return;
  if (options.fixed && !options.ignore_case && texts.size() == 1) {
    literal_.emplace(texts[0]);
    return;
  }
  std::uint32_t flags =
      PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C | PCRE2_UTF | PCRE2_MATCH_INVALID_UTF;
  if (options.ignore_case) flags |= PCRE2_CASELESS;
  expression_ = std::make_unique<expression>(any_of(texts, options), flags, options.line_end);
}

pattern::~pattern() = default;

// Whether the literal at `at` has beside it what the options ask for.
bool pattern::stands_alone(const char* from, const char* at, const char* end) const noexcept {
  const char* const behind = at + literal_->size();
  if (options_.whole_line)
    return (at == from || at[-1] == options_.line_end) &&
           (behind == end || *behind == options_.line_end);
  if (!options_.word) return true;
  return (at == from || !in_word(at[-1])) && (behind == end || !in_word(*behind));
}

const char* pattern::find_literal(const char* from, const char* at,
                                  const char* end) const noexcept {
  for (;; ++at) {
    at = literal_->find(at, end);
    if (at == nullptr || stands_alone(from, at, end)) return at;
    if (at == end) return nullptr;
  }
}

const char* pattern::find(const char* from, const char* end, match_space& space) const {
  if (literal_) return find_literal(from, from, end);
  if (!expression_) return nullptr;
  const char line_end = options_.line_end;
  for (const char* at = from; at < end;) {
    if (!expression_->match(from, at, end, *space.memory_)) return nullptr;
    const PCRE2_SIZE* const found = pcre2_get_ovector_pointer(space.memory_->found);
    const char* const start = from + found[0];
    if (start == end && end[-1] == line_end) return nullptr;  // there is no line behind it
    const void* const next = std::memchr(start, line_end, static_cast<std::size_t>(end - start));
    const char* const stop = next == nullptr ? end : static_cast<const char*>(next);
    if (from + found[1] <= stop) return start;
    const void* const last = ::memrchr(from, line_end, static_cast<std::size_t>(start - from));
    const char* const line = last == nullptr ? from : static_cast<const char*>(last) + 1;
    if (expression_->match(line, line, stop, *space.memory_)) return line;
    at = stop + 1;
  }
  return nullptr;
}

std::optional<matched> pattern::find_in_line(const char* line, const char* at, const char* end,
                                             match_space& space) const {
  if (literal_) {
    const char* const found = find_literal(line, at, end);
    if (found == nullptr) return std::nullopt;
    return matched{found, found + literal_->size()};
  }
  if (!expression_ || !expression_->match(line, at, end, *space.memory_)) return std::nullopt;
  const PCRE2_SIZE* const found = pcre2_get_ovector_pointer(space.memory_->found);
  return matched{line + found[0], line + found[1]};
}

}  // namespace prgrep
