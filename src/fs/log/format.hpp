// How a log lies in its files.
//
// A log is a row of segments. A segment is a file of fixed size: a header of 512 bytes, and records
// from there on, one behind the other. A file is a *slot*: NNNNNN.wal, numbered from 0 without
// gaps. Which part of the log it holds, its header says; when that is truncated the slot is used
// again for a later one.
//
//   header  bytes  0..7   magic
//                  8..11  crc32c of bytes 12..63
//                 12..15  epoch that began it
//                 16..23  number of the segment, from 1; 0: prepared, and in no log
//                 24..31  base: position of its first record
//                 32..39  end of the segment before it: no record lies between that and base
//                 40..47  position of the oldest record needed, when it began
//                 48..55  size of the file
//                 64..79  the same position, later, and its crc32c: where a truncation finds no
//                 room 80..95  for a record, it is told in the place of the one that says less. So
//                 a
//                         write that ends halfway leaves the header, and the other one
//
//   record  bytes  0..3   crc32c of its position (8 bytes), bytes 4..15 and the crc32c of its bytes
//                  4..7   length; bit 31: first of its group; bit 30: not the user's, see below
//                  8..11  epoch
//                 12..15  its position, the lower half
//                 16..    bytes, and zeros up to a multiple of 8
//
// Numbers are little-endian. A position counts the bytes of all records that there ever were, so in
// a segment it is the distance from the header's end plus base. As it is part of the checksum, what
// a slot held before is no record any more, whatever it was.
//
// The epoch counts the openings. Each begins with a record that is not the user's, in an epoch one
// higher than any before, durable before anything else is written; only such a record, or a
// segment's header, raises it. So what an earlier opening left behind the end that it had, does not
// become the continuation of what is written now.
//
// A record that is not the user's has 8 bytes: the position of the oldest record that is needed.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace parkring::fs::wal {

inline constexpr std::size_t header_size = 512;
inline constexpr std::size_t record_header = 16;
inline constexpr std::size_t longest_record = (std::size_t{1} << 30) - 1;

struct segment_header {
  std::uint32_t epoch = 0;
  std::uint64_t number = 0;
  std::uint64_t base = 0;
  std::uint64_t previous_end = 0;
  std::uint64_t first = 0;
  std::uint64_t size = 0;
  std::array<std::uint64_t, 2> later{};  // as `first`; 0: none

  [[nodiscard]] std::uint64_t needed() const noexcept {
    return std::max({first, later[0], later[1]});
  }
  void tell_later(std::uint64_t to) noexcept { later[later[0] <= later[1] ? 0 : 1] = to; }
};

/// Fills the first `header_size` bytes of `to`.
void encode_header(const segment_header& h, std::span<std::byte> to) noexcept;
/// None where `from` does not begin with a valid header.
[[nodiscard]] std::optional<segment_header> decode_header(std::span<const std::byte> from) noexcept;

/// The room that a record of so many bytes takes.
[[nodiscard]] constexpr std::size_t room_for(std::size_t bytes) noexcept {
  return record_header + (bytes + 7) / 8 * 8;
}

struct record_facts {
  std::uint64_t position = 0;
  std::uint32_t epoch = 0;
  bool first_of_group = false;
  bool control = false;
};

/// Puts a record into the first `room_for(bytes.size())` bytes of `to`; `checksum` is the crc32c of
/// `bytes`.
void encode_record(const record_facts& f, std::span<const std::byte> bytes, std::uint32_t checksum,
                   std::byte* to) noexcept;

struct record_view : record_facts {
  std::span<const std::byte> bytes;
  [[nodiscard]] std::size_t room() const noexcept { return room_for(bytes.size()); }
};

enum class record_state : std::uint8_t {
  none,   // nothing that looks like a record of this position
  torn,   // a header that is one of this position, and a checksum that is wrong
  more,   // `from` ends before the record does; `record_view::bytes` is null, its size is right
  whole,  // a record
};
/// What lies at `position`, at the beginning of `from`; no record is longer than `most` in all.
[[nodiscard]] record_state decode_record(std::span<const std::byte> from, std::uint64_t position,
                                         std::size_t most, record_view& out) noexcept;

void store_u64(std::uint64_t value, std::byte* to) noexcept;
[[nodiscard]] std::uint64_t load_u64(const std::byte* from) noexcept;
[[nodiscard]] std::uint32_t load_u32(const std::byte* from) noexcept;

/// "000012.wal".
[[nodiscard]] std::string slot_name(std::size_t slot);
/// The slot that has this name, if one has.
[[nodiscard]] std::optional<std::size_t> slot_of(std::string_view name) noexcept;

}  // namespace parkring::fs::wal
