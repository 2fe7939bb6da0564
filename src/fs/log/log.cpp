#include <parkring/fs/log.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <span>
#include <utility>

#include <parkring/as_result.hpp>

#include "fs/log/cursor.hpp"
#include "fs/log/state.hpp"

namespace parkring::fs {
namespace wal {
namespace {

void check_options(const state& s, const log_options& o) {
  const auto refuse = [&s](const char* why) {
    throw io_error(s.error_of(EINVAL, "log::open", why));
  };
  if (o.segment < 4096 || o.segment % 8 != 0)
    refuse("log_options::segment must be 4096 at least, and a multiple of 8");
  if (o.group < 64) refuse("log_options::group must be 64 at least");
  if (o.ahead == 0) refuse("log_options::ahead must be 1 at least");
}

// Until no other log has the directory.
task<> claim_directory(const std::shared_ptr<state>& s) {
  std::shared_ptr<state> other;
  while (!claim(s, other)) {
    if (other == nullptr || !other->is_ending() || !other->runs_beside_caller())
      throw io_error(s->error_of(EBUSY, "log::open",
                                 "this process has it open already; close() that log first, or end "
                                 "the runtime that it was dropped on"));
    co_await other->when(other->closers(), &state::has_ended);
  }
}

}  // namespace

task<log> log_access::open(std::filesystem::path directory, log_options options, flaws f) {
  auto s = std::make_shared<state>(std::move(directory), options, f);
  check_options(*s, options);
  co_await claim_directory(s);
  log opened(s);
  state::start(s);
  while (!s->opening_is_over()) co_await s->when(s->openers(), &state::has_opened);
  if (const auto why = s->failure()) {
    while (!s->is_over()) co_await s->when(s->closers(), &state::has_ended);
    throw io_error(*why);
  }
  co_return opened;
}

namespace {

[[noreturn]] void refuse_position(const state& s, int number, std::uint64_t at,
                                  const char* advice) {
  throw io_error(
      s.error_of(number, "log::records", "position " + std::to_string(at) + " " + advice));
}
[[noreturn]] void refuse_truncated(const state& s, std::uint64_t at) {
  refuse_position(s, ENODATA, at, "lies before what the log was truncated to; read from first()");
}

generator<log_record> read_records(std::shared_ptr<state> s, std::uint64_t from, log_reading how) {
  std::uint64_t at = from;
  std::optional<cursor> c;
  for (;;) {
    const state::place where = s->locate(at);
    if (where.truncated) refuse_truncated(*s, at);
    if (where.at_end) {
      if (how == log_reading::to_end) co_return;
      if (where.ended) {
        if (const auto why = s->failure()) throw io_error(*why);
        co_return;
      }
      detail::log_durable_operation more(s->ref(), at + 1, true);
      static_cast<void>(co_await as_result(std::move(more)));  // what it says, `locate` does too
      continue;
    }
    at = std::max(at, where.begin);
    if (at >= where.in.end) continue;
    const std::uint64_t number = where.in.number;
    if (c && c->in().number == number) {
      c->raise_limit(where.in.end);
    } else {
      auto f = co_await as_result(fs::open(s->path_of(where.in.slot)));
      if (!s->has_segment(number)) refuse_truncated(*s, at);
      if (!f) throw io_error(std::move(f).error());
      c.emplace(*s, std::move(*f), where.in, at, where.in.end);
    }
    while (!c->at_end()) {
      record_view r;
      const record_state what = c->look(r);
      if (what == record_state::more) {
        co_await c->fill();
        // What was read is the log's only if its file still is.
        if (!s->has_segment(number)) refuse_truncated(*s, at);
        continue;
      }
      if (what != record_state::whole) {
        if (at == from) refuse_position(*s, EINVAL, at, "is not where a record begins");
        refuse_position(*s, EBADMSG, at,
                        "has no whole record any more: the file was changed or damaged");
      }
      c->move_to(at + r.room());
      if (!r.control) {
        const auto* const text = reinterpret_cast<const char*>(r.bytes.data());
        log_record one{{at}, {c->at()}, std::string(text, r.bytes.size())};
        co_yield std::move(one);
      }
      at = c->at();
    }
  }
}

task<> truncate(std::shared_ptr<state> s, std::uint64_t position) {
  if (position > s->durable_end())
    throw io_error(s->error_of(
        EINVAL, "log::truncate_before",
        "position " + std::to_string(position) + " is not durable yet; await sync() before"));
  if (position <= s->first()) co_return;
  std::array<std::byte, 8> bytes;
  store_u64(position, bytes.data());
  const std::span<const std::byte> record(bytes);
  detail::log_append_operation<std::span<const std::byte>> append(
      s->ref(), std::span<const std::byte>(record), detail::log_wish::durable, true);
  co_await std::move(append);
}

task<> close_log(std::shared_ptr<state> s) {
  s->close();
  while (!s->is_over()) co_await s->when(s->closers(), &state::has_ended);
  if (const auto why = s->shortcoming()) throw io_error(*why);
}

}  // namespace
}  // namespace wal

log::log(detail::log_state_ref state) noexcept : state_(std::move(state)), here_(state_->ref()) {}
log& log::operator=(log&& other) noexcept {
  if (this != &other) {
    drop();
    state_ = std::move(other.state_);
    here_ = other.here_;
  }
  return *this;
}
log::~log() { drop(); }

void log::drop() noexcept {
  if (state_ == nullptr) return;
  state_->abandon();
  state_ = nullptr;
}

task<log> log::open(std::filesystem::path directory, log_options options) {
  return wal::log_access::open(std::move(directory), options, {});
}
const log_report& log::recovered() const noexcept { return usable()->report(); }
task<> log::truncate_before(lsn position) { return wal::truncate(usable(), position.value); }
generator<log_record> log::records(lsn from, log_reading how) {
  return wal::read_records(usable(), from.value, how);
}
generator<log_record> log::records() { return records(first()); }
lsn log::first() const noexcept { return {usable()->first()}; }
lsn log::end() const noexcept { return {usable()->end()}; }
lsn log::durable_end() const noexcept { return {usable()->durable_end()}; }
std::optional<error> log::failure() const {
  const auto why = usable()->failure();
  if (why == nullptr) return std::nullopt;
  return *why;
}
log_counters log::counters() const noexcept { return usable()->counters(); }
task<> log::close() { return wal::close_log(usable()); }

}  // namespace parkring::fs
