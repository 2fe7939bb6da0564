#include "literal.hpp"

#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace prgrep {
namespace {

// How common a byte is in text and source code: from the most common on; what is not named is rare.
unsigned rank_of(char c) {
  constexpr std::string_view common =
      " etaoinsrlcdup\nmhgf.-_,/b0vy1x=\"k()2w;3:'4<>j598z76*q\t#TSEACINR&PLDO{}MFB[]UHG\\WV|+";
  const auto at = common.find(c);
  return static_cast<unsigned>(at == std::string_view::npos ? common.size() : at);
}

}  // namespace

struct searches {
  static const char* nothing(const literal_finder&, const char* from, const char*) noexcept {
    return from;
  }
  static const char* one_byte(const literal_finder& f, const char* from, const char* end) noexcept {
    return static_cast<const char*>(
        std::memchr(from, f.text_[0], static_cast<std::size_t>(end - from)));
  }
  static const char* plain(const literal_finder& f, const char* from, const char* end) noexcept {
    return static_cast<const char*>(
        ::memmem(from, static_cast<std::size_t>(end - from), f.text_.data(), f.text_.size()));
  }

#if defined(__x86_64__)
  __attribute__((target("avx2"))) static const char* avx2(const literal_finder& f, const char* from,
                                                          const char* end) noexcept {
    constexpr std::ptrdiff_t width = 32;
    const auto size = static_cast<std::ptrdiff_t>(f.text_.size());
    const __m256i rare = _mm256_set1_epi8(f.text_[f.rare_]);
    const __m256i other = _mm256_set1_epi8(f.text_[f.other_]);
    const char* at = from;
    // As long as no load reaches behind the end.
    for (; end - at >= size + width; at += width) {
      const auto* a = reinterpret_cast<const __m256i*>(at + f.rare_);
      const auto* b = reinterpret_cast<const __m256i*>(at + f.other_);
      const __m256i fits = _mm256_and_si256(_mm256_cmpeq_epi8(_mm256_loadu_si256(a), rare),
                                            _mm256_cmpeq_epi8(_mm256_loadu_si256(b), other));
      auto mask = static_cast<std::uint32_t>(_mm256_movemask_epi8(fits));
      for (; mask != 0; mask &= mask - 1) {
        const char* const here = at + __builtin_ctz(mask);
        if (std::memcmp(here, f.text_.data(), f.text_.size()) == 0) return here;
      }
    }
    return plain(f, at, end);
  }
#endif
};

literal_finder::literal_finder(std::string text)
    : text_(std::move(text)), search_(&searches::plain) {
  if (text_.empty()) search_ = &searches::nothing;
  if (text_.size() == 1) search_ = &searches::one_byte;
  if (text_.size() < 2) return;
  for (std::size_t i = 1; i < text_.size(); ++i)
    if (rank_of(text_[i]) > rank_of(text_[rare_])) rare_ = i;
  other_ = rare_ == 0 ? 1 : 0;
  for (std::size_t i = 0; i < text_.size(); ++i)
    if (i != rare_ && rank_of(text_[i]) > rank_of(text_[other_])) other_ = i;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) search_ = &searches::avx2;
#endif
}

}  // namespace prgrep
