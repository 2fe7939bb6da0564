#include <parkring/detail/rw.hpp>

#include <cstring>

#include "exec/core.hpp"
#include "fs/file_state.hpp"
#include "fs/file_table.hpp"
#include "fs/rw_error.hpp"
#include "kernel/abi.hpp"
#include "op/rw_nowait.hpp"

namespace parkring::detail {

namespace abi = kernel::abi;

namespace {

// An inline try pays while it saves a turn of the ring; from about here on a batch is cheaper.
constexpr std::size_t few_operations = 4;

// Whether the file ends behind the `got` bytes that were read.
[[gnu::noinline]] bool ends_at(const file_state& f, const rw_request& q, long got) noexcept {
  const auto done = static_cast<std::size_t>(got);
  return op::rw_nowait(true, f.fd.get(), q.data + done, q.size - done, q.offset + done) == 0;
}

// Registering costs a system call, so only a file that is used again is worth it.
void register_file(exec::core& core, file_state& f) noexcept {
  constexpr std::uint8_t uses_before_registering = 4;
  if (f.registrable && ++f.ring_uses == uses_before_registering) {
    f.slot = core.service_of<fs::file_table>().add(f.fd.get());
    if (f.slot < 0) f.registrable = false;
  }
  if (f.slot < 0) ++core.counted.unregistered_files;
}

}  // namespace

// A read or write with the kernel. Everything the kernel may touch is in here or counted by it.
struct rw_record {
  file_ref file;
  block_lock lock;
  std::byte* data;
  std::uint64_t offset;
  std::uint32_t size;
  int buffer_index;
  direction way;
  const owner_type* owner = nullptr;
  void* home_of_object;  // in the waiter's frame; set with `owner`, valid while there is a waiter
  alignas(16) std::byte object[owned_capacity];

  // The kernel transfers no more than this at once (MAX_RW_COUNT, read(2)); a longer request ends
  // short, as read and write always may.
  static constexpr std::size_t longest_transfer = 0x7ffff000;

  [[gnu::always_inline]] rw_record(rw_request& q, bool stream, int index) noexcept
      : file(std::move(q.file)),
        lock(std::move(q.lock)),
        data(q.data),
        offset(stream ? ~std::uint64_t{0} : q.offset),
        size(static_cast<std::uint32_t>(std::min(q.size, longest_transfer))),
        buffer_index(index),
        way(q.way) {}
  ~rw_record() {
    if (owner != nullptr) owner->destroy(object);
  }

  static void prepare(record& r, abi::sqe& e) noexcept {
    auto& p = r.as<rw_record>();
    const auto& f = state_of(*p.file.get());
    if (f.slot >= 0) {
      e.fd = f.slot;
      e.flags = abi::iosqe_fixed_file;
    } else {
      e.fd = f.fd.get();
    }
    e.off = p.offset;
    e.addr = reinterpret_cast<std::uint64_t>(p.data);
    e.len = p.size;
    if (p.buffer_index >= 0) {
      e.opcode = p.way == direction::read ? abi::op_read_fixed : abi::op_write_fixed;
      e.buf_index = static_cast<std::uint16_t>(p.buffer_index);
    } else {
      e.opcode = p.way == direction::read ? abi::op_read : abi::op_write;
    }
  }

  // The read that had its turn is over.
  static void pass_turn(fs::stream_queue& s) noexcept {
    s.reading = false;
    // `restart` serves the next from what was left over, or sends it to the kernel.
    if (waiter* behind = s.waiting.pop_front()) {
      auto* op = static_cast<op_waiter*>(behind);
      op->restart(*op);
    }
  }

  static void destroy(record& r) noexcept { end_payload(r); }

  [[gnu::always_inline]] static void end_payload(record& r) noexcept {
    auto& p = r.as<rw_record>();
    if (p.way == direction::write) {
      // Other writes may share the lock; this one is not who has the bytes any more.
      if (buffer_block* block = p.lock.get(); block != nullptr && block->holder == &r)
        block->holder = nullptr;
    } else if (p.file.get() != nullptr) {  // else the waiter has it, and with it the turn
      if (auto& f = state_of(*p.file.get()); f.stream != nullptr) [[unlikely]] {
        const file_ref keep = p.file.share();
        p.~rw_record();
        pass_turn(*f.stream);
        return;
      }
    }
    p.~rw_record();
  }

