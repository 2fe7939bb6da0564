// What a simulated disk is like: its limits, and how far its file system may go at a power cut.
#pragma once

#include <cstdint>

namespace parkring::sim {

struct disk_options {
  std::uint64_t capacity = std::uint64_t{1} << 30;  // bytes of data; ENOSPC beyond
  std::uint64_t inodes = std::uint64_t{1} << 20;    // ENOSPC beyond
  std::uint64_t max_file_size = 0xfff'ffff'f000;    // EFBIG beyond; ext4's with 4 KiB blocks
  // fsync of a file leaves its name alone, as POSIX allows. Off: it commits the journal, as ext4's.
  bool strict_directories = true;
  // Operations on different directories survive independently. Off: the survivors are a prefix.
  bool reorder_metadata = true;
  // Unwritten parts of a file that grew hold garbage after a cut (ext4 data=writeback), not zeros.
  bool stale_data = false;
  // After a failed fsync a read gives the new data (ext4, XFS); off: what the device has (Btrfs).
  bool failed_sync_keeps_cache = true;
  // How likely an older version is already on the device when its dirty sectors change again.
  double early_write_back = 1.0 / 16;
};

}  // namespace parkring::sim
