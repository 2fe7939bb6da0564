// The preparer: files for the log, before they are needed, and without those that are not.
//
// A file is prepared in an order that leaves nothing to chance: its name (creating), its blocks
// (zeros, sync), its header, which says that all that is there (sync), its directory (sync). Then,
// and not before, it is `ready`. A file that was truncated has all of that, and is ready as it is.
//
// Slots are numbered without a gap: only the last one is removed. A surplus one in between gives
// its bytes back, and keeps its name.
#include <algorithm>
#include <cerrno>
#include <mutex>
#include <new>

#include <parkring/as_result.hpp>
#include <parkring/fs/paths.hpp>

#include "fs/log/state.hpp"

namespace parkring::fs::wal {

using guard = std::lock_guard<detail::sync_lock>;

namespace {

constexpr std::size_t piece = std::size_t{1} << 20;
constexpr std::size_t synced_at_once = 8 * piece;  // less stands in the way of the records' syncs

open_options for_writing(std::uint32_t mode, bool empty) {
  return {.access = access::write,
          .creation = empty ? creation::if_missing : creation::never,
          .truncate = empty,
          .mode = mode};
}

}  // namespace

task<> state::run_preparer(running mine) {
  state& s = *mine.of;
  for (;;) {
    co_await s.when(s.preparer_, &state::has_to_prepare);
    if (s.committed_all_ || s.stops()) co_return;
    std::optional<error> why;
    const bool prepares = s.wanted_ || s.ready_.size() < s.options_.ahead;
    try {
      if (prepares)
        co_await s.prepare();
      else if (s.has_surplus())
        co_await s.release_surplus();
      else
        continue;  // it was woken for something that is over
    } catch (const io_error& e) {
      why.emplace(e.error());
    } catch (const std::bad_alloc&) {
      why.emplace(s.error_of(ENOMEM, "log", "there is no memory to prepare a file"));
    }
    const guard held(s.lock_);
    s.prepare_failed_ = why.has_value();
    if (s.wanted_ && prepares && (why || !s.ready_.empty())) {
      s.wanted_ = false;
      s.prepare_error_ = std::move(why);
    }
    wake(s.committer_);
  }
}

bool state::has_to_prepare(const state& s) noexcept {
  if (s.tasks_stop() || s.committed_all_ || s.wanted_) return true;
  if (!s.recovered_ || s.closing_ || s.prepare_failed_) return false;
  return s.ready_.size() < s.options_.ahead || s.has_surplus();
}

bool state::has_answer(const state& s) noexcept {
  return s.tasks_stop() || !s.ready_.empty() || s.prepare_error_.has_value();
}

task<> state::prepare() {
  std::size_t chosen = slots_.size();
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    const slot& one = slots_[i];
    if (one.what == slot_state::free && one.size == options_.segment) {
      chosen = i;
      break;
    }
    if (chosen == slots_.size() && (one.what == slot_state::empty || one.what == slot_state::free))
      chosen = i;
  }
  if (chosen < slots_.size() && slots_[chosen].what == slot_state::free &&
      slots_[chosen].size == options_.segment) {
    auto f = co_await open(path_of(chosen), for_writing(options_.mode, false));
    slots_[chosen].what = slot_state::ready;
    ready_.push_back({std::move(f), chosen, options_.segment});
    const guard held(lock_);
    ++counters_.recycled;
    co_return;
  }
  if (chosen == slots_.size()) slots_.emplace_back();
  slots_[chosen] = {};
  co_await fill(chosen);
}

task<> state::fill(std::size_t chosen) {
  auto f = co_await open(path_of(chosen), for_writing(options_.mode, true));
  buffer zeros(std::min(piece, options_.segment));
  std::ranges::fill(zeros.bytes(), std::byte{0});
  for (std::uint64_t at = 0; at < options_.segment; at += zeros.size()) {
    if (at != 0 && at % synced_at_once == 0) co_await f.datasync();
    if (committed_all_ || stops()) co_return;
    const std::size_t n = std::min<std::uint64_t>(zeros.size(), options_.segment - at);
    co_await f.write_all_at(zeros, at, n);
  }
  co_await f.sync();
  encode_header({.epoch = epoch_, .size = options_.segment}, zeros.bytes());
  co_await f.write_all_at(zeros, 0, header_size);
  co_await f.sync();
  co_await fs::sync_directory(directory_);
  slots_[chosen] = {slot_state::ready, options_.segment};
  ready_.push_back({std::move(f), chosen, options_.segment});
  const guard held(lock_);
  ++counters_.prepared;
}

bool state::has_surplus() const noexcept {
  const auto unused = static_cast<std::size_t>(
      std::ranges::count_if(slots_, [](const slot& s) { return s.what == slot_state::free; }));
  return unused > options_.spare || (!slots_.empty() && slots_.back().what == slot_state::empty);
}

task<> state::release_surplus() {
  if (slots_.back().what == slot_state::empty || slots_.back().what == slot_state::free) {
    slots_.back() = {};
    const auto removed = co_await as_result(fs::remove(path_of(slots_.size() - 1)));
    if (!removed && removed.error().number() != ENOENT) throw io_error(removed.error());
    slots_.pop_back();
    co_await fs::sync_directory(directory_);
    co_return;
  }
  for (std::size_t i = slots_.size(); i-- != 0;)
    if (slots_[i].what == slot_state::free) {
      slots_[i] = {};
      co_await open(path_of(i), for_writing(options_.mode, true));
      co_return;
    }
}

}  // namespace parkring::fs::wal
