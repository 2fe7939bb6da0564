#include "print.hpp"

namespace prgrep {
namespace {

// Those of grep, where GREP_COLORS says nothing.
constexpr const char* match_color = "01;31";
constexpr const char* name_color = "35";
constexpr const char* number_color = "32";
constexpr const char* sign_color = "36";

}  // namespace

void printer::colored(std::string& to, const char* color, std::string_view text) const {
  if (!how_.colors) {
    to.append(text);
    return;
  }
  to.append("\33[").append(color).append("m\33[K").append(text).append("\33[m\33[K");
}

void printer::name_and_sign(std::string& to, std::string_view name, char sign) const {
  colored(to, name_color, name);
  if (how_.zero_after_name)
    to.push_back('\0');
  else
    colored(to, sign_color, {&sign, 1});
}

void printer::head(std::string& to, std::string_view name, std::size_t number, char sign) const {
  if (how_.names) name_and_sign(to, name, sign);
  if (!how_.line_numbers) return;
  colored(to, number_color, std::to_string(number));
  colored(to, sign_color, {&sign, 1});
}

void printer::line(std::string& to, std::string_view name, std::size_t number, const char* begin,
                   const char* end, line_kind kind) {
  const char sign = static_cast<char>(kind);
  const bool matches = (kind == line_kind::selected) != how_.inverted;
  if (!how_.only_matching) head(to, name, number, sign);
  const char* printed = begin;
  if (matches && (how_.only_matching || how_.colors)) {
    for (const char* at = begin; at < end;) {
      const auto found = pattern_.find_in_line(begin, at, end, space_);
      if (!found || found->begin == end) break;
      if (found->begin == found->end) {
        at = found->end + 1;
        continue;
      }
      if (how_.only_matching)
        head(to, name, number, sign);
      else
        to.append(printed, found->begin);
      colored(to, match_color, {found->begin, found->end});
      if (how_.only_matching) to.push_back(how_.line_end);
      printed = at = found->end;
    }
  }
  if (how_.only_matching) return;
  to.append(printed, end).push_back(how_.line_end);
}

void printer::name(std::string& to, std::string_view name) const {
  colored(to, name_color, name);
  to.push_back(how_.zero_after_name ? '\0' : '\n');
}

void printer::count(std::string& to, std::string_view name, std::size_t lines) const {
  if (how_.names) name_and_sign(to, name, ':');
  to.append(std::to_string(lines)).push_back('\n');
}

void printer::separator(std::string& to) const {
  colored(to, sign_color, "--");
  to.push_back('\n');
}

}  // namespace prgrep
