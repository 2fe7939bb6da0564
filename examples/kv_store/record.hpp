// How a change of the store lies in its files.
//
//   bytes  0..3   crc32c of all that follows
//          4..7   length of the key
//          8..11  length of the value, or `tombstone`: the key is deleted
//         12..19  sequence number of the change; the first ever is 1
//         20..    key, value
//
// Numbers are little-endian. A record is valid when it is whole and its checksum is right, so a
// log needs no other mark of where it ends: the first record that is not valid is its end. A run
// of zeros, which a power cut may leave behind, is not a valid record.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kv {

inline constexpr std::size_t record_header = 20;
inline constexpr std::uint32_t tombstone = UINT32_MAX;
inline constexpr std::size_t longest_key = std::size_t{1} << 16;
inline constexpr std::size_t longest_value = std::size_t{1} << 26;

/// A change: a value put under a key, or the key deleted.
struct record {
  std::uint64_t sequence = 0;
  std::string_view key;
  std::optional<std::string_view> value;  // none: deleted
  std::size_t size = 0;                   // in the file
};

/// CRC-32C (Castagnoli), as iSCSI and ext4 use it.
[[nodiscard]] std::uint32_t crc32c(std::string_view bytes) noexcept;

/// Appends a record to `to`.
void append_record(std::string& to, std::uint64_t sequence, std::string_view key,
                   std::optional<std::string_view> value);

/// The record that `bytes` begin with, pointing into them; none if it is torn or damaged.
[[nodiscard]] std::optional<record> parse_record(std::string_view bytes) noexcept;

void append_u32(std::string& to, std::uint32_t value);
void append_u64(std::string& to, std::uint64_t value);
[[nodiscard]] std::uint32_t u32_at(std::string_view bytes, std::size_t at) noexcept;
[[nodiscard]] std::uint64_t u64_at(std::string_view bytes, std::size_t at) noexcept;

}  // namespace kv
