// CRC-32C (Castagnoli), the checksum of iSCSI, ext4 and Btrfs: by the processor's instruction where
// there is one (SSE4.2, ARMv8 CRC), else by tables. Which, is found out once, when it first runs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace parkring::base {

/// The checksum of `bytes`, or, given that of what lies before them, of both together.
[[nodiscard]] std::uint32_t crc32c(std::span<const std::byte> bytes,
                                   std::uint32_t before = 0) noexcept;

/// The same by tables, on every processor.
[[nodiscard]] std::uint32_t crc32c_by_table(std::span<const std::byte> bytes,
                                            std::uint32_t before = 0) noexcept;

/// Whether `crc32c` uses an instruction here.
[[nodiscard]] bool crc32c_has_instruction() noexcept;

}  // namespace parkring::base
