#include <parkring/fs/read_many.hpp>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <new>

#include <parkring/shield.hpp>

#include "exec/core.hpp"
#include "fs/data/many_reads.hpp"
#include "fs/data/part_request.hpp"
#include "fs/file_state.hpp"
#include "fs/rw_error.hpp"

namespace parkring::detail {
namespace {

constexpr std::uint64_t last_offset = INT64_MAX;

// A read that brings in another reader when it goes to the kernel.
class reader_read {
 public:
  reader_read(many_reads& reads, rw_request&& q)
      : reads_(reads),
        described_(std::move(q), fs::locking{}),
        inner_(std::move(described_).operator co_await()) {}
  reader_read(const reader_read&) = delete;
  reader_read& operator=(const reader_read&) = delete;

  bool await_ready() noexcept { return inner_.await_ready(); }
  void await_suspend(std::coroutine_handle<> h) {
    inner_.await_suspend(h);
    // With an answer it only lets others have their turn.
    if (!inner_.await_done()) reads_.one_more();
  }
  std::expected<std::size_t, error> await_resume() { return inner_.await_outcome(); }

 private:
  using operation = fs::rw_operation<fs::locking>;
  many_reads& reads_;
  operation described_;
  decltype(std::declval<operation>().operator co_await()) inner_;
};

class idle_reader : waiter {
 public:
  explicit idle_reader(many_reads& reads) noexcept : reads_(reads) {}
  idle_reader(const idle_reader&) = delete;
  idle_reader& operator=(const idle_reader&) = delete;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> h) noexcept {
    frame = h.address();
    task = running_core().current;
    reads_.wait_idle(*this);
    note_.begin(running_core().notes, *this, "room for parts");
  }
  void await_resume() const noexcept {}

 private:
  many_reads& reads_;
  wait_note note_;
};

// Reads until there is nothing more to come; one request, as a rule.
struct reading {
  many_reads& of;
  many_reads::finished f;

  explicit reading(many_reads& reads, const many_reads::run& what) : of(reads) {
    f.of = what;
    f.failed = what.refused;
    const auto& file = state_of(of.file(what.file));
    if (f.failed == 0 && what.begin != what.end)
      f.memory =
          buffer(static_cast<std::size_t>(what.end - what.begin), alignment{file.memory_alignment});
  }
  [[nodiscard]] bool wants_more() const noexcept {
    return f.failed == 0 && f.got < f.memory.size();
  }
  [[nodiscard]] rw_request next() {
    return fs::part_request(of.file(f.of.file), direction::read, f.memory, f.got,
                            f.memory.size() - f.got, f.of.begin + f.got);
  }
  // False: that was all.
  bool add(const std::expected<std::size_t, error>& n) noexcept {
    ++of.counts.reads;
    if (!n) {
      f.failed = n.error().number();
      return false;
    }
    f.got += *n;
    of.counts.bytes += *n;
    // Short of a whole block direct I/O is at the end, and could not go on from there.
    return *n != 0 && wants_more() && f.got % state_of(of.file(f.of.file)).offset_alignment == 0;
  }
};

// What could not be read as a whole, one by one: a bad block is the fault of the ranges it is in.
task<> read_singly(many_reads& reads, many_reads::run whole) {
  for (std::size_t i = whole.first; i != whole.last; ++i) {
    reading one(reads, reads.single(i));
    while (one.wants_more()) {
      reader_read request(reads, one.next());
      const auto n = co_await request;
      if (!one.add(n)) break;
    }
    reads.deliver(std::move(one.f));
  }
}

task<> reader(many_reads_ref reads) {
  try {
    for (;;) {
      many_reads::run what;
      while (!reads->claim(what)) {
        if (reads->all_claimed()) co_return;
        co_await idle_reader(*reads);
      }
      reading whole(*reads, what);
      while (whole.wants_more()) {
        reader_read request(*reads, whole.next());
        const auto n = co_await request;
        if (!whole.add(n)) break;
      }
      if (whole.f.failed != 0 && what.last - what.first > 1)
        co_await read_singly(*reads, what);
      else
        reads->deliver(std::move(whole.f));
    }
  } catch (...) {
    reads->fail(std::current_exception());
  }
}

// Readers outlive the `next` that begins them, and so must not have its deadline.
join_handle<void> begin_reader(many_reads_ref reads) {
  const task_context* const around = surroundings();
  if (around == nullptr || around->deadline_ns == task_context::no_deadline)
    return spawn(reader, std::move(reads));
  const context_ref without = new_shield();
  return make_handle<void>(start_in<void>(*without, reader(std::move(reads))));
}

error failure_of(int number, file_state_base& base, const fs::range& what) {
  const auto& file = state_of(base);
  error e = fs::rw_error(number, file, direction::read, what.offset, what.length, nullptr);
  std::string advice = e.advice();
  if (number == EINVAL && what.length > last_offset - std::min(what.offset, last_offset))
    advice = "a range ends below 2^63; was its offset or length negative?";
  return {number, "read_many", e.subject(), std::move(advice)};
}

}  // namespace

