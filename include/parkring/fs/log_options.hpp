// What a log is like, what opening one has found, and what its reader gives.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

namespace parkring::fs {

/// A place in a log: of a record, or of the end. Later records have greater ones, also when the
/// log is opened again. Only one that was never durable may be given again after a power cut.
struct lsn {
  std::uint64_t value = 0;
  friend constexpr auto operator<=>(lsn, lsn) = default;
};

/// What `log::open` does where records are damaged that were durable once: valid ones lie behind.
enum class log_damage : std::uint8_t {
  refuse,  ///< fails, and changes nothing: copy the files, then decide
  cut,     ///< ends the log there; all behind is lost
};

struct log_options {
  /// Bytes of each file; a record must fit into one. Logs may be opened again with another size.
  std::size_t segment = std::size_t{64} << 20;
  /// Bytes that are written and synced at once, at most; a longer record goes by itself.
  std::size_t group = std::size_t{256} << 10;
  /// Files prepared (filled with zeros, durable) before they are needed; at least 1.
  unsigned ahead = 1;
  /// Files that `truncate_before` freed which are kept to be used again, beside those.
  unsigned spare = 2;
  log_damage damage = log_damage::refuse;
  std::uint32_t mode = 0644;  ///< permissions of new files, less the umask
};

/// How a log ended when it was opened.
enum class log_end : std::uint8_t {
  clean,    ///< behind the last record lies nothing of this log
  torn,     ///< parts of records that were never acknowledged: a power cut, or a failed write
  damaged,  ///< records that had been durable; cut off, as `log_damage::cut` says
};

/// What `log::open` has found.
struct log_report {
  lsn first;  ///< of the oldest record that is needed
  lsn end;    ///< the last good position: where the log goes on
  log_end why = log_end::clean;
  std::uint64_t cut = 0;       ///< bytes behind `end` that look like records
  std::size_t segments = 0;    ///< files that hold them
  std::filesystem::path file;  ///< where `end` lies; empty: in none
  std::uint64_t offset = 0;    ///< and at which byte
};

struct log_record {
  lsn at;
  lsn next;           ///< where the next one may lie: to read on from, or to truncate before
  std::string bytes;  ///< as they were appended
};

/// Whether a reader waits for records that are not there yet.
enum class log_reading : std::uint8_t {
  to_end,  ///< what is durable when it gets there
  follow,  ///< also what comes later, until the log is closed
};

struct log_counters {
  std::uint64_t records = 0;   ///< durable, of the user's
  std::uint64_t groups = 0;    ///< writes with their sync
  std::uint64_t prepared = 0;  ///< files filled with zeros
  std::uint64_t recycled = 0;  ///< files used again as they were
  std::uint64_t refused = 0;   ///< records refused because there was no room for a further file
};

}  // namespace parkring::fs
