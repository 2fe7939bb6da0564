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

const char* end_of_line(const char* at, const char* end) noexcept {
  const void* newline = std::memchr(at, '\n', static_cast<std::size_t>(end - at));
  return newline == nullptr ? end : static_cast<const char*>(newline);
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

  expression(const std::string& text, std::uint32_t options) {
    pcre2_compile_context* const how = pcre2_compile_context_create(nullptr);
    pcre2_set_newline(how, PCRE2_NEWLINE_LF);
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
    throw std::runtime_error("the expression is too hard for this text: " + said_by_pcre(n));
  }
};

pattern::pattern(const std::string& text, const pattern_options& options) : word_(options.word) {
  if (options.fixed && !options.ignore_case) {
    literal_.emplace(text);
    return;
  }
  std::string expression_text = options.fixed ? escaped(text) : text;
  if (options.word) expression_text = "(?<!\\w)(?:" + expression_text + ")(?!\\w)";
  std::uint32_t flags =
      PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C | PCRE2_UTF | PCRE2_MATCH_INVALID_UTF;
  if (options.ignore_case) flags |= PCRE2_CASELESS;
  expression_ = std::make_unique<expression>(expression_text, flags);
}

pattern::~pattern() = default;

const char* pattern::find_literal(const char* from, const char* end) const noexcept {
  for (const char* at = from;;) {
    at = literal_->find(at, end);
    if (at == nullptr || !word_) return at;
    const char* const behind = at + literal_->size();
    if ((at == from || !in_word(at[-1])) && (behind == end || !in_word(*behind))) return at;
    if (at == end) return nullptr;
    ++at;
  }
}

const char* pattern::find(const char* from, const char* end, match_space& space) const {
  if (literal_) return find_literal(from, end);
  for (const char* at = from; at < end;) {
    if (!expression_->match(from, at, end, *space.memory_)) return nullptr;
    const PCRE2_SIZE* const found = pcre2_get_ovector_pointer(space.memory_->found);
    const char* const start = from + found[0];
    if (start == end && end[-1] == '\n') return nullptr;  // there is no line behind it
    const char* const line_end = end_of_line(start, end);
    if (from + found[1] <= line_end) return start;
    const auto* const newline =
        static_cast<const char*>(::memrchr(from, '\n', static_cast<std::size_t>(start - from)));
    const char* const line = newline == nullptr ? from : newline + 1;
    if (expression_->match(line, line, line_end, *space.memory_)) return line;
    at = line_end + 1;
  }
  return nullptr;
}

}  // namespace prgrep