many_reads::many_reads(std::vector<file_ref> files, std::vector<fs::ranged_item> items,
                       const fs::read_many_options& options)
    : how_(options), files_(std::move(files)), items_(std::move(items)) {
  std::vector<fs::ranged_item> scratch;
  if (!in_order()) {
    fs::sort_ranges(items_, scratch);
    return;
  }
  for (std::size_t i = 0; i < items_.size(); i += how_.window)
    fs::sort_ranges(std::span(items_).subspan(i, std::min(how_.window, items_.size() - i)),
                    scratch);
  slots_.resize(std::min(items_.size(), 2 * how_.window));
}

fs::read_many_stream many_reads::stream_of(std::vector<file_ref> files,
                                           std::vector<fs::ranged_item> items,
                                           const fs::read_many_options& options) {
  PARKRING_CHECK(options.max_in_flight > 0, "let read_many have at least one read in flight");
  PARKRING_CHECK(options.window > 0, "let read_many sort at least one range at a time");
  return fs::read_many_stream(
      many_reads_ref(*new many_reads(std::move(files), std::move(items), options)));
}

// ---- readers ----

bool many_reads::has_room() const noexcept {
  if (ended_ || all_claimed()) return false;
  if (in_order()) return window_of(next_) <= window_of(taken_) + 1;
  return delivered_.size() < how_.max_in_flight;
}

many_reads::run many_reads::run_from(std::size_t first, std::size_t limit) const noexcept {
  const fs::ranged_item& one = items_[first];
  run r{.first = first, .last = first + 1, .begin = one.offset, .file = one.file};
  const auto& f = state_of(file(one.file));
  const std::uint64_t block = f.offset_alignment;
  if (f.kind == fs::file_kind::stream) r.refused = ESPIPE;
  if (one.offset > last_offset || one.length > last_offset - one.offset) r.refused = EINVAL;
  r.end = one.offset + one.length;
  if (r.refused != 0) return r;
  const auto up = [block](std::uint64_t at) {
    const std::uint64_t over = at % block;
    return over == 0 || at > last_offset - block ? at : at + block - over;
  };
  if (one.length != 0) {
    r.begin -= r.begin % block;
    r.end = up(r.end);
  }
  while (r.last != limit) {
    const fs::ranged_item& other = items_[r.last];
    if (other.file != r.file || other.length > last_offset - std::min(other.offset, last_offset))
      break;
    if (other.length == 0 || one.length == 0) break;
    const std::uint64_t end = std::max(r.end, up(other.offset + other.length));
    if (end - r.begin > how_.longest_read) break;
    if (other.offset > r.end && other.offset - r.end > how_.merge_gap) break;
    r.end = end;
    ++r.last;
  }
  return r;
}

bool many_reads::claim(run& out) noexcept {
  if (!has_room()) return false;
  const std::size_t limit =
      in_order() ? std::min(items_.size(), (window_of(next_) + 1) * how_.window) : items_.size();
  out = run_from(next_, limit);
  next_ = out.last;
  if (out.last - out.first > 1) counts.merged += out.last - out.first;
  return true;
}

void many_reads::one_more() noexcept {
  if (!has_room()) return;
  if (waiter* const w = idle_.pop_front()) return core_->ready.push_back(*w);
  if (readers_.size() >= how_.max_in_flight) return;
  // Readers belong to the stream, not to who happens to ask first: a deadline that this one has is
  // none of theirs.
  struct nobody {
    core_base& core;
    task_cell* const before = std::exchange(core.current, nullptr);
    ~nobody() { core.current = before; }
  } const asks{*core_};
  try {
    ++references;
    readers_.push_back(begin_reader(many_reads_ref(*this)));
  } catch (...) {
    // Fewer readers are enough, if there are any.
    if (readers_.empty()) fail(std::current_exception());
  }
}

