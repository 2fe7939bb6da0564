// Opening: what the files of a log hold, and where the log ends.
//
// From the end to the beginning, since only the end knows what is needed:
//   The segment with the highest number is the last one. Its records are read up to the first that
//   is not whole, at P. Behind P there may be parts of the group that was under way. But if another
//   group *begins* there, the one at P had been durable: damage.
//   The last truncation that it tells of, in its header or a record, says where the log begins. As
//   long as that lies before, the segment with the number before is read too, and must have whole
//   records up to where the next one says that it ended: else, damage.
//   All other slots are empty, whatever they hold: they are prepared anew before they are used.
//   A header that cannot be read could be that of the last segment. So where one is, its records
//   are looked for as if they went on at P, or where the first of them says: if another group than
//   the first begins there, damage.
//
// Damage ends the opening, and nothing has been changed; or the log is cut there, by
// `log_damage::cut`: the headers of what lies behind are wiped first, and it goes on in a new file,
// behind all positions that it ever had.
//
// Then the last segment's header and last group are written again, and synced: only they may be in
// the page cache alone (state.hpp).
#include <algorithm>
#include <cerrno>
#include <mutex>

#include <parkring/as_result.hpp>
#include <parkring/fs/paths.hpp>
#include <parkring/fs/read_dir.hpp>

#include "fs/log/cursor.hpp"
#include "fs/log/state.hpp"

namespace parkring::fs::wal {

using guard = std::lock_guard<detail::sync_lock>;

struct state::found {
  segment_header header;
  segment in;
  std::uint64_t file_size = 0;

