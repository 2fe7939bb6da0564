// Writes of parts of blocks.
//
// A block of which only a part is written is read, changed and written as a whole. So a write
// covers whole blocks, `span`, of which the first and the last may have bytes that are not its own,
// and two writes must not do that to one block at the same time:
//
//   active   a write is entered in `writes` with its span from before its first request until after
//            its last. Where two spans overlap, and one of them has edges, the later one waits for
//            the earlier. Writes without edges wait for none of their kind. A truncate is entered
//            as a write with edges of all behind the new end.
//   dropped  a write with edges goes on as a task of its own (`shield`) and stays entered until the
//            kernel has done all of it: otherwise a block of it with old bytes of its neighbours
//            could reach the device after they were written anew. What changes the size does so,
//            too: otherwise `size` would not be told.
//
// The end. A last block that is written as a whole makes the file too long, and it is cut again.
// Writes that need this hold `extent` alone, as truncates do; those that make the file longer
// without it share it. Order: `extent`, then the entry in `writes`, and none waits for `extent`
// that is entered. A write that waited to be entered may have become one that makes the file longer
// meanwhile, and begins anew.
//
// `size` is what the file's size is once those who hold `extent` are done. Others may change it, by
// `handle` for one, so who will cut the file looks at it before.
#include <parkring/fs/direct_file.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <list>

#include <parkring/as_result.hpp>
#include <parkring/blocking.hpp>
#include <parkring/event.hpp>
#include <parkring/shield.hpp>
#include <parkring/sync/mutex.hpp>

#include "exec/core.hpp"
#include "fs/data/part_request.hpp"
#include "fs/file_state.hpp"
#include "fs/rw_error.hpp"

namespace parkring::detail {

struct direct_state {
  struct span {
    std::uint64_t begin, end;
    bool edges;
    std::shared_ptr<event> ended{};  // made by who waits for it
  };

  fs::file handle;
  file_ref file;  // the same
  bool direct = false;
  std::uint64_t block = 1;
  std::uint64_t memory = 1;
  std::uint64_t size = 0;
  shared_mutex extent;
  std::list<span> writes;
  fs::direct_counts counts;

  [[nodiscard]] std::uint64_t down(std::uint64_t at) const noexcept { return at - at % block; }
  [[nodiscard]] std::uint64_t up(std::uint64_t at) const noexcept { return down(at + (block - 1)); }
  [[nodiscard]] bool fits(const std::byte* data) const noexcept {
    return reinterpret_cast<std::uintptr_t>(data) % memory == 0;
  }
  [[nodiscard]] buffer bounce(std::uint64_t bytes) const {
    return buffer(static_cast<std::size_t>(bytes), alignment{static_cast<std::size_t>(memory)});
  }
};

namespace {

using state_ref = std::shared_ptr<direct_state>;
using counter = std::uint64_t fs::direct_counts::*;

// More at once would keep more memory, and not be faster.
constexpr std::uint64_t longest_bounce = std::uint64_t{1} << 20;
// From so many aligned bytes on it pays to read or write the edges by requests of their own.
constexpr std::uint64_t worth_splitting = std::uint64_t{128} << 10;

[[nodiscard]] file_state_base& open_file_of(const direct_state& s) {
  if (s.file.get() == nullptr)
    throw io_error(error(EBADF, "direct_file", "", "it was closed meanwhile; open it again"));
  return *s.file.get();
}

// The entry of a write; see above.
class entered {
 public:
  explicit entered(direct_state& s) noexcept : s_(s) {}
  entered(const entered&) = delete;
  entered& operator=(const entered&) = delete;
  ~entered() { leave(); }
  void leave() noexcept {
    if (!std::exchange(in_, false)) return;
    if (at_->ended != nullptr) at_->ended->set();
    s_.writes.erase(at_);
  }
  /// Null once it is entered; else the end of a write that it must wait for.
  [[nodiscard]] std::shared_ptr<event> enter(std::uint64_t begin, std::uint64_t end, bool edges) {
    for (auto& w : s_.writes) {
      if (w.begin >= end || w.end <= begin || !(w.edges || edges)) continue;
      if (w.ended == nullptr) w.ended = std::make_shared<event>();
      return w.ended;
    }
    s_.writes.push_front({begin, end, edges});
    at_ = s_.writes.begin();
    in_ = true;
    return nullptr;
  }

