// A recording of what runtimes do, while it goes on. How it becomes a file is in trace_file.hpp.
//
// Each runtime writes into a buffer of its own, which it shares with the recording: neither waits
// for the other, and whoever goes last frees it. `current_recording` is the number of the recording
// that goes on, 0 when there is none; a runtime looks at it once a turn and takes a buffer, or lets
// go of one, when it has changed.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/trace_buffer.hpp"

namespace parkring::exec {

/// In the upper 8 bits of an event's first word. Events without a time of their own lie between
/// those that have one.
enum class trace_kind : std::uint8_t {
  turn = 1,    // low word: its number; second: ticks
  clock,       // second: ticks
  resume,      // first: how many, what was resumed; second: the task's spawn_site
  enter,       // first: entries handed over; second: ticks
  entered,     // first: the answer, as 32 bits; second: ticks
  completion,  // first: how many, the record_type's name; second: the turn they were made in,
               // answer
  facts,       // of the completion before it. first: length, 32 bits; path; second: offset
  text,        // of the completion before it. second: in words
  timers,      // first: how many fired
  wakes,       // first: how many
};
inline constexpr unsigned trace_kind_shift = 56;
inline constexpr std::uint64_t trace_value_mask = (std::uint64_t{1} << trace_kind_shift) - 1;
// Where a count and a pointer share a word. Linux gives no addresses above 2^47 unasked.
inline constexpr unsigned trace_count_shift = 48;
inline constexpr unsigned trace_most_counted = 255;
inline constexpr std::uint64_t trace_pointer_mask = (std::uint64_t{1} << trace_count_shift) - 1;

/// Texts by number, 0 being none. One writer; readers copy.
class trace_texts {
 public:
  [[nodiscard]] std::uint32_t number_of(std::string_view text);
  [[nodiscard]] std::vector<std::string> copy() const;

 private:
  struct hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view s) const noexcept {
      return std::hash<std::string_view>()(s);
    }
  };
  static constexpr std::size_t most = 1 << 16;

  mutable std::mutex mutex_;        // held to add, and to copy
  std::vector<std::string> texts_;  // by number - 1
  std::unordered_map<std::string, std::uint32_t, hash, std::equal_to<>> numbers_;  // the writer's
};

/// What one runtime has recorded.
struct trace_track {
  trace_track(std::size_t bytes, std::string called, bool virtual_clock, bool every_resume)
      : buffer(bytes),
        name(std::move(called)),
        virtual_time(virtual_clock),
        time_every_resume(every_resume) {}

  base::trace_buffer buffer;
  trace_texts texts;
  const std::string name;
  const bool virtual_time;  // its ticks are nanoseconds of a simulated world
  const bool time_every_resume;
};

extern constinit std::atomic<std::uint32_t> current_recording;

/// A track of the recording that goes on; null when there is none, or no memory.
[[nodiscard]] std::shared_ptr<trace_track> join_recording(const std::string& name,
                                                          bool virtual_time) noexcept;

}  // namespace parkring::exec
