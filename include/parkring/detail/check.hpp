// Checks that stay on in release builds.
//
// A failed check is a programmer's error: the process says which condition broke and what to do,
// then aborts. `dcheck` is for the hottest lines and is compiled only in debug builds.
#pragma once

#include <source_location>

namespace parkring::detail {

/// Prints the failed condition, the advice and the place, then aborts.
[[noreturn, gnu::cold, gnu::noinline]] void check_failed(
    const char* condition, const char* advice, const std::source_location& where) noexcept;

}  // namespace parkring::detail

// Macros, because the text of the condition belongs in the message and the advice must not be
// evaluated on the way that succeeds.
#define PARKRING_CHECK(condition, advice)                                                    \
  do {                                                                                       \
    if (!(condition)) [[unlikely]]                                                           \
      ::parkring::detail::check_failed(#condition, advice, std::source_location::current()); \
  } while (false)

#ifdef NDEBUG
#define PARKRING_DCHECK(condition, advice) \
  do {                                     \
  } while (false)
#else
#define PARKRING_DCHECK(condition, advice) PARKRING_CHECK(condition, advice)
#endif