void many_reads::tell() noexcept {
  if (waiter* const w = std::exchange(asks_, nullptr)) core_->ready.push_back(*w);
}

void many_reads::deliver(finished&& f) {
  if (!in_order()) {
    delivered_.push_back(std::move(f));
    return tell();
  }
  bool due = false;
  for (std::size_t i = f.of.first; i != f.of.last; ++i) {
    const std::size_t index = items_[i].index;
    slots_[index % slots_.size()] = part_of(f, i);
    due |= index == taken_;
  }
  if (due) tell();
}

void many_reads::fail(std::exception_ptr why) noexcept {
  if (!broken_) broken_ = std::move(why);
  tell();
}

// ---- who asks ----

bool many_reads::answerable() const noexcept {
  if (broken_ || ended_ || taken_ == items_.size()) return true;
  if (in_order()) return slots_[taken_ % slots_.size()].has_value();
  return current_ || !delivered_.empty();
}

void many_reads::check_thread() {
  if (core_ == nullptr) {
    core_ = &running_core();
    pin_running_task(*core_);
    readers_.reserve(std::min(how_.max_in_flight, items_.size()));
  }
  PARKRING_CHECK(core_ == &running_core(),
                 "ask for the parts of a read_many on the runtime on which it was first asked");
}

void many_reads::wait_for_part(waiter& w) {
  PARKRING_CHECK(asks_ == nullptr, "one waiter at a time asks a read_many for a part");
  asks_ = &w;
  if (readers_.empty()) one_more();
}

fs::read_part many_reads::part_of(finished& f, std::size_t i) {
  const fs::ranged_item& item = items_[i];
  fs::read_part p;
  p.index = item.index;
  p.range = {item.offset, static_cast<std::size_t>(item.length)};
  if (f.failed != 0) {
    p.error_ = std::make_unique<const error>(failure_of(f.failed, file(item.file), p.range));
    return p;
  }
  const std::uint64_t skipped = item.offset - f.of.begin;
  const std::uint64_t there = std::min(f.of.begin + f.got, item.offset + item.length);
  const std::size_t n = there > item.offset ? static_cast<std::size_t>(there - item.offset) : 0;
  buffer_block* const block = buffer_access::block(f.memory);
  if (block == nullptr) return p;
  if (f.of.last - f.of.first == 1 && skipped == 0) {
    block->size = n;
    p.memory_ = std::move(f.memory);
  } else if (n != 0) {
    p.memory_ = buffer_access::make(make_part(*block, block->data + skipped, n));
  }
  return p;
}

std::optional<fs::read_part> many_reads::give(fs::read_part&& p) {
  ++taken_;
  if (how_.stop_at_error && p.error_ != nullptr) {
    end();
    stopped_by = std::move(p.error_);
    return std::nullopt;
  }
  if (taken_ == items_.size()) files_.clear();
  return std::optional<fs::read_part>(std::move(p));
}

std::optional<fs::read_part> many_reads::take_as_read() {
  if (!current_) {
    current_ = delivered_.pop_front();
    at_ = current_->of.first;
    // Not with each that is taken: readers then have something to do for a while.
    if (delivered_.size() == how_.max_in_flight / 2) one_more();
  }
  fs::read_part p = part_of(*current_, at_);
  if (++at_ == current_->of.last) current_.reset();
  return give(std::move(p));
}

std::optional<fs::read_part> many_reads::take_in_order() {
  auto& slot = slots_[taken_ % slots_.size()];
  fs::read_part p = *std::move(slot);
  slot.reset();
  std::optional<fs::read_part> out = give(std::move(p));
  if (taken_ % how_.window == 0) one_more();
  return out;
}

std::optional<fs::read_part> many_reads::take() {
  if (broken_) {
    const std::exception_ptr why = std::exchange(broken_, nullptr);
    end();
    std::rethrow_exception(why);
  }
  if (abandoned_) throw task_aborted();
  if (ended_ || taken_ == items_.size()) return std::nullopt;
  PARKRING_CHECK(answerable(), "one at a time asks a read_many for a part");
  return in_order() ? take_in_order() : take_as_read();
}

