// The life of a `vector_transfer` is written down in <parkring/detail/vector_transfer.hpp>.
#include <parkring/fs/vectored.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <parkring/as_result.hpp>

#include "exec/core.hpp"
#include "fs/data/part_request.hpp"
#include "fs/file_state.hpp"
#include "fs/rw_error.hpp"
#include "kernel/abi.hpp"

namespace parkring::detail {
namespace {

namespace abi = kernel::abi;

// Of preadv2(2).
constexpr std::uint32_t rwf_dsync = 0x2, rwf_append = 0x10, rwf_atomic = 0x40, rwf_dontcache = 0x80;

static_assert(sizeof(transfer_part) == sizeof(iovec) &&
              offsetof(transfer_part, data) == offsetof(iovec, iov_base) &&
              offsetof(transfer_part, size) == offsetof(iovec, iov_len));

struct vector_payload {
  std::unique_ptr<vector_transfer> what;
};

template <direction Way>
void prepare(record& r, abi::sqe& e) noexcept {
  constexpr bool read = Way == direction::read;
  const vector_transfer& t = *r.as<vector_payload>().what;
  const auto& f = state_of(*t.file.get());
  e.fd = f.descriptor;
  if (at_home(f)) {
    e.fd = f.ring_target;
    e.flags = f.ring_flags;
  }
  const auto parts = std::span(t.parts).subspan(t.first);
  if (parts.size() == 1) {
    e.opcode = read ? abi::op_read : abi::op_write;
    e.addr = reinterpret_cast<std::uint64_t>(parts[0].data);
    e.len = static_cast<std::uint32_t>(std::min(parts[0].size, longest_transfer));
  } else {
    e.opcode = read ? abi::op_readv : abi::op_writev;
    e.addr = reinterpret_cast<std::uint64_t>(parts.data());
    e.len = static_cast<std::uint32_t>(std::min(parts.size(), fs::most_parts));
  }
  e.off = f.stream != nullptr ? ~std::uint64_t{0} : t.offset;
  e.rw_flags = t.flags;
  e.ioprio = t.priority;
}

template <direction Way>
after_completion complete(record& r, op_waiter* w, std::int32_t res, std::uint32_t, bool) noexcept {
  auto& p = r.as<vector_payload>();
  const bool wanted =
      w != nullptr || (Way == direction::write && r.cancel_wanted == cancel_wish::none);
  if (res == -EINTR && wanted) return after_completion::resubmit;
  // A wish only: nothing depends on it.
  if (res == -EOPNOTSUPP && (p.what->flags & rwf_dontcache) != 0 && wanted) {
    p.what->flags &= ~rwf_dontcache;
    return after_completion::resubmit;
  }
  if (w != nullptr) static_cast<vector_waiter*>(w)->back = std::move(p.what);
  return after_completion::finish;
}

template <direction Way>
constexpr record_type vector_type = {
    .name = Way == direction::read ? "readv_at" : "writev_at",
    .prepare = &prepare<Way>,
    .complete = &complete<Way>,
    .destroy = [](record& r) noexcept { r.as<vector_payload>().~vector_payload(); },
    .cancel_when_dropped =
        [](const record& r) noexcept {
          return state_of(*r.as<vector_payload>().what->file.get()).kind != fs::file_kind::regular;
        },
    .describe =
        [](const record& r, std::string& out) {
          const vector_transfer& t = *r.as<vector_payload>().what;
          out += Way == direction::read ? "readv_at(" : "writev_at(";
          out += state_of(*t.file.get()).path.native() + ", offset " + std::to_string(t.offset) +
                 ", " + std::to_string(t.bytes_left()) + " bytes in " +
                 std::to_string(t.parts.size() - t.first) + " parts)";
        },
    .facts =
        [](const record& r, request_facts& out) noexcept {
          const vector_transfer& t = *r.as<vector_payload>().what;
          out = {.path = state_of(*t.file.get()).path.native(),
                 .offset = t.offset,
                 .length = t.bytes_left()};
        },
    .has_effect = Way == direction::write,
};

std::uint16_t number_of(fs::io_priority p) noexcept {
  // IOPRIO_PRIO_VALUE of ioprio_set(2).
  const auto kind = static_cast<unsigned>(p.of);
  return kind == 0 ? std::uint16_t{0}
                   : static_cast<std::uint16_t>(kind << 13 | std::min<unsigned>(p.level, 7));
}

template <class Block>
void add_locked(vector_transfer& t, const buffer& b, Block&& lock) {
  buffer_block* const block = buffer_access::block(b);
  if (block == nullptr) return;
  if (!lock(*block)) throw_locked(*block);
  t.locks.push_back(block_lock(block));
  t.parts.push_back({block->data, block->size});
}

}  // namespace

void vector_transfer::lock(buffer& b) {
  add_locked(*this, b, [this](buffer_block& block) {
    return block.lock_exclusive(locker_for(*file.get()), nullptr);
  });
}
void vector_transfer::lock(const buffer& b) {
  add_locked(*this, b, [this](buffer_block& block) {
    return block.lock_shared(locker_for(*file.get()), nullptr);
  });
}

std::size_t vector_transfer::bytes_left() const noexcept {
  std::size_t n = 0;
  for (std::size_t i = first; i < parts.size(); ++i) n += parts[i].size;
  return n;
}

void vector_transfer::advance(std::size_t n) noexcept {
  offset += n;
  while (first < parts.size() && n >= parts[first].size) n -= parts[first++].size;
  if (n == 0) return;
  parts[first].data += n;
  parts[first].size -= n;
}

file_ref transfer_file(fs::file& file) { return fs::reference_to(file); }

void set_options(vector_transfer& t, const fs::read_options& how) noexcept {
  if (how.dontcache) t.flags |= rwf_dontcache;
  t.priority = number_of(how.priority);
}
void set_options(vector_transfer& t, const fs::write_options& how) noexcept {
  if (how.dsync) t.flags |= rwf_dsync;
  if (how.dontcache) t.flags |= rwf_dontcache;
  if (how.append) t.flags |= rwf_append;
  if (how.atomic) t.flags |= rwf_atomic;
  t.priority = number_of(how.priority);
}

vector_request_base::vector_request_base(std::unique_ptr<vector_transfer> t)
    : what(std::move(t)),
      file(what->file.share()),
      offset(what->offset),
      size(what->bytes_left()),
      number(what->parts.size() - what->first),
      way(what->way) {}

bool vector_request_base::ready(op_waiter& w) noexcept {
  const auto& f = state_of(*file.get());
  PARKRING_CHECK(what != nullptr, "an operation is awaited once");
  PARKRING_CHECK(usable_on(f, running_core()),
                 "await a file's requests on the runtime it belongs to");
  if (f.closed) {
    w.answer = -EBADF;
  } else if (offset > INT64_MAX || (number > fs::most_parts && !what->in_steps)) {
    w.answer = -EINVAL;
  } else if (f.stream != nullptr && way == direction::read) {
    w.answer = -ESPIPE;
  } else {
    if (f.team != 0)
      for (const block_lock& l : what->locks) lock_here(*l.get());
    return false;
  }
  return true;
}

record* vector_request_base::make(op_waiter&) noexcept {
  auto& core = core_for(*file.get());
  record* const r = core.ops.acquire(way == direction::read ? vector_type<direction::read>
                                                            : vector_type<direction::write>);
  if (r == nullptr) return nullptr;
  ++core.counted.unregistered_buffers;
  r->emplace<vector_payload>(std::move(what));
  return r;
}

void vector_request_base::start(op_waiter& w) noexcept {
  auto& ops = core_for(*file.get()).ops;
  record* const r = make(w);
  if (r == nullptr) return ops.starve(w);
  ops.submit(*r, &w);
}

error vector_request_base::failure(int number_of_error) const {
  const auto& f = state_of(*file.get());
  const error single = fs::rw_error(number_of_error, f, way, offset, size, nullptr);
  std::string advice = single.advice();
  if (number_of_error == EINVAL && number > fs::most_parts)
    advice = "a request takes at most " + std::to_string(fs::most_parts) +
             " parts; make several, or use writev_all_at";
  else if (number_of_error == EOPNOTSUPP)
    advice =
        "the kernel or the file system does not have an option that was asked for; atomic "
        "writes need direct I/O and sizes that atomic_write_limits tells";
  else if (number_of_error == ESPIPE)
    advice = "a pipe or terminal has no position; use read_at";
  else if (number_of_error == EPERM)
    advice = "a realtime priority needs CAP_SYS_ADMIN or CAP_SYS_NICE";
  return {number_of_error, way == direction::read ? "readv_at" : "writev_at",
          single.subject() + " in " + std::to_string(number) + " parts", std::move(advice)};
}

namespace {

// Gives the transfer itself back.
struct step_request : vector_request_base {
  using value_type = std::pair<std::unique_ptr<vector_transfer>, std::size_t>;
  using vector_request_base::vector_request_base;
  std::expected<value_type, error> value(op_waiter& w) const {
    return value_type{std::move(static_cast<vector_waiter&>(w).back),
                      static_cast<std::size_t>(w.answer)};
  }
};

// Of reads, only one piece of memory is read to its end.
const char* name_of_whole(const vector_transfer& t) noexcept {
  if (t.way == direction::read) return "read_exactly_at";
  return t.parts.size() == 1 ? "write_all_at" : "writev_all_at";
}

[[noreturn]] void fail_whole(const error& e, const char* name, std::size_t done, std::size_t size) {
  error whole(e.number(), name, e.subject(),
              "after " + std::to_string(done) + " of " + std::to_string(size) + " bytes" +
                  (e.advice().empty() ? "" : "; " + e.advice()));
  whole.set_transferred(done);
  throw io_error(std::move(whole));
}

}  // namespace

task<std::unique_ptr<vector_transfer>> transfer_all(std::unique_ptr<vector_transfer> t) {
  const std::size_t size = t->bytes_left();
  const bool reads = t->way == direction::read;
  const char* const name = name_of_whole(*t);
  std::size_t done = 0;
  t->in_steps = true;
  t->advance(0);  // over empty parts
  while (t->first < t->parts.size()) {
    simple_operation<step_request, vector_waiter> step(step_request(std::move(t)));
    auto one = co_await as_result(std::move(step));
    if (!one) fail_whole(one.error(), name, done, size);
    t = std::move(one->first);
    const std::size_t n = one->second;
    if (n == 0) {
      const auto& path = state_of(*t->file.get()).path;
      const char* const why = reads ? "the file ends here" : "the device takes no more bytes";
      fail_whole(error(reads ? ENODATA : EIO, name, path.native(), why), name, done, size);
    }
    done += n;
    t->advance(n);
  }
  co_return std::move(t);
}

// ---- atomic_write_limits ----

namespace {

// Newer than the headers of Debian 12: STATX_WRITE_ATOMIC, and where its answer is.
constexpr unsigned statx_write_atomic = 0x10000;
constexpr std::size_t atomic_unit_min_at = 0xa8, atomic_unit_max_at = 0xac;

struct limits_waiter : op_waiter {
  fs::atomic_limits limits;
};

struct limits_payload {
  file_ref file;
  std::unique_ptr<struct statx> answer;
};

const record_type limits_type = {
    .name = "atomic_write_limits",
    .prepare =
        [](record& r, abi::sqe& e) noexcept {
          auto& p = r.as<limits_payload>();
          static constexpr char empty[] = "";
          e.opcode = abi::op_statx;
          e.fd = state_of(*p.file.get()).fd.get();
          e.addr = reinterpret_cast<std::uint64_t>(empty);
          e.len = statx_write_atomic;
          e.off = reinterpret_cast<std::uint64_t>(p.answer.get());
          e.statx_flags = AT_EMPTY_PATH;
        },
    .complete =
        [](record& r, op_waiter* w, std::int32_t res, std::uint32_t, bool) noexcept {
          if (res == -EINTR && w != nullptr) return after_completion::resubmit;
          const struct statx& s = *r.as<limits_payload>().answer;
          if (res >= 0 && w != nullptr && (s.stx_mask & statx_write_atomic) != 0) {
            auto& limits = static_cast<limits_waiter*>(w)->limits;
            const auto* const raw = reinterpret_cast<const std::byte*>(&s);
            std::memcpy(&limits.smallest, raw + atomic_unit_min_at, sizeof limits.smallest);
            std::memcpy(&limits.largest, raw + atomic_unit_max_at, sizeof limits.largest);
          }
          return after_completion::finish;
        },
    .destroy = [](record& r) noexcept { r.as<limits_payload>().~limits_payload(); },
    .cancel_when_dropped = [](const record&) noexcept { return false; },
    .breaks_chain = false,
};

struct limits_request {
  using value_type = fs::atomic_limits;
  file_ref file;
  std::unique_ptr<struct statx> answer;  // until a record has it

