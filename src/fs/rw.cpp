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

// The kernel transfers no more than this at once (MAX_RW_COUNT, read(2)); a longer request ends
// short, as read and write always may.
constexpr std::size_t longest_transfer = 0x7ffff000;

// An inline try pays while it saves a turn of the ring; from about here on a batch is cheaper.
constexpr std::size_t few_operations = 4;

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
  const owner_type* owner = nullptr;
  void* home_of_object = nullptr;  // in the waiter's frame; valid while there is a waiter
  std::byte* data = nullptr;
  std::uint64_t offset = 0;
  std::uint32_t size = 0;
  int buffer_index = -1;
  direction way = direction::read;
  bool turn_with_waiter = false;  // a stream's read was delivered: the waiter ends the turn
  alignas(16) std::byte object[owned_capacity];

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

  static after_completion complete(record& r, op_waiter* w, std::int32_t res, std::uint32_t,
                                   bool) noexcept {
    auto& p = r.as<rw_record>();
    if (res == -EINTR && w != nullptr) return after_completion::resubmit;
    if (w != nullptr) {
      if (p.owner != nullptr) {
        std::exchange(p.owner, nullptr)->move(p.home_of_object, p.object);
        static_cast<rw_awaiter*>(w)->object_away_ = false;
      }
      if (static_cast<rw_awaiter*>(w)->has_turn_) {
        // Until it resumes it may still be dropped, and then gives back what lies in this memory.
        static_cast<rw_awaiter*>(w)->request_.lock = std::move(p.lock);
        if (buffer_block* block = static_cast<rw_awaiter*>(w)->request_.lock.get())
          block->holder = nullptr;
        p.turn_with_waiter = true;
      }
    } else if (res > 0 && p.way == direction::read) {
      auto& f = state_of(*p.file.get());
      if (f.stream != nullptr) keep_bytes(*f.stream, p.data, static_cast<std::size_t>(res));
    }
    return after_completion::finish;
  }

  // Nobody took what a stream delivered: the next reader does.
  static void keep_bytes(fs::stream_queue& s, const std::byte* data, std::size_t n) noexcept {
    try {
      s.left_over.append(reinterpret_cast<const char*>(data), n);
    } catch (const std::bad_alloc&) {
      PARKRING_CHECK(false, "out of memory while keeping bytes that a dropped read had received");
    }
  }

  static void destroy(record& r) noexcept {
    auto& p = r.as<rw_record>();
    // Another request may share the lock; this one is not who has the bytes any more.
    if (buffer_block* block = p.lock.get(); block != nullptr && block->holder == &r)
      block->holder = nullptr;
    if (p.way == direction::read && !p.turn_with_waiter) {
      if (auto& f = state_of(*p.file.get()); f.stream != nullptr) {
        const file_ref keep = p.file.share();
        p.~rw_record();
        pass_turn(*f.stream);
        return;
      }
    }
    p.~rw_record();
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

  static bool cancel_when_dropped(const record& r) noexcept {
    return state_of(*r.as<rw_record>().file.get()).kind != fs::file_kind::regular;
  }

  static void describe(const record& r, std::string& out) {
    const auto& p = r.as<rw_record>();
    fs::describe_rw(out, state_of(*p.file.get()), p.way, p.offset, p.size);
  }

  static void submit(rw_awaiter& w) noexcept { w.submit(); }
  static bool take_left_over(rw_awaiter& w) noexcept { return w.take_left_over(); }

  static const record_type read_type;
  static const record_type write_type;
};

const record_type rw_record::read_type = {"read_at",           &prepare,  &complete, &destroy,
                                          &cancel_when_dropped, &describe};
const record_type rw_record::write_type = {"write_at",          &prepare,  &complete, &destroy,
                                           &cancel_when_dropped, &describe};

bool rw_awaiter::take_left_over() noexcept {
  auto& s = *state_of(*request_.file.get()).stream;
  if (s.left_over.empty()) return false;
  const std::size_t n = std::min(s.left_over.size(), request_.size);
  std::memcpy(request_.data, s.left_over.data(), n);
  s.left_over.erase(0, n);
  answer = static_cast<std::int32_t>(n);
  return true;
}

