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

open_options for_writing(std::uint32_t mode) {
  return {
      .access = access::write, .creation = creation::if_missing, .truncate = true, .mode = mode};
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

// What is written through it is durable when it ends: one request, where a write and a sync behind
// it would each have to wait for a thread of the kernel's.
open_options state::for_records() const {
  return {.access = access::write,
          .data_sync = !flaws_.acknowledge_before_sync,
          .inline_first = inline_mode::never};
}

task<> state::prepare() {
  const auto reusable = [this](const slot& one) {
    return one.what == slot_state::free && one.size == options_.segment;
  };
  const auto at_hand = [](const slot& one) {
    return one.what == slot_state::empty || one.what == slot_state::free;
  };
  auto it = std::ranges::find_if(slots_, reusable);
  const bool again = it != slots_.end();
  if (!again) it = std::ranges::find_if(slots_, at_hand);
  const auto chosen = static_cast<std::size_t>(it - slots_.begin());
  if (!again) {
    if (chosen == slots_.size()) slots_.emplace_back();
    slots_[chosen] = {};
    auto filling = fill(chosen);
    const auto filled = co_await as_result(std::move(filling));
    if (!filled) {
      co_await give_bytes_back(chosen);
      // Files of another size are only in the way: the next try has their room.
      for (std::size_t i = 0; i < slots_.size(); ++i) {
        if (slots_[i].what != slot_state::free || slots_[i].size == options_.segment) continue;
        slots_[i] = {};
        co_await give_bytes_back(i);
      }
      throw io_error(filled.error());
    }
    if (slots_[chosen].what == slot_state::empty) co_return;  // it ends
  }
  auto f = co_await open(path_of(chosen), for_records());
  slots_[chosen].what = slot_state::ready;
  ready_.push_back({std::move(f), chosen, options_.segment});
  const guard held(lock_);
  ++(again ? counters_.recycled : counters_.prepared);
}

// Its name is made anew, since that of a file that was there may be from a time when making names
// durable failed.
task<> state::fill(std::size_t chosen) {
  const auto removed = co_await as_result(fs::remove(path_of(chosen)));
  if (!removed && removed.error().number() != ENOENT) throw io_error(removed.error());
  auto f = co_await open(path_of(chosen), for_writing(options_.mode));
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
  co_await sync_names();
  slots_[chosen] = {slot_state::free, options_.segment};
}

// A sync of the directory that has failed is like one of records: the names that it was to make
// durable may be lost, and one that succeeds later says nothing about them.
task<> state::sync_names() {
  const auto done = co_await as_result(names_.sync());
  if (done) co_return;
  fail(done.error());
  throw io_error(done.error());
}

// A full disk is not to be fuller for a file that did not fit.
task<> state::give_bytes_back(std::size_t chosen) {
  if (stops()) co_return;
  static_cast<void>(co_await as_result(open(path_of(chosen), for_writing(options_.mode))));
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
    co_await sync_names();
    co_return;
  }
  for (std::size_t i = slots_.size(); i-- != 0;)
    if (slots_[i].what == slot_state::free) {
      slots_[i] = {};
      co_await open(path_of(i), for_writing(options_.mode));
      co_return;
    }
}

}  // namespace parkring::fs::wal