 private:
  direct_state& s_;
  std::list<direct_state::span>::iterator at_;
  bool in_ = false;
};

// Block devices have another size than that which statx(2) gives, and it does not change.
task<> look_at_size(direct_state& s) {
  if (state_of(open_file_of(s)).kind == fs::file_kind::regular) s.size = co_await s.handle.size();
}
task<std::uint64_t> size_of_device(const direct_state& s) {
  base::owned_fd fd(::fcntl(state_of(open_file_of(s)).fd.get(), F_DUPFD_CLOEXEC, 0));
  auto ask = [fd = std::move(fd)] { return ::lseek(fd.get(), 0, SEEK_END); };
  const off_t end = co_await blocking(std::move(ask));
  co_return end < 0 ? 0 : static_cast<std::uint64_t>(end);
}

[[noreturn]] void fail_stuck(const direct_state& s) {
  throw io_error(error(EIO, "write_at", state_of(open_file_of(s)).path.native(),
                       "the device takes no more bytes"));
}

void check_range(const direct_state& s, direction way, std::uint64_t offset, std::size_t count) {
  if (offset <= INT64_MAX && count <= INT64_MAX - offset) return;
  throw io_error(
      fs::rw_error(EINVAL, state_of(open_file_of(s)), way, ~std::uint64_t{0}, count, nullptr));
}

// Bytes of the caller's memory, in place. Gives how many were read: fewer at the end of the file.
task<std::size_t> straight(direct_state& s, direction way, buffer& part, std::size_t from,
                           std::size_t count, std::uint64_t offset,
                           counter counted = &fs::direct_counts::straight) {
  std::size_t done = 0;
  while (done < count) {
    fs::rw_operation<fs::locking> request(
        fs::part_request(open_file_of(s), way, part, from + done, count - done, offset + done),
        fs::locking{});
    ++(s.counts.*counted);
    const std::size_t n = co_await std::move(request);
    done += n;
    if (done == count) break;
    // A part of a block: the end of the file, or of the device.
    if (way == direction::write && (n == 0 || done % s.block != 0)) fail_stuck(s);
    if (n == 0 || done % s.block != 0) break;
  }
  co_return done;
}

// ---- reading ----

task<std::size_t> read_bounced(direct_state& s, std::byte* to, std::size_t count,
                               std::uint64_t offset) {
  std::size_t done = 0;
  while (done < count) {
    const std::uint64_t at = offset + done, begin = s.down(at);
    const std::uint64_t end = std::min(s.up(offset + count), begin + longest_bounce);
    buffer between = s.bounce(end - begin);
    const std::size_t n = co_await straight(s, direction::read, between, 0, between.size(), begin,
                                            &fs::direct_counts::bounced);
    const auto skipped = static_cast<std::size_t>(at - begin);
    if (n > skipped) {
      const std::size_t useful = std::min(n - skipped, count - done);
      std::memcpy(to + done, between.bytes().data() + skipped, useful);
      s.counts.copied += useful;
      done += useful;
    }
    if (n < between.size()) break;
  }
  co_return done;
}

task<std::size_t> read_any(state_ref s, buffer part, std::uint64_t offset) {
  const std::size_t count = part.size();
  check_range(*s, direction::read, offset, count);
  if (count == 0) co_return 0;
  std::byte* const data = buffer_access::block(part)->data;
  const std::uint64_t end = offset + count;
  if (offset % s->block == 0 && end % s->block == 0 && s->fits(data))
    co_return co_await straight(*s, direction::read, part, 0, count, offset);
  const std::uint64_t inner = s->up(offset), inner_end = s->down(end);
  if (inner_end < inner + worth_splitting || !s->fits(data + (inner - offset)))
    co_return co_await read_bounced(*s, data, count, offset);
  const auto head = static_cast<std::size_t>(inner - offset);
  const auto middle = static_cast<std::size_t>(inner_end - inner);
  std::size_t n = co_await read_bounced(*s, data, head, offset);
  if (n < head) co_return n;
  n += co_await straight(*s, direction::read, part, head, middle, inner);
  if (n < head + middle) co_return n;
  n += co_await read_bounced(*s, data + n, count - n, inner_end);
  co_return n;
}

// ---- writing ----

// The block at `at` as it is, with zeros behind the end of the file.
task<> read_edge(direct_state& s, std::byte* to, std::uint64_t at) {
  buffer edge = s.bounce(s.block);
  std::size_t n = 0;
  if (at < s.size) {
    n = co_await straight(s, direction::read, edge, 0, edge.size(), at, &fs::direct_counts::edges);
  }
  std::memcpy(to, edge.bytes().data(), n);
  std::memset(to + n, 0, edge.size() - n);
}

// Bytes [offset, offset + count), by whole blocks.
task<> write_bounced(direct_state& s, const std::byte* from, std::size_t count,
                     std::uint64_t offset) {
  const std::uint64_t end = offset + count;
  std::uint64_t at = offset;
  while (at < end) {
    const std::uint64_t begin = s.down(at), stop = std::min(s.up(end), begin + longest_bounce);
    buffer between = s.bounce(stop - begin);
    std::byte* const memory = buffer_access::block(between)->data;
    const std::uint64_t last = stop - s.block;
    if (begin < at) co_await read_edge(s, memory, begin);
    if (end < stop && (last != begin || begin == at))
      co_await read_edge(s, memory + (last - begin), last);
    const auto n = static_cast<std::size_t>(std::min(stop, end) - at);
    std::memcpy(memory + (at - begin), from + (at - offset), n);
    s.counts.copied += n;
    (void)co_await straight(s, direction::write, between, 0, between.size(), begin,
                            &fs::direct_counts::bounced);
    at += n;
  }
}

// What needs a buffer in between; runs to its end once it has begun.
task<> write_with_edges(state_ref s, buffer part, std::uint64_t offset) {
  const std::size_t count = part.size();
  const std::byte* const data = buffer_access::block(part)->data;
  const std::uint64_t end = offset + count, begin = s->down(offset), stop = s->up(end);
  const bool edges = begin != offset || stop != end;
  shared_mutex::guard alone;
  entered entry(*s);
  for (;;) {
    if (stop > s->size) alone = co_await s->extent.lock();
    while (auto other = entry.enter(begin, stop, edges)) co_await other->wait();
    if (stop <= s->size || alone.owns_lock()) break;
    entry.leave();  // the file was cut meanwhile
  }
  if (alone.owns_lock()) co_await look_at_size(*s);

  const std::uint64_t inner = s->up(offset), inner_end = s->down(end);
  if (inner_end < inner + worth_splitting || !s->fits(data + (inner - offset))) {
    co_await write_bounced(*s, data, count, offset);
  } else {
    const auto head = static_cast<std::size_t>(inner - offset);
    const auto middle = static_cast<std::size_t>(inner_end - inner);
    if (head != 0) co_await write_bounced(*s, data, head, offset);
    (void)co_await straight(*s, direction::write, part, head, middle, inner);
    if (inner_end != end)
      co_await write_bounced(*s, data + head + middle, count - head - middle, inner_end);
  }
  const std::uint64_t size = std::max(s->size, end);
  if (stop > size) co_await s->handle.truncate(size);
  s->size = size;
}

// What needs none.
task<> write_blocks(state_ref s, buffer part, std::uint64_t offset) {
  const std::size_t count = part.size();
  const std::uint64_t end = offset + count;
  shared_mutex::shared_guard longer;
  entered entry(*s);
  for (;;) {
    if (end > s->size) longer = co_await s->extent.lock_shared();
    while (auto other = entry.enter(offset, end, false)) co_await other->wait();
    if (end <= s->size || longer.owns_lock()) break;
    entry.leave();  // the file was cut meanwhile
  }
  (void)co_await straight(*s, direction::write, part, 0, count, offset);
  s->size = std::max(s->size, end);
}

task<> write_any(state_ref s, buffer part, std::uint64_t offset) {
  const std::size_t count = part.size();
  check_range(*s, direction::write, offset, count);
  if (count == 0) co_return;
  const std::uint64_t end = offset + count;
  if (offset % s->block != 0 || end % s->block != 0 || !s->fits(buffer_access::block(part)->data)) {
    task<> whole = write_with_edges(s, std::move(part), offset);
    co_await shield(std::move(whole));
  } else {
    const bool grows = end > s->size;
    task<> whole = write_blocks(std::move(s), std::move(part), offset);
    if (grows)
      co_await shield(std::move(whole));
    else
      co_await std::move(whole);
  }
}

task<> truncate_alone(state_ref s, std::uint64_t size) {
  const auto alone = co_await s->extent.lock();
  const std::uint64_t begin = s->down(std::min(size, s->size));
  entered entry(*s);
  while (auto other = entry.enter(begin, UINT64_MAX, true)) co_await other->wait();
  (void)open_file_of(*s);
  co_await s->handle.truncate(size);
  s->size = size;
}
task<> truncate_to(state_ref s, std::uint64_t size) {
  task<> whole = truncate_alone(std::move(s), size);
  co_await shield(std::move(whole));
}

// After all writes, also those that go on because they were dropped. Who comes later finds no file.
task<> close_after_all(state_ref s) {
  const auto alone = co_await s->extent.lock();
  entered entry(*s);
  while (auto other = entry.enter(0, UINT64_MAX, true)) co_await other->wait();
  (void)open_file_of(*s);
  s->file.reset();
  fs::file handle = std::move(s->handle);
  co_await std::move(handle).close();
}

// The caller's bytes, locked for as long as the part of the buffer exists.
buffer part_of(rw_request q) {
  buffer_block* const block = q.lock.get();
  buffer part;
  if (block == nullptr) return part;
  part = buffer_access::make(make_part(*block, q.data, q.size));
  buffer_access::block(part)->holds_lock_of = q.lock.release();
  return part;
}

}  // namespace

struct direct_open {
  static task<fs::direct_file> open(std::filesystem::path path, fs::open_options options) {
    if (options.append)
      throw io_error(error(EINVAL, "open_direct", path.native(),
                           "appends have no offset, so they cannot be aligned; open without "
                           "`append`"));
    options.direct = true;
    if (options.access == fs::access::write) options.access = fs::access::read_write;
    auto s = std::make_shared<direct_state>();
    auto opened = co_await as_result(fs::open(path, options));
    if (!opened && opened.error().number() == EINVAL) {
      options.direct = false;
      // It was new: that is looked at before what it can do.
      if (options.creation == fs::creation::must_be_new)
        options.creation = fs::creation::if_missing;
      opened = co_await as_result(fs::open(path, options));
    }
    if (!opened) throw io_error(std::move(opened).error());
    s->handle = std::move(*opened);
    s->file = fs::reference_to(s->handle);
    s->direct = options.direct;
    s->block = s->handle.offset_alignment();
    s->memory = s->handle.memory_alignment();
    if (state_of(*s->file.get()).kind == fs::file_kind::device)
      s->size = co_await size_of_device(*s);
    else
      s->size = co_await s->handle.size();
    co_return fs::direct_file(std::move(s));
  }
  static task<std::size_t> read(const state_ref& s, rw_request q) {
    const std::uint64_t offset = q.offset;
    return read_any(s, part_of(std::move(q)), offset);
  }
  static task<> write(const state_ref& s, rw_request q) {
    const std::uint64_t offset = q.offset;
    return write_any(s, part_of(std::move(q)), offset);
  }
};

}  // namespace parkring::detail

