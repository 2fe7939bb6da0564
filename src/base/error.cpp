#include <parkring/error.hpp>

#include <cstring>

namespace parkring {

std::string detail::errno_name(int number) {
  if (const char* name = ::strerrorname_np(number)) return name;
  return "errno " + std::to_string(number);
}

std::string error::message() const {
  std::string text = operation_ + "(" + subject_ + "): " + detail::errno_name(code_);
  if (const char* words = ::strerrordesc_np(code_)) text += std::string(", ") + words;
  if (!advice_.empty()) text += "; " + advice_;
  return text;
}

}  // namespace parkring