  bool ready(op_waiter& w) const noexcept {
    PARKRING_CHECK(usable_on(*file.get(), running_core()),
                   "await a file's requests on the runtime it belongs to");
    if (!state_of(*file.get()).closed) return false;
    w.answer = -EBADF;
    return true;
  }
  record* make(op_waiter&) noexcept {
    record* const r = core_for(*file.get()).ops.acquire(limits_type);
    if (r != nullptr) r->emplace<limits_payload>(file.share(), std::move(answer));
    return r;
  }
  void start(op_waiter& w) noexcept {
    auto& ops = core_for(*file.get()).ops;
    record* const r = make(w);
    if (r == nullptr) return ops.starve(w);
    ops.submit(*r, &w);
  }
  std::expected<fs::atomic_limits, error> value(op_waiter& w) const noexcept {
    return static_cast<limits_waiter&>(w).limits;
  }
  error failure(int number) const {
    return fs::file_error(number, "atomic_write_limits", state_of(*file.get()));
  }
};

task<fs::atomic_limits> ask_for_limits(file_ref file) {
  limits_request request{std::move(file), std::make_unique<struct statx>()};
  simple_operation<limits_request, limits_waiter> asked(std::move(request));
  co_return co_await std::move(asked);
}

}  // namespace

}  // namespace parkring::detail