namespace parkring::fs {
namespace {

task<> shielded(task<> t) { co_await shield(std::move(t)); }

}  // namespace

bool direct_file::is_direct() const noexcept { return state_ != nullptr && state_->direct; }
std::size_t direct_file::block() const noexcept {
  return state_ == nullptr ? 1 : static_cast<std::size_t>(state_->block);
}
std::size_t direct_file::memory_alignment() const noexcept {
  return state_ == nullptr ? 1 : static_cast<std::size_t>(state_->memory);
}
std::uint64_t direct_file::size() const noexcept { return state_ == nullptr ? 0 : state_->size; }
direct_counts direct_file::counts() const noexcept {
  return state_ == nullptr ? direct_counts{} : state_->counts;
}
file& direct_file::handle() noexcept {
  PARKRING_CHECK(state_ != nullptr, "the file is empty or moved from; open it first");
  return state_->handle;
}

task<std::size_t> direct_file::read_at(buffer& into, std::uint64_t offset) {
  return read_at(into, offset, into.size());
}
task<std::size_t> direct_file::read_at(buffer& into, std::uint64_t offset, std::size_t count) {
  return detail::direct_open::read(state_, handle().read_at(into, offset, count).take_request());
}
task<> direct_file::write_at(const buffer& from, std::uint64_t offset) {
  return write_at(from, offset, from.size());
}
task<> direct_file::write_at(const buffer& from, std::uint64_t offset, std::size_t count) {
  return detail::direct_open::write(state_, handle().write_at(from, offset, count).take_request());
}
task<> direct_file::truncate(std::uint64_t size) {
  PARKRING_CHECK(state_ != nullptr, "the file is empty or moved from; open it first");
  return detail::truncate_to(state_, size);
}
task<> direct_file::close() && {
  PARKRING_CHECK(state_ != nullptr, "the file is empty or moved from; open it first");
  task<> whole = detail::close_after_all(std::move(state_));
  return shielded(std::move(whole));
}

task<direct_file> open_direct(std::filesystem::path path, open_options options) {
  return detail::direct_open::open(std::move(path), options);
}

}  // namespace parkring::fs
