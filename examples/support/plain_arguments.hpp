// Arguments that CLI11 leaves as they are. It takes [a,b] for a list, and so would take an
// expression like [0-9] to pieces, or a file with such a name for another. With a byte behind it,
// which no argument has, it is a list no more.
#pragma once

#include <string>
#include <vector>

namespace support {

class plain_arguments {
 public:
  plain_arguments(int argc, char** argv) : arguments_(argv, argv + argc) {
    for (std::string& a : arguments_) {
      if (a.starts_with('[') && a.ends_with(']')) a += mark;
      pointers_.push_back(a.c_str());
    }
  }
  plain_arguments(const plain_arguments&) = delete;
  plain_arguments& operator=(const plain_arguments&) = delete;

  [[nodiscard]] int count() const noexcept { return static_cast<int>(pointers_.size()); }
  [[nodiscard]] const char* const* pointers() const noexcept { return pointers_.data(); }

  /// What CLI11 gives, as the user said it.
  static std::string said(std::string argument) {
    if (argument.starts_with('[') && argument.ends_with(mark)) argument.pop_back();
    return argument;
  }

 private:
  static constexpr char mark = '\1';
  std::vector<std::string> arguments_;
  std::vector<const char*> pointers_;
};

}  // namespace support
