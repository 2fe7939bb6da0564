// How a file is opened.
#pragma once

#include <cstdint>

namespace parkring::fs {

enum class access : std::uint8_t { read, write, read_write };

enum class creation : std::uint8_t {
  never,        // the file must exist
  if_missing,   // create it if it does not exist (O_CREAT)
  must_be_new,  // it must not exist (O_CREAT | O_EXCL)
};

/// Whether reads and writes are tried at once, without the ring, where that cannot block.
enum class inline_mode : std::uint8_t {
  automatic,  // when few requests are pending and the file has answered so before
  always,     // every time; what would block goes through the ring
  never,      // always through the ring
};

/// See open(2) for the flags named.
struct open_options {
  fs::access access = fs::access::read;
  fs::creation creation = fs::creation::never;
  bool truncate = false;      // drop what the file holds (O_TRUNC)
  bool append = false;        // every write goes to the end, whatever its offset (O_APPEND)
  bool direct = false;        // past the page cache (O_DIRECT); memory, offset and size aligned
  bool noatime = false;       // do not update the access time (O_NOATIME); owner or root only
  bool data_sync = false;     // every write is durable, as with datasync (O_DSYNC)
  bool follow_link = true;    // false: a symbolic link is an error (O_NOFOLLOW)
  std::uint32_t mode = 0644;  // permissions of a new file, less the umask
  inline_mode inline_first = inline_mode::automatic;
  bool registered = true;  // register with the ring after a few requests, while there is room
};

}  // namespace parkring::fs
