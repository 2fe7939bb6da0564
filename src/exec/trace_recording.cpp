#include "exec/trace_recording.hpp"

#include <parkring/detail/check.hpp>
#include <parkring/trace.hpp>

#include <cstdio>
#include <exception>
#include <fstream>
#include <new>
#include <optional>
#include <system_error>

#include "base/ticks.hpp"
#include "exec/trace_file.hpp"

namespace parkring {
namespace exec {

constinit std::atomic<std::uint32_t> current_recording{0};

namespace {

struct recording {
  std::string file;
  std::ofstream out;
  trace::options options;
  base::tick_mark begin;
  std::vector<std::shared_ptr<trace_track>> tracks;
};

// Of this mutex and its recording: `current_recording` says from outside whether there is one.
std::mutex mutex;
std::optional<recording> going_on;
std::uint32_t last_number = 0;

[[noreturn]] void fail(int number, const std::string& what) {
  throw std::system_error(number != 0 ? number : EIO, std::generic_category(), what);
}

}  // namespace

std::uint32_t trace_texts::number_of(std::string_view text) {
  if (text.empty()) return 0;
  if (const auto known = numbers_.find(text); known != numbers_.end()) return known->second;
  if (texts_.size() == most) return 0;
  const std::lock_guard lock(mutex_);
  texts_.emplace_back(text);
  const auto number = static_cast<std::uint32_t>(texts_.size());
  numbers_.emplace(text, number);
  return number;
}

std::vector<std::string> trace_texts::copy() const {
  const std::lock_guard lock(mutex_);
  return texts_;
}

std::shared_ptr<trace_track> join_recording(const std::string& name, bool virtual_time) noexcept
    try {
  const std::lock_guard lock(mutex);
  if (!going_on) return nullptr;
  const std::size_t n = going_on->tracks.size() + 1;
  auto track = std::make_shared<trace_track>(
      going_on->options.bytes_per_runtime,
      "runtime " + std::to_string(n) + " (" + name + (virtual_time ? ", virtual time)" : ")"),
      virtual_time, going_on->options.time_every_resume);
  going_on->tracks.push_back(track);
  return track;
} catch (const std::bad_alloc&) {
  return nullptr;
}

}  // namespace exec

namespace trace {

void start(const std::filesystem::path& file, const options& o) {
  const std::lock_guard lock(exec::mutex);
  PARKRING_CHECK(!exec::going_on, "a trace is being recorded already; stop() that one first");
  errno = 0;
  std::ofstream out(file, std::ios::trunc);
  if (!out) exec::fail(errno, "make the trace file " + file.string());
  exec::going_on.emplace(file.string(), std::move(out), o, base::tick_mark::now(),
                         std::vector<std::shared_ptr<exec::trace_track>>());
  if (++exec::last_number == 0) ++exec::last_number;
  exec::current_recording.store(exec::last_number, std::memory_order_relaxed);
}

summary stop() {
  std::optional<exec::recording> ended;
  {
    const std::lock_guard lock(exec::mutex);
    exec::current_recording.store(0, std::memory_order_relaxed);
    ended.swap(exec::going_on);
  }
  if (!ended) return {};
  errno = 0;
  const summary s = exec::write_trace(ended->out, ended->begin, base::ticks_per_ns(), ended->tracks,
                                      ended->options.max_events);
  ended->out.close();
  if (!ended->out) exec::fail(errno, "write the trace file " + ended->file);
  return s;
}

session::~session() {
  try {
    stop();
  } catch (const std::exception& e) {
    std::fprintf(stderr, "parkring: %s\n", e.what());
  }
}

}  // namespace trace
}  // namespace parkring
