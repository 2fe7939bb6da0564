#include "fs/log/format.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstring>
#include <system_error>

#include "base/crc32c.hpp"

namespace parkring::fs::wal {
namespace {

constexpr std::array<char, 8> magic = {'p', 'r', 'k', 'w', 'a', 'l', '1', '\n'};
constexpr std::size_t header_used = 64;
constexpr std::size_t note_size = 16;
constexpr std::uint32_t first_bit = 1U << 31, control_bit = 1U << 30;

template <class T>
T little(T v) noexcept {
  if constexpr (std::endian::native == std::endian::little) return v;
  T r = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) r = (r << 8) | ((v >> (8 * i)) & 255);
  return r;
}
void store_u32(std::uint32_t value, std::byte* to) noexcept {
  value = little(value);
  std::memcpy(to, &value, 4);
}

// Of its position, what lies behind its checksum, and the checksum of its bytes. From words, since
// a load that spans what two stores wrote waits for both.
std::uint32_t record_crc(std::uint64_t position, std::uint32_t length, std::uint32_t epoch,
                         std::uint32_t of_bytes) noexcept {
  const std::array<std::uint64_t, 3> all = {
      little(position), little(length | std::uint64_t{epoch} << 32),
      little((position & 0xFFFF'FFFF) | std::uint64_t{of_bytes} << 32)};
  return base::crc32c(std::as_bytes(std::span(all)));
}

}  // namespace

void store_u64(std::uint64_t value, std::byte* to) noexcept {
  value = little(value);
  std::memcpy(to, &value, 8);
}
std::uint64_t load_u64(const std::byte* from) noexcept {
  std::uint64_t value;
  std::memcpy(&value, from, 8);
  return little(value);
}
std::uint32_t load_u32(const std::byte* from) noexcept {
  std::uint32_t value;
  std::memcpy(&value, from, 4);
  return little(value);
}

void encode_header(const segment_header& h, std::span<std::byte> to) noexcept {
  std::fill_n(to.begin(), header_size, std::byte{0});
  std::memcpy(to.data(), magic.data(), magic.size());
  store_u32(h.epoch, to.data() + 12);
  store_u64(h.number, to.data() + 16);
  store_u64(h.base, to.data() + 24);
  store_u64(h.previous_end, to.data() + 32);
  store_u64(h.first, to.data() + 40);
  store_u64(h.size, to.data() + 48);
  store_u32(base::crc32c(to.subspan(12, header_used - 12)), to.data() + 8);
  for (std::size_t i = 0; i < h.later.size(); ++i) {
    if (h.later[i] == 0) continue;
    std::byte* const note = to.data() + header_used + i * note_size;
    store_u64(h.later[i], note);
    store_u32(base::crc32c({note, 8}), note + 8);
  }
}

std::optional<segment_header> decode_header(std::span<const std::byte> from) noexcept {
  if (from.size() < header_size || std::memcmp(from.data(), magic.data(), magic.size()) != 0)
    return std::nullopt;
  if (base::crc32c(from.subspan(12, header_used - 12)) != load_u32(from.data() + 8))
    return std::nullopt;
  segment_header h;
  h.epoch = load_u32(from.data() + 12);
  h.number = load_u64(from.data() + 16);
  h.base = load_u64(from.data() + 24);
  h.previous_end = load_u64(from.data() + 32);
  h.first = load_u64(from.data() + 40);
  h.size = load_u64(from.data() + 48);
  for (std::size_t i = 0; i < h.later.size(); ++i) {
    const std::byte* const note = from.data() + header_used + i * note_size;
    if (base::crc32c({note, 8}) == load_u32(note + 8)) h.later[i] = load_u64(note);
  }
  if (h.size < header_size || h.size - header_size > ~h.base) return std::nullopt;
  return h;
}

void encode_record(const record_facts& f, std::span<const std::byte> bytes, std::uint32_t checksum,
                   std::byte* to) noexcept {
  const std::uint32_t length = static_cast<std::uint32_t>(bytes.size()) |
                               (f.first_of_group ? first_bit : 0) | (f.control ? control_bit : 0);
  const std::uint32_t crc = record_crc(f.position, length, f.epoch, checksum);
  store_u64(crc | std::uint64_t{length} << 32, to);
  store_u64(f.epoch | (f.position & 0xFFFF'FFFF) << 32, to + 8);
  if (bytes.empty()) return;
  // The last bytes with their zeros first: the bytes themselves go over them.
  store_u64(0, to + room_for(bytes.size()) - 8);
  std::memcpy(to + record_header, bytes.data(), bytes.size());
}

record_state decode_record(std::span<const std::byte> from, std::uint64_t position,
                           std::size_t most, record_view& out) noexcept {
  if (from.size() < record_header) {
    out.bytes = {static_cast<const std::byte*>(nullptr), 0};
    return most < record_header ? record_state::none : record_state::more;
  }
  const std::byte* const at = from.data();
  if (load_u32(at + 12) != static_cast<std::uint32_t>(position)) return record_state::none;
  const std::uint32_t length = load_u32(at + 4);
  const std::size_t size = length & ~(first_bit | control_bit);
  out.position = position;
  out.epoch = load_u32(at + 8);
  out.first_of_group = (length & first_bit) != 0;
  out.control = (length & control_bit) != 0;
  if (out.epoch == 0 || room_for(size) > most || (out.control && size != 8))
    return record_state::none;
  if (room_for(size) > from.size()) {
    out.bytes = {static_cast<const std::byte*>(nullptr), size};
    return record_state::more;
  }
  out.bytes = from.subspan(record_header, size);
  const std::uint32_t crc = record_crc(position, length, out.epoch, base::crc32c(out.bytes));
  return crc == load_u32(at) ? record_state::whole : record_state::torn;
}

std::string slot_name(std::size_t slot) {
  std::string digits = std::to_string(slot);
  if (digits.size() < 6) digits.insert(0, 6 - digits.size(), '0');
  return digits + ".wal";
}

std::optional<std::size_t> slot_of(std::string_view name) noexcept {
  constexpr std::size_t most_digits = 7;  // more files than a log ever has
  constexpr std::string_view ending = ".wal";
  if (!name.ends_with(ending)) return std::nullopt;
  name.remove_suffix(ending.size());
  if (name.size() < 6 || name.size() > most_digits) return std::nullopt;
  std::size_t slot = 0;
  const auto [end, wrong] = std::from_chars(name.data(), name.data() + name.size(), slot);
  if (wrong != std::errc() || end != name.data() + name.size()) return std::nullopt;
  return slot;
}

}  // namespace parkring::fs::wal