  [[nodiscard]] std::uint64_t most() const noexcept { return in.base + in.size - header_size; }
};

struct state::found_slots {
  std::vector<found> parts;  // that have a number; in its order
  std::vector<found> headless;
  std::uint64_t needed = 0;   // known to be
  std::uint64_t highest = 0;  // position that there ever was
  bool cut = false;
};

struct state::scanned {
  found part;
  std::uint64_t end = 0;
  std::uint64_t last_group = 0;
  std::uint64_t needed = 0;
  std::uint32_t epoch = 0;
  std::uint64_t seen_up_to = 0;    // behind `end`: what looks like records
  std::uint64_t needed_later = 0;  // as `needed`, of what lies behind `end`
  std::optional<std::uint64_t> later_group;
};

namespace {

std::filesystem::path above(const std::filesystem::path& directory) {
  return (directory.has_filename() ? directory : directory.parent_path()).parent_path();
}

}  // namespace

void state::damaged(const std::string& what) {
  if (options_.damage == log_damage::cut) return;
  throw io_error(error_of(EBADMSG, "log::open",
                          what + ": that was durable once, so it is damage, and not the end of the "
                                 "log. Copy the directory; then restore it, or open it with "
                                 "log_damage::cut, which loses all that lies behind"));
}

// The one above is synced also if it was there: who made it may have died. Where that fails it goes
// again: a later sync would not tell of it.
task<> state::make_directory() {
  const auto made = co_await as_result(fs::create_directory(directory_));
  if (!made && made.error().number() != EEXIST) throw io_error(made.error());
  const auto synced = co_await as_result(sync_directory(above(directory_)));
  if (synced) co_return;
  if (made) static_cast<void>(co_await as_result(fs::remove_directory(directory_)));
  throw io_error(synced.error());
}

task<> state::recover() {
  gathering_.give_memory(usual_group());
  flushing_.give_memory(usual_group());
  header_ = buffer(header_size);
  co_await make_directory();
  names_ = co_await open_directory(directory_);
  co_await names_.sync();
  found_slots all;
  co_await find_slots(all);
  co_await find_end(all);
  ++epoch_;
  for (const segment& s : live_) slots_[s.slot] = {slot_state::live, s.size};
  report_.first.value = first_;
  report_.segments = live_.size();
}

// One more than the highest that has a file: one before it may have been lost, and what it had is
// then missed by `find_beginning`.
task<std::size_t> state::count_slots() {
  std::size_t count = 0;
  auto names = fs::read_dir(directory_);
  for (;;) {
    const auto entry = co_await names.next();
    if (!entry) co_return count;
    if (const auto n = slot_of(entry->name)) count = std::max(count, *n + 1);
  }
}

task<> state::find_slots(found_slots& all) {
  buffer head(header_size);
  const std::size_t count = co_await count_slots();
  for (std::size_t n = 0; n < count; ++n) {
    const auto path = path_of(n);
    const auto size = co_await as_result(fs::file_size(path));
    if (!size && size.error().number() != ENOENT) throw io_error(size.error());
    slots_.emplace_back();
    if (!size || *size < header_size) continue;
    auto f = co_await fs::open(path);
    co_await f.read_exactly_at(head, 0);
    const auto h = decode_header(head.bytes());
    found one{.header = h.value_or(segment_header()),
              .in = {.size = *size, .slot = n},
              .file_size = *size};
    if (!h) {
      all.headless.push_back(one);
      continue;
    }
    epoch_ = std::max(epoch_, h->epoch);
    if (h->number == 0) continue;
    one.in.number = h->number;
    one.in.base = h->base;
    one.in.size = h->size;
    all.highest = std::max(all.highest, one.most());
    one.in.size = std::min(h->size, *size);  // the file may have become shorter
    all.parts.push_back(one);
  }
  std::ranges::sort(all.parts, {}, [](const found& f) { return f.in.number; });
}

task<> state::find_end(found_slots& all) {
  for (;;) {
    if (all.parts.empty()) {
      scanned none;
      co_await look_into_headless(all, none);
      if (none.later_group) {
        damaged("no file has a valid header, but there is a record at position " +
                std::to_string(*none.later_group));
        all.cut = true;
      }
      first_ = durable_end_ = report_.end.value = all.needed;
      break;
    }
    const found last = all.parts.back();
    if (last.file_size < last.header.size) {
      damaged(path_of(last.in.slot).native() + " has " + std::to_string(last.file_size) +
              " bytes instead of " + std::to_string(last.header.size));
      all.cut = true;
    }
    scanned s = co_await scan(last, last.most());
    co_await look_behind(s);
    co_await look_into_headless(all, s);
    if (s.later_group) {
      damaged("there is no record at position " + std::to_string(s.end) + " (" +
              path_of(last.in.slot).native() + ", offset " +
              std::to_string(last.in.offset_of(s.end)) + "), but a later one at " +
              std::to_string(*s.later_group));
      all.cut = true;
      // Durable truncations are lost with it, and the files that they freed are gone.
      all.needed = std::max(all.needed, s.needed_later);
    }
    if (!co_await find_beginning(all, s)) continue;  // it was cut before
    report_.end.value = durable_end_ = s.end;
    report_.cut = s.seen_up_to - s.end;
    report_.why = s.seen_up_to > s.end ? log_end::torn : log_end::clean;
    report_.file = path_of(last.in.slot);
    report_.offset = last.in.offset_of(s.end);
    co_await restore_last_group(s);
    // Truncated to behind all records, where some were refused: so it goes on there. What was
    // written before that position would count as truncated.
    if (!all.cut && all.needed > s.end) {
      leave_file_ = true;
      first_ = durable_end_ = report_.end.value = all.needed;
    }
    break;
  }
  gathering_.base = durable_end_;
  if (all.cut) {
    report_.why = log_end::damaged;
    leave_file_ = true;
    gathering_.base = durable_end_ = std::max(durable_end_, all.highest);
  }
}

// From the last segment back to the one that is needed first; false when it had to be cut.
task<bool> state::find_beginning(found_slots& all, scanned last) {
  all.needed = std::max(all.needed, last.needed);
  std::deque<segment> live;
  segment in = last.part.in;
  in.end = last.end;
  live.push_front(in);
  std::size_t i = all.parts.size() - 1;
  while (all.parts[i].header.previous_end > all.needed) {
    const std::uint64_t limit = all.parts[i].header.previous_end;
    const std::uint64_t wanted = all.parts[i].in.number - 1;
    if (i == 0 || all.parts[i - 1].in.number != wanted) {
      damaged("the part of the log before position " + std::to_string(limit) +
              " is missing or has no valid header (segment " + std::to_string(wanted) + ")");
      co_await drop_from(all, i);
      co_return false;
    }
    const found part = all.parts[i - 1];
    const scanned s = co_await scan(part, limit);
    if (s.end != limit) {
      damaged("there is no record at position " + std::to_string(s.end) + " (" +
              path_of(part.in.slot).native() + ", offset " +
              std::to_string(part.in.offset_of(s.end)) + "), but the log went on to position " +
              std::to_string(limit) + " and beyond");
      co_await drop_from(all, i);
      co_return false;
    }
    in = part.in;
    in.end = limit;
    live.push_front(in);
    --i;
  }
  const guard held(lock_);
  first_ = std::min(all.needed, last.end);
  live_ = std::move(live);
  co_return true;
}

task<state::scanned> state::scan(found part, std::uint64_t limit) {
  scanned s;
  s.part = part;
  s.needed = part.header.needed();
  s.epoch = part.header.epoch;
  cursor c(*this, co_await fs::open(path_of(part.in.slot)), part.in, part.in.base, limit);
  s.last_group = part.in.base;
  record_view r;
  for (;;) {
    const auto what = c.look(r);
    if (what == record_state::more) {
      co_await c.fill();
      continue;
    }
    if (what != record_state::whole) break;
    if (r.epoch != s.epoch && !(r.control && r.epoch > s.epoch)) break;  // of another opening
    s.epoch = r.epoch;
    if (r.first_of_group) s.last_group = r.position;
    if (r.control) s.needed = std::max(s.needed, load_u64(r.bytes.data()));
    c.move_to(r.position + r.room());
  }
  s.end = s.seen_up_to = c.at();
  epoch_ = std::max(epoch_, s.epoch);
  co_return s;
}

// What lies behind the end of the last segment, of this epoch or a later one.
task<> state::look_behind(scanned& s) {
  const found& part = s.part;
  cursor c(*this, co_await fs::open(path_of(part.in.slot)), part.in, s.end, part.most());
  record_view r;
  while (!c.at_end()) {
    const auto what = c.look(r);
    if (what == record_state::more) {
      co_await c.fill();
      continue;
    }
    const bool like_one = what != record_state::none && r.epoch >= s.epoch;
    if (like_one) s.seen_up_to = std::max(s.seen_up_to, std::min(c.limit(), r.position + r.room()));
    if (like_one && what == record_state::whole) {
      epoch_ = std::max(epoch_, r.epoch);
      if (r.control) s.needed_later = std::max(s.needed_later, load_u64(r.bytes.data()));
      if (r.first_of_group && r.position > s.end) {
        if (!s.later_group) s.later_group = r.position;
      }
      c.move_to(r.position + r.room());
    } else {
      c.skip_other();
    }
  }
}

task<> state::look_into_headless(found_slots& all, scanned& last) {
  for (const found& one : all.headless) {
    scanned s;
    s.part = one;
    // Where it would begin, its first record says: where the log ends, or behind what was refused.
    std::uint64_t begin = last.end;
    buffer first(record_header);
    auto f = co_await fs::open(path_of(one.in.slot));
    const auto read = co_await as_result(f.read_exactly_at(first, header_size));
    if (!read && read.error().number() != ENODATA) throw io_error(read.error());
    if (!read) continue;
    if (load_u32(first.bytes().data() + 8) != 0) {
      constexpr std::uint64_t low = 0xFFFF'FFFF;
      begin = (begin & ~low) | load_u32(first.bytes().data() + 12);
      if (begin < last.end) begin += low + 1;
    }
    s.part.in.base = s.end = s.seen_up_to = begin;
    s.epoch = last.epoch;
    co_await look_behind(s);
    if (!s.later_group) continue;
    last.later_group = s.later_group;
    all.highest = std::max(all.highest, s.seen_up_to);
  }
}

// They and all behind are no part of the log any more.
task<> state::drop_from(found_slots& all, std::size_t index) {
  all.cut = true;
  std::ranges::fill(header_.bytes(), std::byte{0});
  while (all.parts.size() > index) {
    auto f = co_await fs::open(path_of(all.parts.back().in.slot), {.access = access::write});
    co_await f.write_all_at(header_, 0);
    co_await f.sync();
    all.parts.pop_back();
  }
}

task<> state::restore_last_group(scanned s) {
  const segment& in = s.part.in;
  current_segment_ = in;
  current_segment_.end = s.end;
  current_header_ = s.part.header;
  current_ = co_await fs::open(path_of(in.slot), for_records());
  if (flaws_.trust_the_cache) co_return;
  auto f = co_await fs::open(path_of(in.slot), {.access = access::read_write});
  encode_header(s.part.header, header_.bytes());
  co_await f.write_all_at(header_, 0);
  buffer part(std::size_t{256} << 10);
  for (std::uint64_t at = s.last_group; at < s.end;) {
    const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(part.size(), s.end - at));
    co_await f.read_exactly_at(part, in.offset_of(at), n);
    co_await f.write_all_at(part, in.offset_of(at), n);
    at += n;
  }
  co_await f.sync();
}

}  // namespace parkring::fs::wal