void many_reads::end() noexcept {
  ended_ = true;
  readers_.clear();
  files_.clear();
}

void many_reads::abandon() noexcept {
  abandoned_ = true;
  end();
  tell();
}

many_reads_ref::many_reads_ref(const many_reads_ref& other) noexcept : of_(other.of_) {
  if (of_ != nullptr) ++of_->references;
}
void many_reads_ref::let_go() noexcept {
  if (--of_->references == 0) delete of_;
}

next_part_awaiter::~next_part_awaiter() {
  if (of_.get() != nullptr) of_->stop_waiting(*this);
}

bool next_part_awaiter::await_ready() {
  PARKRING_CHECK(of_.get() != nullptr, "this read_many was moved from");
  of_->check_thread();
  return of_->answerable() && running_core().spend_budget();
}

void next_part_awaiter::await_suspend(std::coroutine_handle<> h) {
  core_base& core = running_core();
  if (of_->answerable()) return core.make_ready(*this, h);  // out of budget
  frame = h.address();
  task = core.current;
  of_->wait_for_part(*this);
  note_.begin(core.notes, *this, "parts of read_many");
}

std::optional<fs::read_part> next_part_awaiter::await_resume() {
  std::optional<fs::read_part> p = of_->take();
  if (!p && of_->stopped_by != nullptr) [[unlikely]]
    throw io_error(*std::exchange(of_->stopped_by, nullptr));
  return p;
}

std::expected<std::optional<fs::read_part>, error> next_part_awaiter::await_outcome() {
  std::optional<fs::read_part> p = of_->take();
  if (!p && of_->stopped_by != nullptr)
    return std::unexpected(*std::exchange(of_->stopped_by, nullptr));
  return p;
}

}  // namespace parkring::detail

namespace parkring::fs {

namespace {

void check_number(std::size_t ranges) {
  PARKRING_CHECK(ranges < std::numeric_limits<std::uint32_t>::max(),
                 "read_many takes fewer than 2^32 ranges; make several of them");
}

}  // namespace

read_many_stream& read_many_stream::operator=(read_many_stream&& other) noexcept {
  if (this != &other) {
    if (reads_.get() != nullptr) reads_->abandon();
    reads_ = std::move(other.reads_);
  }
  return *this;
}

read_many_stream::~read_many_stream() {
  if (reads_.get() != nullptr) reads_->abandon();
}

read_many_counts read_many_stream::counts() const noexcept {
  return reads_.get() != nullptr ? reads_->counts : read_many_counts{};
}

read_many_stream read_many(file& from, std::span<const range> ranges,
                           const read_many_options& options) {
  check_number(ranges.size());
  std::vector<detail::file_ref> files;
  files.push_back(reference_to(from));
  std::vector<ranged_item> items;
  items.reserve(ranges.size());
  std::uint32_t index = 0;
  for (const range& r : ranges) items.push_back({r.offset, r.length, 0, index++});
  return detail::many_reads::stream_of(std::move(files), std::move(items), options);
}

read_many_stream read_many(std::span<const file_range> ranges, const read_many_options& options) {
  check_number(ranges.size());
  std::vector<detail::file_ref> files;
  std::vector<ranged_item> items;
  items.reserve(ranges.size());
  // Lists tend to name the same file again and again.
  std::vector<std::pair<const detail::file_state_base*, std::uint32_t>> known;
  std::uint32_t index = 0, last = 0;
  for (const file_range& r : ranges) {
    detail::file_ref one = reference_to(r.of);
    if (files.empty() || files[last].get() != one.get()) {
      const auto less = [](const auto& k, const detail::file_state_base* s) {
        return std::less<>()(k.first, s);
      };
      auto at = std::lower_bound(known.begin(), known.end(), one.get(), less);
      if (at == known.end() || at->first != one.get()) {
        at = known.insert(at, {one.get(), static_cast<std::uint32_t>(files.size())});
        files.push_back(std::move(one));
      }
      last = at->second;
    }
    items.push_back({r.range.offset, r.range.length, last, index++});
  }
  return detail::many_reads::stream_of(std::move(files), std::move(items), options);
}

}  // namespace parkring::fs
