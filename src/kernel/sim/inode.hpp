// One object of a simulated file system, with what programs see of it and what the device has.
//
// The file_system owns every inode. One lives while an entry names it (`links`), an open file
// refers to it (`opened`), or the device or the journal still knows it (`pins`): then it may come
// back at a power cut.
#pragma once

#include "kernel/sim/file_data.hpp"

#include <sys/stat.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace parkring::kernel::sim {

struct open_file;

struct inode {
  using directory_entries = std::map<std::string, inode*, std::less<>>;

  std::uint64_t number = 0;
  std::uint32_t mode = 0;  // type and permission bits; the type never changes
  std::uint32_t links = 0;
  std::uint32_t opened = 0;
  std::uint32_t pins = 0;
  bool linkable = false;  // it never had a name, and may be given one (O_TMPFILE)
  bool counted = true;    // against the limits of the disk; false once no program can reach it
  std::int64_t born = 0, accessed = 0, modified = 0, changed = 0;  // nanoseconds of virtual time

  file_data data;             // of a regular file
  std::string target;         // of a symbolic link
  directory_entries entries;  // of a directory, as programs see it
  directory_entries durable;  // as the device has it
  inode* parent = nullptr;    // of a directory; null when it was removed
  std::map<std::string, std::string, std::less<>> attributes;  // xattrs
  std::uint32_t user = 0, group = 0;

  // Locks of open file descriptions, for the bytes from `from` to before `to`.
  struct lock {
    const open_file* owner;
    bool exclusive;
    std::uint64_t from, to;
  };
  std::vector<lock> locks;

  // A write-back that failed is reported once to each open file.
  std::uint64_t error_number = 0;
  bool error_seen = true;

  // Used by the journal within one call.
  std::uint64_t scratch_round = 0;
  std::uint64_t seen = 0, keep = 0;
  bool as_container = false, as_subject = false;

  bool is_directory() const noexcept { return S_ISDIR(mode); }
  bool is_regular() const noexcept { return S_ISREG(mode); }
  bool is_fifo() const noexcept { return S_ISFIFO(mode); }
  bool is_symlink() const noexcept { return S_ISLNK(mode); }
};

}  // namespace parkring::kernel::sim
