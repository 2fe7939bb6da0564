// Files in memory: mmap(2), for reading.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include <parkring/fs/file.hpp>
#include <parkring/task.hpp>

namespace parkring::detail {
struct mapped_region;  // unmaps when the last one lets go of it
}

namespace parkring::fs {

/// How the bytes of a mapping will be read, see madvise(2).
enum class access_pattern : std::uint8_t {
  normal,
  sequential,  // reads ahead more, and forgets earlier
  random,      // reads nothing ahead
};

struct map_options {
  std::uint64_t offset = 0;               // of the first byte; any, aligned or not
  std::optional<std::uint64_t> length{};  // empty: to the end that the file has now
  access_pattern pattern = access_pattern::normal;
  bool populate = false;  // read all of it before it is given, on a thread that may block
};

/// Bytes of a file, mapped for reading.
///
/// What is not in memory yet is read when it is touched, and that blocks the thread, whatever else
/// its runtime has to do: `load` what will be needed, or read such files with `read_at`. What
/// others write to the file meanwhile may be seen or not. If the file becomes shorter than what was
/// mapped, or the device fails, touching what is not there raises SIGBUS, which ends the process:
/// map only files that nobody cuts.
/// In a simulated world it is a copy of what the file held when it was mapped.
/// *Owns* the memory, and no descriptor: the file may be closed. *Thread*: any; one at a time may
/// change or drop the handle. *Drop*: unmapped; of more than 1 MiB on a thread that may block.
class mapping {
 public:
  mapping() noexcept = default;
  mapping(mapping&&) noexcept = default;
  mapping& operator=(mapping&& other) noexcept {
    if (this != &other) {
      drop();
      region_ = std::move(other.region_);
    }
    return *this;
  }
  ~mapping() { drop(); }

  [[nodiscard]] std::span<const std::byte> bytes() const noexcept;
  [[nodiscard]] std::string_view text() const noexcept {
    const auto b = bytes();
    return {reinterpret_cast<const char*>(b.data()), b.size()};
  }
  [[nodiscard]] std::size_t size() const noexcept { return bytes().size(); }
  /// Where in the file the first byte is.
  [[nodiscard]] std::uint64_t offset() const noexcept;

  /// Reads a part into memory, on a thread that may block, so that touching it does not
  /// (madvise(2), MADV_POPULATE_READ). It stays until the system needs the memory for something
  /// else.
  ///
  /// *Completes when* all of it is there. *Owns* a share in the memory. *Thread*: inside a task.
  /// *Drop*: finished in the background. *Errors*: `io_error`: EFAULT or EIO when the file has
  /// become shorter or the device has failed; EINVAL for a part that is not in the mapping.
  [[nodiscard]] task<> load(std::size_t from, std::size_t count) const;

 private:
  friend struct mapping_maker;
  explicit mapping(std::shared_ptr<detail::mapped_region> region) noexcept
      : region_(std::move(region)) {}
  void drop() noexcept;

  std::shared_ptr<detail::mapped_region> region_;
};

/// Maps a file, or a part of it, for reading. What lies behind the end of the file is not mapped:
/// the mapping is shorter then, or empty.
///
/// *Completes when* it is mapped, and with `populate` in memory. *Owns* a reference to the file.
/// *Thread*: the file's runtime. *Drop*: what was mapped is unmapped. *Errors*: `io_error`: EACCES
/// when the file is not open for reading; ENODEV for what cannot be mapped, such as pipes.
[[nodiscard]] task<mapping> map(const file& f, map_options options = {});

}  // namespace parkring::fs
