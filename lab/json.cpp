#include "json.hpp"

#include <charconv>
#include <cstddef>

#include "measurement.hpp"

namespace lab {
namespace {

constexpr unsigned deepest = 64;  // so that no text can exhaust the stack

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

bool ends_scalar(char c) { return is_space(c) || c == ',' || c == ']' || c == '}'; }

class reader {
 public:
  explicit reader(std::string_view text) : rest_(text) {}

  // From the start of a value to the start of one that is inside it.
  bool step_into(std::string_view step) {
    if (take('{')) return seek_member(step);
    return take('[') && seek_element(step);
  }

  double number() {
    skip_spaces();
    double value = unknown;
    const char* const end = rest_.data() + rest_.size();
    const auto [stop, error] = std::from_chars(rest_.data(), end, value);
    return error == std::errc() && stop != end && ends_scalar(*stop) ? value : unknown;
  }

 private:
  bool seek_member(std::string_view name) {
    do {
      std::string_view found;
      if (!take_string(found) || !take(':')) return false;
      if (found == name) return true;
      if (!skip_value(0)) return false;
    } while (take(','));
    return false;
  }

  bool seek_element(std::string_view index) {
    std::size_t before = 0;
    const char* const end = index.data() + index.size();
    const auto [stop, error] = std::from_chars(index.data(), end, before);
    if (error != std::errc() || stop != end) return false;
    for (; before != 0; --before)
      if (!skip_value(0) || !take(',')) return false;
    return true;
  }

  bool skip_value(unsigned depth) {
    if (depth == deepest) return false;
    if (take('{')) {
      if (take('}')) return true;
      do {
        std::string_view name;
        if (!take_string(name) || !take(':') || !skip_value(depth + 1)) return false;
      } while (take(','));
      return take('}');
    }
    if (take('[')) {
      if (take(']')) return true;
      do {
        if (!skip_value(depth + 1)) return false;
      } while (take(','));
      return take(']');
    }
    std::string_view text;
    return take_string(text) || skip_scalar();
  }

  bool skip_scalar() {
    std::size_t length = 0;
    while (length < rest_.size() && !ends_scalar(rest_[length])) ++length;
    rest_.remove_prefix(length);
    return length != 0;
  }

  bool take_string(std::string_view& content) {
    if (!take('"')) return false;
    std::size_t length = 0;
    while (length < rest_.size() && rest_[length] != '"') length += rest_[length] == '\\' ? 2 : 1;
    if (length >= rest_.size()) return false;
    content = rest_.substr(0, length);
    rest_.remove_prefix(length + 1);
    return true;
  }

  bool take(char wanted) {
    skip_spaces();
    if (rest_.empty() || rest_.front() != wanted) return false;
    rest_.remove_prefix(1);
    return true;
  }

  void skip_spaces() {
    while (!rest_.empty() && is_space(rest_.front())) rest_.remove_prefix(1);
  }

  std::string_view rest_;
};

}  // namespace

double json_number(std::string_view text, std::initializer_list<std::string_view> path) {
  reader at(text);
  for (const std::string_view step : path)
    if (!at.step_into(step)) return unknown;
  return at.number();
}

}  // namespace lab
