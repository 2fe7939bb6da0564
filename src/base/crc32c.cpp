#include "base/crc32c.hpp"

#include <array>
#include <bit>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#elif defined(__aarch64__) && defined(__GNUC__)
#include <sys/auxv.h>
#endif

namespace parkring::base {
namespace {

using function = std::uint32_t (*)(const std::byte*, std::size_t, std::uint32_t) noexcept;

// Table k has the effect of a byte that k others follow: eight bytes are taken in one step.
constexpr auto make_tables() {
  std::array<std::array<std::uint32_t, 256>, 8> t{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t rest = i;
    for (int bit = 0; bit < 8; ++bit) rest = (rest >> 1) ^ ((rest & 1) != 0 ? 0x82F63B78U : 0U);
    t[0][i] = rest;
  }
  for (std::uint32_t i = 0; i < 256; ++i)
    for (std::size_t k = 1; k < 8; ++k) t[k][i] = (t[k - 1][i] >> 8) ^ t[0][t[k - 1][i] & 255];
  return t;
}
constexpr auto tables = make_tables();

// On the inverted value, as all of the functions below.
std::uint32_t by_table(const std::byte* at, std::size_t size, std::uint32_t crc) noexcept {
  if constexpr (std::endian::native == std::endian::little) {
    for (; size >= 8; at += 8, size -= 8) {
      std::uint64_t word;
      std::memcpy(&word, at, 8);
      word ^= crc;
      crc = 0;
      for (std::size_t k = 0; k < 8; ++k) crc ^= tables[7 - k][(word >> (8 * k)) & 255];
    }
  }
  for (; size != 0; ++at, --size)
    crc = tables[0][(crc ^ std::to_integer<std::uint32_t>(*at)) & 255] ^ (crc >> 8);
  return crc;
}

// The instruction gives its result after three cycles and begins one in each: three stretches of a
// record are taken side by side, and what lies before is then moved over what lies behind, as if
// that were zeros. One step takes 504 bytes: a record of 512 is one step and a rest.
constexpr std::size_t stretch = 168;

// What so many zeros make of a checksum: of each of its bytes, to be added up.
constexpr auto make_shift() {
  std::array<std::uint32_t, 32> of_bit{};
  for (std::size_t bit = 0; bit < 32; ++bit) {
    std::uint32_t crc = 1U << bit;
    for (std::size_t i = 0; i < stretch; ++i) crc = tables[0][crc & 255] ^ (crc >> 8);
    of_bit[bit] = crc;
  }
  std::array<std::array<std::uint32_t, 256>, 4> t{};
  for (std::size_t k = 0; k < 4; ++k)
    for (std::size_t i = 0; i < 256; ++i)
      for (std::size_t bit = 0; bit < 8; ++bit)
        if ((i >> bit & 1) != 0) t[k][i] ^= of_bit[8 * k + bit];
  return t;
}
constexpr auto shift_table = make_shift();

[[maybe_unused]] std::uint32_t shift(std::uint32_t crc) noexcept {
  return shift_table[0][crc & 255] ^ shift_table[1][crc >> 8 & 255] ^
         shift_table[2][crc >> 16 & 255] ^ shift_table[3][crc >> 24];
}
[[maybe_unused]] std::uint64_t word_at(const std::byte* at) noexcept {
  std::uint64_t word;
  std::memcpy(&word, at, 8);
  return word;
}

#if defined(__x86_64__)
[[gnu::target("sse4.2")]] std::uint32_t by_instruction(const std::byte* at, std::size_t size,
                                                       std::uint32_t crc) noexcept {
  std::uint64_t wide = crc;
  for (; size >= 3 * stretch; at += 3 * stretch, size -= 3 * stretch) {
    std::uint64_t second = 0, third = 0;
    for (std::size_t i = 0; i < stretch; i += 8) {
      wide = _mm_crc32_u64(wide, word_at(at + i));
      second = _mm_crc32_u64(second, word_at(at + stretch + i));
      third = _mm_crc32_u64(third, word_at(at + 2 * stretch + i));
    }
    const std::uint32_t both =
        shift(static_cast<std::uint32_t>(wide)) ^ static_cast<std::uint32_t>(second);
    wide = shift(both) ^ static_cast<std::uint32_t>(third);
  }
  for (; size >= 8; at += 8, size -= 8) wide = _mm_crc32_u64(wide, word_at(at));
  crc = static_cast<std::uint32_t>(wide);
  for (; size != 0; ++at, --size) crc = _mm_crc32_u8(crc, std::to_integer<unsigned char>(*at));
  return crc;
}
bool has_instruction() noexcept {
  __builtin_cpu_init();
  return __builtin_cpu_supports("sse4.2") != 0;
}
#elif defined(__aarch64__) && defined(__GNUC__)
// Written out, since the names of the intrinsics depend on how the file is compiled.
std::uint32_t by_instruction(const std::byte* at, std::size_t size, std::uint32_t crc) noexcept {
  for (; size >= 8; at += 8, size -= 8) {
    std::uint64_t word;
    std::memcpy(&word, at, 8);
    asm(".arch_extension crc\n\tcrc32cx %w0, %w0, %x1" : "+r"(crc) : "r"(word));
  }
  for (; size != 0; ++at, --size) {
    const auto byte = std::to_integer<std::uint32_t>(*at);
    asm(".arch_extension crc\n\tcrc32cb %w0, %w0, %w1" : "+r"(crc) : "r"(byte));
  }
  return crc;
}
bool has_instruction() noexcept {
  constexpr unsigned long crc32 = 1UL << 7;  // HWCAP_CRC32
  return (::getauxval(AT_HWCAP) & crc32) != 0;
}
#else
std::uint32_t by_instruction(const std::byte* at, std::size_t size, std::uint32_t crc) noexcept {
  return by_table(at, size, crc);
}
bool has_instruction() noexcept { return false; }
#endif

function chosen() noexcept {
  static const function best = has_instruction() ? by_instruction : by_table;
  return best;
}

}  // namespace

std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t before) noexcept {
  return ~chosen()(bytes.data(), bytes.size(), ~before);
}
std::uint32_t crc32c_by_table(std::span<const std::byte> bytes, std::uint32_t before) noexcept {
  return ~by_table(bytes.data(), bytes.size(), ~before);
}
bool crc32c_has_instruction() noexcept { return has_instruction(); }

}  // namespace parkring::base