  static after_completion complete(record& r, op_waiter* w, std::int32_t res, std::uint32_t,
                                   bool) noexcept {
    auto& p = r.as<rw_record>();
    if (w != nullptr) [[likely]] {
      auto& waiting = *static_cast<rw_awaiter*>(w);
      if (p.owner != nullptr) {
        if (res == -EINTR) return after_completion::resubmit;
        std::exchange(p.owner, nullptr)->move(p.home_of_object, p.object);
        waiting.object_away_ = false;
      }
      if (res < 0 || waiting.has_turn_) [[unlikely]] {
        if (res == -EINTR) return after_completion::resubmit;
        p.give_back(waiting);
      }
    } else if (res > 0 && p.way == direction::read) {
      auto& f = state_of(*p.file.get());
      if (f.stream != nullptr) keep_bytes(*f.stream, p.data, static_cast<std::size_t>(res));
    }
    end_payload(r);
    return after_completion::ended;
  }

  // What the waiter needs again: the file, to tell of an error; and for a read of a stream the
  // lock, because until it resumes it may still be dropped, and then gives back the bytes.
  void give_back(rw_awaiter& waiting) noexcept {
    if (waiting.has_turn_) {
      waiting.request_.lock = std::move(lock);
      if (buffer_block* block = waiting.request_.lock.get()) block->holder = nullptr;
    }
    waiting.request_.file = std::move(file);
  }

  // Nobody took what a stream delivered: the next reader does.
  static void keep_bytes(fs::stream_queue& s, const std::byte* data, std::size_t n) noexcept {
    try {
      s.left_over.append(reinterpret_cast<const char*>(data), n);
    } catch (const std::bad_alloc&) {
      PARKRING_CHECK(false, "out of memory while keeping bytes that a dropped read had received");
    }
  }

  static bool cancel_when_dropped(const record& r) noexcept {
    return state_of(*r.as<rw_record>().file.get()).kind != fs::file_kind::regular;
  }

  static void describe(const record& r, std::string& out) {
    const auto& p = r.as<rw_record>();
    fs::describe_rw(out, state_of(*p.file.get()), p.way, p.offset, p.size);
  }

  static void submit(rw_awaiter& w) noexcept { w.submit(); }

