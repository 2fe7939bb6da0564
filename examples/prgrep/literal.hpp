// Finds a string in memory, many bytes at a time.
#pragma once

#include <cstddef>
#include <string>

namespace prgrep {

/// Looks for one string. Of its bytes the two that are rarest in usual text are compared first, at
/// all places of a vector at once ("generic SIMD", as the memchr crate has it); where both fit, the
/// whole is compared. Any number of threads may use one finder.
class literal_finder {
 public:
  explicit literal_finder(std::string text);

  [[nodiscard]] std::size_t size() const noexcept { return text_.size(); }
  /// Where the first occurrence begins, or null.
  [[nodiscard]] const char* find(const char* from, const char* end) const noexcept {
    return search_(*this, from, end);
  }

 private:
  using search = const char* (*)(const literal_finder&, const char*, const char*) noexcept;
  friend struct searches;

  std::string text_;
  std::size_t rare_ = 0, other_ = 0;  // where the two bytes are
  search search_;
};

}  // namespace prgrep
