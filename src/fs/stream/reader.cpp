// See fs/stream/reader_state.hpp for the protocol.

#include <parkring/fs/reader.hpp>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include <parkring/as_result.hpp>

#include "fs/stream/reader_state.hpp"
#include "fs/stream/stream_parts.hpp"

namespace parkring::detail {
namespace {

constexpr unsigned patience = 8;  // how long the window waits before it falls

// A request as a result, and whether it was answered inline: others' are while it waits.
template <class Awaiter>
struct watched_awaiter {
  Awaiter inner;
  bool* at_once;
  bool await_ready() {
    const auto hits = running_core().inline_hits;
    const bool ready = inner.await_ready();
    *at_once = running_core().inline_hits != hits;
    return ready;
  }
  auto await_suspend(std::coroutine_handle<> h) { return inner.await_suspend(h); }
  auto await_resume() { return inner.await_resume(); }
};
struct watched_request {
  result_operation<fs::rw_operation<fs::locking>> request;
  bool* at_once;
  auto operator co_await() && {
    using awaiter = decltype(std::move(request).operator co_await());
    return watched_awaiter<awaiter>{std::move(request).operator co_await(), at_once};
  }
};

task<reader_state::answer> read_once(file_ref file, buffer into, std::uint64_t at, std::size_t size,
                                     fs::io_lane lane) {
  reader_state::answer a;
  auto request = fs::request_on(file, direction::read, into, 0, size, at);
  result<std::size_t> n = std::size_t{0};
  if (lane) {
    n = co_await as_result(lane.run(std::move(request)));
  } else {
    watched_request watched{as_result(std::move(request)), &a.at_once};
    n = co_await std::move(watched);
  }
  if (n)
    a.count = *n;
  else
    a.failure = std::move(n).error();
  a.bytes = std::move(into);
  co_return a;
}

}  // namespace

std::size_t reader_state::read_size(std::uint64_t at, std::uint64_t up_to) const noexcept {
  const std::uint64_t most_here = std::min<std::uint64_t>(up_to, INT64_MAX) - at;
  if (most_here >= options.buffer_size) return options.buffer_size;
  const auto size = static_cast<std::size_t>(most_here);
  return (size + alignment - 1) / alignment * alignment;
}

void reader_state::forget_flight() noexcept {
  flight.clear();
  reach = filled;
}

// What a read at `at` gave becomes the next piece, as far as it is new and belongs to the range.
bool reader_state::accept(buffer b, std::uint64_t at, std::size_t count) {
  const auto cut = static_cast<std::size_t>(filled - at);
  if (count <= cut) {  // the file ends here, for now
    forget_flight();
    return false;
  }
  const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(count - cut, end - filled));
  if (cut != 0) b = b.split_off(cut);
  if (n != b.size()) (void)b.split_off(n);
  have.push_back({std::move(b)});
  filled += n;
  reach = std::max(reach, filled);
  return true;
}

task<bool> reader_state::read_here(std::uint64_t up_to) {
  const std::uint64_t at = stream ? filled : aligned_down(filled);
  const std::size_t size = stream ? read_size(0, end - filled) : read_size(at, up_to);
  buffer into(size, {memory_alignment});
  answer a = co_await read_once(file.share(), std::move(into), stream ? 0 : at, size, options.lane);
  if (a.failure) throw io_error(*std::move(a.failure));
  if (!a.at_once && window == 0) window = std::min<std::size_t>(most, 2);
  co_return accept(std::move(a.bytes), at, a.count);
}

void reader_state::look_ahead() {
  if (flight.empty()) reach = aligned_down(filled);
  while (flight.size() < window && reach < std::min<std::uint64_t>(end, INT64_MAX)) {
    const std::size_t size = read_size(reach, end);
    buffer into(size, {memory_alignment});
    flight.push_back(
        {fs::spawn_beside(read_once(file.share(), std::move(into), reach, size, options.lane)),
         reach, size});
    reach += size;
  }
}

void reader_state::follow(bool waited, bool all_there) {
  if (waited) {
    window = std::min(most, std::max<std::size_t>(window * 2, 2));
    idle = 0;
  } else if (!all_there) {
    idle = 0;
  } else if (++idle >= patience) {
    window = std::max<std::size_t>(window - 1, 1);
    idle = 0;
  }
}

task<bool> reader_state::acquire() {
  if (filled >= end) co_return false;
  if (stream || (window == 0 && flight.empty())) {
    const bool more = co_await read_here(end);
    co_return more;
  }
  look_ahead();
  if (flight.empty()) co_return false;
  if (flight.front().at > filled) {
    const std::uint64_t gap_end = flight.front().at;
    const bool more = co_await read_here(gap_end);
    co_return more;
  }
  const bool waits = !flight.front().handle.done();
  follow(waits, flight.back().handle.done());
  look_ahead();
  const std::uint64_t at = flight.front().at;
  answer a = co_await flight.front().handle;
  flight.pop_front();
  if (a.failure) {
    forget_flight();
    throw io_error(*std::move(a.failure));
  }
  // Behind a skip: a read that ended before the position says nothing of what is there now.
  if (at < aligned_down(filled) && a.count <= filled - at) {
    const bool more = co_await acquire();
    co_return more;
  }
  at_once = a.at_once ? at_once + 1 : 0;
  if (at_once >= patience && !waits) {
    window = 0;
    at_once = 0;
  }
  const bool more = accept(std::move(a.bytes), at, a.count);
  if (more) look_ahead();
  co_return more;
}

