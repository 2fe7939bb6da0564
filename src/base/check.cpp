#include <parkring/detail/check.hpp>

#include <cstdio>
#include <cstdlib>

namespace parkring::detail {

void check_failed(const char* condition, const char* advice,
                  const std::source_location& where) noexcept {
  std::fprintf(stderr, "parkring: %s (check failed: %s, %s:%u)\n", advice, condition,
               where.file_name(), static_cast<unsigned>(where.line()));
  std::fflush(stderr);
  std::abort();
}

}  // namespace parkring::detail
