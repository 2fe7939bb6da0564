#include "sums.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <utility>

#include <parkring/buffer.hpp>
#include <parkring/fs.hpp>
#include <parkring/literals.hpp>
#include <parkring/spawn_anywhere.hpp>

namespace pr = parkring;
using namespace pr::literals;

namespace prsum {
namespace {

struct free_context {
  void operator()(EVP_MD_CTX* c) const noexcept { EVP_MD_CTX_free(c); }
};

class hasher {
 public:
  explicit hasher(const std::string& algorithm) : context_(EVP_MD_CTX_new()) {
    if (!context_ ||
        EVP_DigestInit_ex(context_.get(), EVP_get_digestbyname(algorithm.c_str()), nullptr) != 1)
      throw std::bad_alloc();
  }
  void add(std::span<const std::byte> bytes) {
    EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size());
  }
  [[nodiscard]] std::string digits() {
    unsigned char value[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    EVP_DigestFinal_ex(context_.get(), value, &size);
    std::string text;
    for (unsigned i = 0; i < size; ++i) {
      constexpr char digit[] = "0123456789abcdef";
      text += digit[value[i] >> 4];
      text += digit[value[i] & 15];
    }
    return text;
  }

 private:
  std::unique_ptr<EVP_MD_CTX, free_context> context_;
};

}  // namespace

bool knows(const std::string& algorithm) {
  return EVP_get_digestbyname(algorithm.c_str()) != nullptr;
}

std::size_t digits_of(const std::string& algorithm) {
  return 2 * static_cast<std::size_t>(EVP_MD_size(EVP_get_digestbyname(algorithm.c_str())));
}

pr::task<std::string> sum_of(std::filesystem::path path, std::string algorithm) {
  hasher sum(algorithm);
  auto file = co_await pr::fs::open(path);
  pr::buffer piece(256_KiB);
  for (std::uint64_t at = 0;;) {
    const std::size_t n = co_await file.read_at(piece, at);
    if (n == 0) break;
    sum.add(piece.bytes().first(n));
    at += n;
  }
  co_return sum.digits();
}

std::string line_of(std::string_view digits, std::string_view name) {
  std::string shown;
  bool escaped = false;
  for (const char c : name) {
    if (c != '\\' && c != '\n' && c != '\r') {
      shown += c;
      continue;
    }
    escaped = true;
    shown += c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\\\";
  }
  return (escaped ? "\\" : "") + std::string(digits) + "  " + shown;
}

std::optional<expectation> read_line(std::string_view line) {
  const bool escaped = line.starts_with('\\');
  if (escaped) line.remove_prefix(1);
  const std::size_t end = line.find(' ');
  if (end == std::string_view::npos || end < 8 || end + 2 >= line.size()) return std::nullopt;
  expectation e;
  for (const char c : line.substr(0, end)) {
    const char lower = c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c;
    if ((lower < '0' || lower > '9') && (lower < 'a' || lower > 'f')) return std::nullopt;
    e.digits += lower;
  }
  if (line[end + 1] != ' ' && line[end + 1] != '*') return std::nullopt;
  const std::string_view name = line.substr(end + 2);
  for (std::size_t i = 0; i < name.size(); ++i) {
    if (!escaped || name[i] != '\\') {
      e.name += name[i];
      continue;
    }
    if (++i == name.size()) return std::nullopt;
    if (name[i] == 'n')
      e.name += '\n';
    else if (name[i] == 'r')
      e.name += '\r';
    else if (name[i] == '\\')
      e.name += '\\';
    else
      return std::nullopt;
  }
  return e;
}

}  // namespace prsum