buffer reader_state::take(std::size_t n) {
  piece& first = have.front();
  if (first.begin != 0) {
    first.bytes = first.bytes.split_off(first.begin);  // may throw: nothing has changed then
    first.begin = 0;
  }
  buffer given;
  if (n >= first.size()) {
    given = std::move(first.bytes);
    have.pop_front();
  } else {
    buffer rest = first.bytes.split_off(n);
    given = std::exchange(first.bytes, std::move(rest));
  }
  position += given.size();
  return given;
}

std::optional<buffer> reader_state::used(std::size_t n) {
  piece& first = have.front();
  first.begin += n;
  position += n;
  if (first.size() != 0) return std::nullopt;
  std::optional<buffer> over(std::move(first.bytes));
  have.pop_front();
  return over;
}

}  // namespace parkring::detail

namespace parkring::fs {
namespace {

using detail::reader_state;
using shared_state = std::shared_ptr<reader_state>;

constexpr const char* one_reads = "one task at a time reads from a reader";

task<std::optional<buffer>> next_piece(shared_state s) {
  const one_at_a_time guard(s->busy, one_reads);
  if (s->have.empty()) {
    const bool more = co_await s->acquire();
    if (!more) co_return std::nullopt;
  }
  co_return s->take(SIZE_MAX);
}

task<buffer> read_some(shared_state s, std::size_t count) {
  const one_at_a_time guard(s->busy, one_reads);
  if (count == 0) co_return buffer();
  if (s->have.empty()) {
    const bool more = co_await s->acquire();
    if (!more) co_return buffer();
  }
  co_return s->take(count);
}

std::size_t ready_bytes(const reader_state& s) noexcept {
  return static_cast<std::size_t>(s.filled - s.position);
}

[[noreturn]] void fail_early_end(const reader_state& s, std::size_t count) {
  const std::size_t there = ready_bytes(s);
  error e(ENODATA, "read_exactly",
          detail::state_of(*s.file.get()).path.native() + ", offset " + std::to_string(s.position) +
              ", " + std::to_string(count) + " bytes",
          "the file or the range ends after " + std::to_string(there) + " of them");
  e.set_transferred(there);
  throw io_error(std::move(e));
}

task<buffer> read_whole(shared_state s, std::size_t count) {
  const one_at_a_time guard(s->busy, one_reads);
  if (count == 0) co_return buffer();
  while (ready_bytes(*s) < count) {
    const bool more = co_await s->acquire();
    if (!more) fail_early_end(*s, count);
  }
  if (s->have.front().size() >= count) co_return s->take(count);
  buffer whole(count);
  std::byte* to = whole.bytes().data();
  for (std::size_t left = count; left != 0;) {
    const auto& first = s->have.front();
    const std::size_t n = std::min(left, first.size());
    std::memcpy(to, first.text().data(), n);
    (void)s->used(n);
    to += n;
    left -= n;
  }
  co_return whole;
}

task<std::uint64_t> skip_bytes(shared_state s, std::uint64_t count) {
  const one_at_a_time guard(s->busy, one_reads);
  count = std::min(count, s->end - s->position);
  std::uint64_t left = count;
  for (;;) {
    while (left != 0 && !s->have.empty()) {
      const auto n =
          static_cast<std::size_t>(std::min<std::uint64_t>(left, s->have.front().size()));
      (void)s->used(n);
      left -= n;
    }
    if (left == 0) co_return count;
    if (!s->stream) break;
    const bool more = co_await s->acquire();
    if (!more) co_return count - left;
  }
  s->position = s->filled = s->filled + left;
  while (!s->flight.empty() && s->flight.front().at + s->flight.front().size <= s->filled)
    s->flight.pop_front();
  if (s->flight.empty()) s->reach = s->filled;
  co_return count;
}

shared_state make_state(detail::file_ref file, const reader_options& options) {
  PARKRING_CHECK(options.buffer_size != 0, "a reader needs a buffer_size of at least one byte");
  auto s = std::make_shared<reader_state>();
  const detail::file_state& f = detail::state_of(*file.get());
  s->stream = f.stream != nullptr;
  s->alignment = f.offset_alignment;
  s->memory_alignment = f.memory_alignment;
  s->file = std::move(file);
  s->options = options;
  s->options.buffer_size = (options.buffer_size + s->alignment - 1) / s->alignment * s->alignment;
  if (s->stream) s->options.lane = {};
  s->most = s->stream ? 0 : options.read_ahead / s->options.buffer_size;
  s->position = s->stream ? 0 : options.offset;
  s->end = options.length > UINT64_MAX - s->position ? UINT64_MAX : s->position + options.length;
  s->filled = s->reach = s->position;
  return s;
}

}  // namespace

reader::reader(file& from, reader_options options)
    : state_(make_state(reference_to(from), options)) {}
reader::reader(file&& from, reader_options options)
    : state_(make_state(reference_to(from), options)) {
  from = file();
}

task<std::optional<buffer>> reader::next() { return next_piece(state_); }
task<buffer> reader::read(std::size_t count) { return read_some(state_, count); }
task<buffer> reader::read_exactly(std::size_t count) { return read_whole(state_, count); }
task<std::uint64_t> reader::skip(std::uint64_t count) { return skip_bytes(state_, count); }

std::uint64_t reader::position() const noexcept { return state_->position; }
std::uint64_t reader::missing() const noexcept {
  return state_->options.length == to_the_end ? to_the_end : state_->end - state_->position;
}
std::size_t reader::window() const noexcept { return state_->window; }
const std::filesystem::path& reader::path() const noexcept {
  return detail::state_of(*state_->file.get()).path;
}

}  // namespace parkring::fs