namespace parkring::fs {

task<atomic_limits> atomic_write_limits(file& of) {
  return detail::ask_for_limits(detail::transfer_file(of));
}

using detail::direction;
using detail::vector_transfer;

namespace {

template <class Buffer, class Options>
std::unique_ptr<vector_transfer> locked(file& f, direction way, std::span<Buffer* const> buffers,
                                        std::uint64_t offset, const Options& how) {
  auto t = std::make_unique<vector_transfer>();
  t->file = detail::transfer_file(f);
  t->way = way;
  t->offset = offset;
  set_options(*t, how);
  t->parts.reserve(buffers.size());
  t->locks.reserve(buffers.size());
  for (Buffer* const b : buffers) t->lock(*b);
  return t;
}

}  // namespace

vectored_operation readv_at(file& from, std::span<buffer* const> into, std::uint64_t offset,
                            const read_options& how) {
  return vectored_operation(
      detail::vector_count_request(locked(from, direction::read, into, offset, how)));
}

vectored_operation writev_at(file& to, std::span<const buffer* const> from, std::uint64_t offset,
                             const write_options& how) {
  return vectored_operation(
      detail::vector_count_request(locked(to, direction::write, from, offset, how)));
}

namespace {

task<> write_whole(std::unique_ptr<vector_transfer> t) {
  (void)co_await detail::transfer_all(std::move(t));
}

}  // namespace

task<> writev_all_at(file& to, std::span<const buffer* const> from, std::uint64_t offset,
                     const write_options& how) {
  return write_whole(locked(to, direction::write, from, offset, how));
}

}  // namespace parkring::fs
