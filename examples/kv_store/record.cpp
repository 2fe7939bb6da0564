#include "record.hpp"

#include <array>

namespace kv {
namespace {

constexpr std::array<std::uint32_t, 256> make_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t rest = i;
    for (int bit = 0; bit < 8; ++bit) rest = (rest >> 1) ^ ((rest & 1) != 0 ? 0x82F63B78u : 0u);
    table[i] = rest;
  }
  return table;
}
constexpr auto table = make_table();

}  // namespace

std::uint32_t crc32c(std::string_view bytes) noexcept {
  std::uint32_t crc = ~std::uint32_t{0};
  for (const char c : bytes) crc = table[(crc ^ static_cast<unsigned char>(c)) & 255] ^ (crc >> 8);
  return ~crc;
}

void append_u32(std::string& to, std::uint32_t value) {
  for (int i = 0; i < 4; ++i) to += static_cast<char>(value >> (8 * i));
}
void append_u64(std::string& to, std::uint64_t value) {
  for (int i = 0; i < 8; ++i) to += static_cast<char>(value >> (8 * i));
}
std::uint64_t u64_at(std::string_view bytes, std::size_t at) noexcept {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < 8; ++i)
    value |= std::uint64_t{static_cast<unsigned char>(bytes[at + i])} << (8 * i);
  return value;
}
std::uint32_t u32_at(std::string_view bytes, std::size_t at) noexcept {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i)
    value |= std::uint32_t{static_cast<unsigned char>(bytes[at + i])} << (8 * i);
  return value;
}

void append_record(std::string& to, std::uint64_t sequence, std::string_view key,
                   std::optional<std::string_view> value) {
  const std::size_t start = to.size();
  append_u32(to, 0);  // the checksum, once the rest is there
  append_u32(to, static_cast<std::uint32_t>(key.size()));
  append_u32(to, value ? static_cast<std::uint32_t>(value->size()) : tombstone);
  append_u64(to, sequence);
  to += key;
  if (value) to += *value;
  std::string crc;
  append_u32(crc, crc32c(std::string_view(to).substr(start + 4)));
  to.replace(start, 4, crc);
}

std::optional<record> parse_record(std::string_view bytes) noexcept {
  if (bytes.size() < record_header) return std::nullopt;
  const std::size_t key_size = u32_at(bytes, 4), stored = u32_at(bytes, 8);
  const std::size_t value_size = stored == tombstone ? 0 : stored;
  if (key_size > longest_key || value_size > longest_value) return std::nullopt;
  const std::size_t size = record_header + key_size + value_size;
  if (bytes.size() < size || crc32c(bytes.substr(4, size - 4)) != u32_at(bytes, 0))
    return std::nullopt;
  record r;
  r.sequence = u64_at(bytes, 12);
  r.key = bytes.substr(record_header, key_size);
  if (stored != tombstone) r.value = bytes.substr(record_header + key_size, value_size);
  r.size = size;
  return r;
}

}  // namespace kv
