// A sequential writer.
//
//     written so far      flight              collected
//   ──────────────────┼───────────────┼────────────────────┼
//                                  `offset`
//
//   collected  the first `used` bytes of a buffer that is the writer's; `offset` is where they go
//   flight     writes under way or done, in order, each a task of its own that owns its buffer and
//              knows nothing of the writer
//   failed     the first error is in `failure`; from then on nothing is begun
//
// One task at a time changes this, between two awaits and never across one: it waits for room, then
// moves the buffer into a new task. So a dropped call leaves a state like any other. The task owns
// a share of the state. The state's end lets the writes of files go on by themselves.

#include <parkring/fs/writer.hpp>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <optional>
#include <string>
#include <utility>

#include <parkring/as_result.hpp>

#include "fs/stream/stream_parts.hpp"

namespace parkring::detail {

struct writer_state : std::enable_shared_from_this<writer_state> {
  using answer = std::optional<error>;

  file_ref file;
  fs::file own;  // in place of a reference alone, where `close` closes it
  fs::writer_options options;
  bool stream = false;
  bool at_end = false;  // where the file ends is to be asked first
  std::size_t memory_alignment = 1;
  std::size_t alignment = 1;  // of offsets and sizes
  std::uint64_t offset = 0;
  std::uint64_t taken = 0;  // bytes handed over
  buffer collected;
  std::size_t used = 0;
  std::deque<join_handle<answer>> flight;
  answer failure;
  bool busy = false;

  writer_state() = default;
  writer_state(const writer_state&) = delete;
  writer_state& operator=(const writer_state&) = delete;
  ~writer_state() {
    if (stream) return;
    for (auto& handle : flight) handle.detach();
  }

  void throw_if_failed() const {
    if (failure) throw io_error(*failure);
  }
  void collect(std::span<const std::byte>& from) noexcept;
  task<> reap_to(std::size_t left);
  /// Whether the device takes its bytes from where they lie, behind what was collected.
  [[nodiscard]] bool takes(const buffer& b) const {
    return alignment == 1 ||
           (used % alignment == 0 && b.size() % alignment == 0 &&
            reinterpret_cast<std::uintptr_t>(b.bytes().data()) % memory_alignment == 0);
  }
  void begin(buffer b, std::size_t size);
  void begin_collected();
};

namespace {

task<writer_state::answer> write_whole(file_ref file, buffer b, std::size_t size,
                                       std::uint64_t offset, fs::io_lane lane) {
  for (std::size_t done = 0; done < size;) {
    auto request = fs::request_on(file, direction::write, b, done, size - done, offset + done);
    result<std::size_t> n = std::size_t{0};
    if (lane)
      n = co_await as_result(lane.run(std::move(request)));
    else
      n = co_await as_result(std::move(request));
    if (n && *n != 0) {
      done += *n;
      continue;
    }
    error e = n ? error(EIO, "write", state_of(*file.get()).path.native(),
                        "the device takes no more bytes")
                : std::move(n).error();
    error whole(e.number(), "writer", e.subject(),
                e.advice() + (e.advice().empty() ? "" : "; ") +
                    "nothing from there on is sure to be written");
    whole.set_transferred(done);
    co_return whole;
  }
  co_return std::nullopt;
}

}  // namespace

void writer_state::collect(std::span<const std::byte>& from) noexcept {
  const std::size_t n = std::min(from.size(), collected.size() - used);
  if (n != 0) std::memcpy(collected.bytes().data() + used, from.data(), n);
  used += n;
  taken += n;
  from = from.subspan(n);
}

// Waits until another write may begin, or until none is under way.
task<> writer_state::reap_to(std::size_t left) {
  while (!flight.empty() && (flight.size() > left || flight.front().done())) {
    answer a = co_await flight.front();
    flight.pop_front();
    if (a && !failure) failure = std::move(a);
  }
  throw_if_failed();
  if (!at_end) co_return;
  // Names of their own: GCC 12 destroys an aggregate twice that is made inside the await.
  size_request ask{file.share()};
  fs::size_operation asking(std::move(ask));
  offset = co_await std::move(asking);
  at_end = false;
}

void writer_state::begin(buffer b, std::size_t size) {
  flight.push_back(
      fs::spawn_beside(write_whole(file.share(), std::move(b), size, offset, options.lane)));
  offset += size;
}

void writer_state::begin_collected() { begin(std::move(collected), std::exchange(used, 0)); }

}  // namespace parkring::detail