bool rw_awaiter::try_now() noexcept {
  auto& core = exec::this_core();
  auto& f = state_of(*request_.file.get());
  PARKRING_CHECK(f.home_of == core.home_of, "await a file's requests on the runtime it belongs to");
  const bool read = request_.way == direction::read;
  if (f.closed) {
    answer = -EBADF;
    finished_ = true;
  } else if (request_.offset > INT64_MAX) {
    answer = -EINVAL;
    finished_ = true;
  } else if (f.kind == fs::file_kind::stream) {
    return false;
  } else if (f.direct || f.inline_first == fs::inline_mode::never ||
             (f.inline_first == fs::inline_mode::automatic &&
              (core.ops.live() > few_operations || core.more_ready_than(few_operations)))) {
    return false;
  } else {
    auto& policy = read ? f.inline_reads : f.inline_writes;
    if (f.inline_first != fs::inline_mode::always && !policy.worth_trying()) return false;
    if (request_.data == nullptr && request_.size != 0) return false;
    const std::size_t n = std::min(request_.size, longest_transfer);
    const long got =
        read ? op::read_nowait(f.fd.get(), request_.data, n, request_.offset)
             : op::write_nowait(f.fd.get(), request_.data, n, request_.offset);
    // A short inline answer may only mean that the rest would have blocked, so it does not count
    // as an answer, unless it is the end of the file (which only a read through the ring tells).
    if (got == static_cast<long>(n) || (!read && got > 0)) {
      policy.hit();
      ++core.counted.inline_hits;
      answer = static_cast<std::int32_t>(got);
      finished_ = true;
      request_.lock.reset();
    } else {
      if (got < 0) {
        ++core.counted.inline_misses;
        if (got == -EOPNOTSUPP)
          policy.give_up();
        else
          policy.miss();
      }
      return false;
    }
  }
  return core.spend_budget();
}

void rw_awaiter::start(std::coroutine_handle<> h) {
  auto& core = exec::this_core();
  if (finished_) return core.make_ready(*this, h);  // out of budget: its turn comes again
  frame = h.address();
  task = core.current;
  restart = [](op_waiter& w) noexcept { rw_record::submit(static_cast<rw_awaiter&>(w)); };
  auto& f = state_of(*request_.file.get());
  if (f.stream != nullptr && request_.way == direction::read && f.stream->reading) {
    f.stream->waiting.push_back(*this);
    return;
  }
  submit();
}

void rw_awaiter::submit() noexcept {
  auto& f = state_of(*request_.file.get());
  auto& core = exec::core_at(f.home_of);
  const bool read = request_.way == direction::read;
  if (f.stream != nullptr && read) {
    if (f.stream->reading && !has_turn_) {  // another read came first
      f.stream->waiting.push_back(*this);
      return;
    }
    f.stream->reading = has_turn_ = true;
    if (take_left_over()) return core.ready.push_back(*this);
  }
  record* r = make_record();
  if (r == nullptr) return core.ops.starve(*this);
  core.ops.submit_by(*r, this,
                     [](record& rec_, abi::sqe& e) noexcept { rw_record::prepare(rec_, e); });
}

record* rw_awaiter::make_record() noexcept {
  auto& f = state_of(*request_.file.get());
  auto& core = exec::core_at(f.home_of);
  const bool read = request_.way == direction::read;
  record* r = core.ops.acquire(read ? rw_record::read_type : rw_record::write_type);
  if (r == nullptr) return nullptr;
  auto& p = r->emplace<rw_record>();
  p.file = request_.file.share();
  p.lock = std::move(request_.lock);
  p.data = request_.data;
  p.size = static_cast<std::uint32_t>(std::min(request_.size, longest_transfer));
  p.offset = f.kind == fs::file_kind::stream ? ~std::uint64_t{0} : request_.offset;
  p.way = request_.way;
  if (owner_ != nullptr) {
    owner_->move(p.object, owned_);
    p.owner = owner_;
    p.home_of_object = owned_;
    p.data = owner_->data(p.object);
    object_away_ = true;
  }
  if (buffer_block* block = p.lock.get()) {
    block->holder = r;
    p.buffer_index = core.buffers.index_of(*block);
  }
  if (p.buffer_index < 0) ++core.counted.unregistered_buffers;
  if (f.slot < 0) register_file(core, f);
  return r;
}

int rw_awaiter::refusal() const noexcept {
  const auto& f = state_of(*request_.file.get());
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
  auto& core = exec::core_at(request_.file.get()->home_of);
  record& mine = *rec;
  has_turn_ = false;  // the record passes it
  op_waiter::abandon();
  core.ops.wait_for(mine);
}

}  // namespace parkring::detail