  static const record_type read_type;
  static const record_type write_type;
};

const record_type rw_record::read_type = {"read_at",           &prepare,  &complete, &destroy,
                                          &cancel_when_dropped, &describe};
const record_type rw_record::write_type = {"write_at",          &prepare,  &complete, &destroy,
                                           &cancel_when_dropped, &describe, true};

bool rw_awaiter::take_left_over() noexcept {
  auto& s = *state_of(*request_.file.get()).stream;
  if (s.left_over.empty()) return false;
  const std::size_t n = std::min(s.left_over.size(), request_.size);
  std::memcpy(request_.data, s.left_over.data(), n);
  s.left_over.erase(0, n);
  answer = static_cast<std::int32_t>(n);
  return true;
}

[[gnu::always_inline]] inline bool rw_awaiter::try_inline(exec::core& core,
                                                          file_state& f) noexcept {
  const bool read = request_.way == direction::read;
  auto& policy = read ? f.inline_reads : f.inline_writes;
  if (f.inline_first != fs::inline_mode::always && !policy.worth_trying()) return false;
  if (request_.data == nullptr && request_.size != 0) return false;
  const std::size_t n = std::min(request_.size, rw_record::longest_transfer);
  const long got = op::rw_nowait(read, f.fd.get(), request_.data, n, request_.offset);
  // A short inline answer may only mean that the rest would have blocked, so it does not count as
  // an answer, unless the file ends there: then the rest reads as nothing.
  if (got != static_cast<long>(n) && (read || got <= 0) &&
      !(read && got >= 0 && ends_at(f, request_, got))) {
    if (got < 0) {
      ++core.counted.inline_misses;
      if (got == -EOPNOTSUPP)
        policy.give_up();
      else
        policy.miss();
    }
    return false;
  }
  policy.hit();
  ++core.counted.inline_hits;
  answer = static_cast<std::int32_t>(got);
  finished_ = true;
  request_.lock.reset();
  return core.spend_budget();
}

[[gnu::always_inline]] inline record* rw_awaiter::make_record_on(exec::core& core,
                                                                 file_state& f) noexcept {
  const bool read = request_.way == direction::read;
  record* r = core.ops.acquire(read ? rw_record::read_type : rw_record::write_type);
  if (r == nullptr) return nullptr;
  buffer_block* const block = request_.lock.get();
  int index = -1;
  if (block != nullptr) {
    block->holder = r;
    index = core.buffers.index_of(*block);
  }
  if (index < 0) ++core.counted.unregistered_buffers;
  auto& p = r->emplace<rw_record>(request_, f.kind == fs::file_kind::stream, index);
  if (owner_ != nullptr) [[unlikely]] {
    owner_->move(p.object, owned_);
    p.owner = owner_;
    p.home_of_object = owned_;
    p.data = owner_->data(p.object);
    object_away_ = true;
  }
  if (f.slot < 0) [[unlikely]] register_file(core, f);
  return r;
}

[[gnu::always_inline]] inline void rw_awaiter::submit_on(exec::core& core,
                                                         file_state& f) noexcept {
  record* r = make_record_on(core, f);
  if (r == nullptr) return core.ops.starve(*this);
  core.ops.submit_by(*r, this,
                     [](record& rec_, abi::sqe& e) noexcept { rw_record::prepare(rec_, e); });
}

bool rw_awaiter::try_now() noexcept {
  auto& core = exec::this_core();
  auto& f = state_of(*request_.file.get());
  PARKRING_CHECK(f.home_of == core.home_of,
                 "await a file's requests on the runtime it belongs to");
  if (f.closed || request_.offset > INT64_MAX) [[unlikely]] {
    answer = f.closed ? -EBADF : -EINVAL;
    finished_ = true;
    return core.spend_budget();
  }
  if (f.never_inline) return false;
  if (f.inline_first == fs::inline_mode::automatic &&
      (core.ops.live() > few_operations || core.more_ready_than(few_operations)))
    return false;
  return try_inline(core, f);
}

void rw_awaiter::start(std::coroutine_handle<> h) {
  auto& core = exec::this_core();
  if (finished_) return core.make_ready(*this, h);  // out of budget: its turn comes again
  frame = h.address();
  task = core.current;
  restart = [](op_waiter& w) noexcept { rw_record::submit(static_cast<rw_awaiter&>(w)); };
  auto& f = state_of(*request_.file.get());
  if (f.stream != nullptr) [[unlikely]]
    submit();
  else
    submit_on(core, f);
}

void rw_awaiter::submit() noexcept {
  auto& f = state_of(*request_.file.get());
  auto& core = exec::core_at(f.home_of);
  if (f.stream != nullptr && request_.way == direction::read) {
    if (f.stream->reading && !has_turn_) {  // another read came first
      f.stream->waiting.push_back(*this);
      return;
    }
    f.stream->reading = has_turn_ = true;
    if (take_left_over()) return core.ready.push_back(*this);
  }
  submit_on(core, f);
}

record* rw_awaiter::make_record() noexcept {
  auto& f = state_of(*request_.file.get());
  return make_record_on(exec::core_at(f.home_of), f);
}

int rw_awaiter::refusal() const noexcept {
  const auto& f = state_of(*request_.file.get());
  PARKRING_CHECK(f.home_of == running_core().home_of,
                 "await a file's requests on the runtime it belongs to");
  if (f.closed) return EBADF;
  if (request_.offset > INT64_MAX) return EINVAL;
  // Reads of a stream take turns, which a chain cannot.
  return f.stream != nullptr && request_.way == direction::read ? ESPIPE : 0;
}

std::expected<std::size_t, error> rw_awaiter::outcome() const {
  if (answer >= 0) return static_cast<std::size_t>(answer);
  return std::unexpected(fs::rw_error(-answer, state_of(*request_.file.get()), request_.way,
                                      request_.offset, request_.size, request_.data));
}

void rw_awaiter::fail() const { throw io_error(std::move(outcome()).error()); }

void rw_awaiter::end_turn(bool delivered) noexcept {
  has_turn_ = false;
  if (rec != nullptr) return;  // dropped in flight: the record, now an orphan, passes the turn
  auto& f = state_of(*request_.file.get());
  if (!delivered && answer > 0) {
    // Older than anything that is left over.
    try {
      f.stream->left_over.insert(0, reinterpret_cast<const char*>(request_.data),
                                 static_cast<std::size_t>(answer));
    } catch (const std::bad_alloc&) {
      PARKRING_CHECK(false, "out of memory while keeping bytes that a dropped read had received");
    }
  }
  request_.lock.reset();
  unlink();  // starved: it must not be served any more
  if (f.home_of.is_here()) rw_record::pass_turn(*f.stream);
}

void rw_awaiter::wait_for_kernel() noexcept {
  if (rec == nullptr) return;
  record& mine = *rec;
  auto& ops = static_cast<op::operations&>(*mine.owner);
  has_turn_ = false;  // the record passes it
  op_waiter::abandon();
  ops.wait_for(mine);
}

}  // namespace parkring::detail