namespace parkring::fs {
namespace {

using detail::writer_state;
using shared_state = std::shared_ptr<writer_state>;

constexpr const char* one_writes = "one task at a time writes to a writer";
constexpr const char* is_closed = "nothing is written to a writer after its close; make another";

task<> write_copy(shared_state s, std::span<const std::byte> bytes) {
  const one_at_a_time guard(s->busy, one_writes);
  PARKRING_CHECK(s->file.get() != nullptr, is_closed);
  s->throw_if_failed();
  while (!bytes.empty()) {
    if (s->collected.empty()) s->collected = buffer(s->options.buffer_size, {s->memory_alignment});
    s->collect(bytes);
    if (s->used < s->collected.size()) break;
    co_await s->reap_to(s->options.in_flight - 1);
    s->begin_collected();
  }
}

task<> write_buffer(shared_state s, buffer b) {
  const one_at_a_time guard(s->busy, one_writes);
  PARKRING_CHECK(s->file.get() != nullptr, is_closed);
  s->throw_if_failed();
  if (s->used != 0) {
    co_await s->reap_to(s->options.in_flight - 1);
    s->begin_collected();
  }
  co_await s->reap_to(s->options.in_flight - 1);
  const std::size_t size = b.size();
  s->begin(std::move(b), size);
  s->taken += size;
}

task<> write_small(shared_state s, buffer b) {
  const auto bytes = std::as_const(b).bytes();
  co_await write_copy(std::move(s), bytes);
}

task<> write_all(shared_state s) {
  const one_at_a_time guard(s->busy, one_writes);
  s->throw_if_failed();
  if (s->used != 0) {
    co_await s->reap_to(s->options.in_flight - 1);
    s->begin_collected();
  }
  co_await s->reap_to(0);
}

task<> write_all_and_close(shared_state s) {
  co_await write_all(s);
  s->at_end = false;  // there is no file to ask any more, should it be closed again
  s->file.reset();
  if (s->own) co_await std::move(s->own).close();
}

shared_state make_state(file& to, const writer_options& options) {
  PARKRING_CHECK(options.buffer_size != 0, "a writer needs a buffer_size of at least one byte");
  PARKRING_CHECK(options.in_flight != 0, "a writer needs at least one write in flight");
  auto s = std::make_shared<writer_state>();
  s->file = reference_to(to);
  const detail::file_state& f = detail::state_of(*s->file.get());
  s->options = options;
  s->stream = f.stream != nullptr;
  if (s->stream) s->options.lane = {};
  if (s->stream || f.appends) s->options.in_flight = 1;
  s->at_end = options.append && !s->stream;
  s->memory_alignment = f.memory_alignment;
  s->alignment = f.offset_alignment;
  s->offset = s->stream ? 0 : options.offset;
  return s;
}

}  // namespace

writer::writer(file& to, writer_options options) : state_(make_state(to, options)) {}
writer::writer(file&& to, writer_options options) : state_(make_state(to, options)) {
  state_->own = std::move(to);
}

bool writer::attempt::try_now() noexcept {
  if (to->failure || to->busy || bytes.size() >= to->collected.size() - to->used)
    return bytes.empty() && !to->failure;
  to->collect(bytes);
  return true;
}
task<> writer::attempt::slowly() { return write_copy(to->shared_from_this(), bytes); }

task<> writer::write(buffer bytes) {
  (void)std::as_const(bytes).bytes();  // fails here where they are locked
  constexpr std::size_t worth_a_write = std::size_t{1} << 14;
  if (bytes.size() < std::min(worth_a_write, state_->options.buffer_size) || !state_->takes(bytes))
    return write_small(state_, std::move(bytes));
  return write_buffer(state_, std::move(bytes));
}
task<> writer::flush() { return write_all(state_); }
task<> writer::close() { return write_all_and_close(state_); }

std::uint64_t writer::written() const noexcept { return state_->taken; }
std::size_t writer::in_flight() const noexcept { return state_->flight.size(); }

}  // namespace parkring::fs
