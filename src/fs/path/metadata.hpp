// From what the kernel tells about a file to what programs are told.
#pragma once

#include <sys/stat.h>

#include <parkring/fs/metadata.hpp>

namespace parkring::fs {

// Linux 5.8 and 6.1; the headers of the system may not know them.
inline constexpr unsigned statx_mnt_id = 0x1000, statx_dioalign = 0x2000;

/// What is asked for.
inline constexpr unsigned metadata_mask =
    STATX_BASIC_STATS | STATX_BTIME | statx_mnt_id | statx_dioalign;

[[nodiscard]] metadata metadata_of(const struct statx& s) noexcept;

/// Of st_mode.
[[nodiscard]] file_type type_of_mode(unsigned mode) noexcept;
/// Of d_type, getdents64(2).
[[nodiscard]] file_type type_of_entry(unsigned char d_type) noexcept;

}  // namespace parkring::fs
