// Where a task was spawned, in one word: a line of the source, or an address in the code.
//
// `spawn(fn, args...)` cannot have a default argument behind its pack, so it cannot ask for a line.
// It is inlined into its caller instead and takes the address of itself there, which addr2line
// turns into the line.
#pragma once

#include <bit>
#include <cstdint>
#include <source_location>

namespace parkring::detail {

class spawn_site {
 public:
  constexpr spawn_site() noexcept = default;
  spawn_site(std::source_location where) noexcept : word_(std::bit_cast<std::uintptr_t>(where)) {}
  [[nodiscard]] static spawn_site at_code(const void* address) noexcept {
    return from_word(reinterpret_cast<std::uintptr_t>(address) | is_code);
  }

  /// The line; that of an empty location where it is not known.
  [[nodiscard]] std::source_location line() const noexcept {
    return (word_ & is_code) != 0 ? std::source_location()
                                  : std::bit_cast<std::source_location>(word_);
  }
  /// The address; null where the line is known, or nothing.
  [[nodiscard]] const void* code() const noexcept {
    return (word_ & is_code) != 0 ? reinterpret_cast<const void*>(word_ & ~is_code) : nullptr;
  }

  // As plain data.
  [[nodiscard]] std::uintptr_t word() const noexcept { return word_; }
  [[nodiscard]] static spawn_site from_word(std::uintptr_t word) noexcept {
    spawn_site s;
    s.word_ = word;
    return s;
  }

 private:
  static_assert(sizeof(std::source_location) == sizeof(std::uintptr_t),
                "a source_location is taken to be one pointer, as in libstdc++ and libc++");
  static constexpr std::uintptr_t is_code = ~(~std::uintptr_t{0} >> 1);  // no address has this bit

  std::uintptr_t word_ = 0;
};

/// The place where it is inlined; nothing on a processor for which this was not written.
[[gnu::always_inline]] inline spawn_site this_code() noexcept {
#if defined(__x86_64__)
  const void* at;
  asm volatile("lea 0(%%rip), %0" : "=r"(at));
  return spawn_site::at_code(at);
#elif defined(__aarch64__)
  const void* at;
  asm volatile("adr %0, ." : "=r"(at));
  return spawn_site::at_code(at);
#else
  return {};
#endif
}

}  // namespace parkring::detail
