#include <parkring/detail/rw.hpp>

#include <cstring>

#include "exec/core.hpp"
#include "fs/file_state.hpp"
#include "fs/file_table.hpp"
#include "fs/rw_error.hpp"
#include "kernel/abi.hpp"

namespace parkring::detail {

namespace abi = kernel::abi;

namespace {

// Whether the file ends behind the `got` bytes that were read.
bool ends_at(const file_state_base& f, const rw_request& q, long got) noexcept {
  const auto done = static_cast<std::size_t>(got);
  return rw_nowait(true, f.descriptor, q.data + done, q.size - done, q.offset + done) == 0;
}

// Registering costs a system call, so only a file that is used again is worth it.
void register_file(exec::core& core, file_state& f) noexcept {
  constexpr std::uint8_t uses_before_registering = 4;
  if (at_home(f) && f.registrable && ++f.ring_uses == uses_before_registering) {
    try {
      f.slot = core.service_of<fs::file_table>().add(f.fd.get());
    } catch (const std::bad_alloc&) {  // then it is not registered
    }
    if (f.slot >= 0) {
      f.ring_target = f.slot;
      f.ring_flags = abi::iosqe_fixed_file;
    } else {
      f.registrable = false;
    }
  }
  if (!at_home(f) || f.slot < 0) ++core.counted.unregistered_files;
}

}  // namespace

// A read or write with the kernel. Everything the kernel may touch is in here or counted by it.
struct rw_record {
  file_ref file;
  block_lock lock;
  std::byte* data;
  std::uint64_t offset;
  std::size_t size;
  int buffer_index;
  bool stream;
  bool owns = false;  // the object, by `owner`
  const owner_type* owner;
  void* home_of_object;  // in the waiter's frame, valid while there is a waiter
  alignas(16) std::byte object[owned_capacity];

  [[gnu::always_inline]] rw_record(rw_request& q, std::uint64_t at, int index,
                                   bool of_stream) noexcept
      : file(std::move(q.file)),
        lock(std::move(q.lock)),
        data(q.data),
        offset(at),
        size(q.size),
        buffer_index(index),
        stream(of_stream) {}
  ~rw_record() {
    if (owns) owner->destroy(object);
  }

  template <direction Way>
  [[gnu::always_inline]] static void fill(abi::sqe& e, const file_state& f, std::uint64_t at,
                                          std::byte* memory, std::size_t n, int index) noexcept {
    constexpr bool read = Way == direction::read;
    e.fd = f.descriptor;
    if (at_home(f)) {
      e.fd = f.ring_target;
      e.flags = f.ring_flags;
    }
    e.off = at;
    e.addr = reinterpret_cast<std::uint64_t>(memory);
    e.len = static_cast<std::uint32_t>(std::min(n, longest_transfer));
    if (index >= 0) {
      e.opcode = read ? abi::op_read_fixed : abi::op_write_fixed;
      e.buf_index = static_cast<std::uint16_t>(index);
    } else {
      e.opcode = read ? abi::op_read : abi::op_write;
    }
  }
  template <direction Way>
  static void prepare(record& r, abi::sqe& e) noexcept {
    const auto& p = r.as<rw_record>();
    fill<Way>(e, state_of(*p.file.get()), p.offset, p.data, p.size, p.buffer_index);
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

  template <direction Way>
  static void destroy(record& r) noexcept {
    auto& p = r.as<rw_record>();
    // Without the file the waiter has it, and with it the turn.
    if (Way == direction::read && p.stream && p.file.get() != nullptr) [[unlikely]] {
      const file_ref keep = p.file.share();
      p.~rw_record();
      pass_turn(*state_of(*keep.get()).stream);
      return;
    }
    p.let_go<Way>(r);
    p.~rw_record();
  }

  // Gives back the lock and the reference.
  template <direction Way>
  [[gnu::always_inline]] void let_go(record& r) noexcept {
    // Other writes may share the lock; this one is not who has the bytes any more.
    if (Way == direction::write)
      if (buffer_block* block = lock.get(); block != nullptr && block->holder == &r)
        block->holder = nullptr;
    lock.reset(Way);
    file.reset();
  }

  template <direction Way>
  static after_completion complete(record& r, op_waiter* w, std::int32_t res, std::uint32_t,
                                   bool) noexcept {
    auto& p = r.as<rw_record>();
    if (w == nullptr || res < 0 || p.stream) [[unlikely]]
      return complete_unusual<Way>(r, w, res);
    if (p.owns) return complete_owned<Way>(r, *w);
    // As `let_go`, with nothing to return to, so that no register need be kept.
    if (buffer_block* block = p.lock.get(); block != nullptr) {
      if (Way == direction::write || block->watched) [[unlikely]]
        return complete_slowly<Way>(r);
      (void)p.lock.release();
      block->unlock_exclusive();
    }
    if (p.file.get()->team != 0 || p.file.get()->references == 1) [[unlikely]]
      return complete_slowly<Way>(r);
    p.file.reset();
    return after_completion::ended;
  }

  template <direction Way>
  [[gnu::noinline]] static after_completion complete_owned(record& r, op_waiter& w) noexcept {
    r.as<rw_record>().return_object(static_cast<rw_waiter&>(w));
    return complete_slowly<Way>(r);
  }

  template <direction Way>
  [[gnu::noinline]] static after_completion complete_slowly(record& r) noexcept {
    r.as<rw_record>().let_go<Way>(r);  // nothing is left for the destructor
    return after_completion::ended;
  }

  template <direction Way>
  [[gnu::cold, gnu::noinline]] static after_completion complete_unusual(record& r, op_waiter* w,
                                                                        std::int32_t res) noexcept {
    auto& p = r.as<rw_record>();
    const bool wanted =
        w != nullptr || (Way == direction::write && r.cancel_wanted == cancel_wish::none);
    if (res == -EINTR && wanted) return after_completion::resubmit;
    if (w != nullptr) {
      auto& waiting = *static_cast<rw_waiter*>(w);
      if (p.owns) p.return_object(waiting);
      if (res < 0 || waiting.has_turn_) p.give_back<Way>(waiting);
    } else if (res > 0 && p.stream && Way == direction::read) {
      keep_bytes(*state_of(*p.file.get()).stream, p.data, static_cast<std::size_t>(res));
    }
    destroy<Way>(r);
    return after_completion::ended;
  }

  [[gnu::always_inline]] void return_object(rw_waiter& waiting) noexcept {
    owns = false;
    owner->move(home_of_object, object);
    waiting.object_away_ = false;
  }

  // What the waiter needs again: the file, to tell of an error; and for a read of a stream the
  // lock, because until it resumes it may still be dropped, and then gives back the bytes.
  template <direction Way>
  void give_back(rw_waiter& waiting) noexcept {
    if (!waiting.kept_) waiting.keep({file_ref(), block_lock(), data, size, offset, Way});
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

  template <direction Way>
  static void describe(const record& r, std::string& out) {
    const auto& p = r.as<rw_record>();
    fs::describe_rw(out, state_of(*p.file.get()), Way, p.offset, p.size);
  }

  static void facts(const record& r, request_facts& out) noexcept {
    const auto& p = r.as<rw_record>();
    out = {.path = state_of(*p.file.get()).path.native(), .offset = p.offset, .length = p.size};
    if (p.stream) out.offset = request_facts::no_offset;
  }

  template <direction Way>
  static constexpr record_type type_of = {
      .name = Way == direction::read ? "read_at" : "write_at",
      .prepare = [](record& r, abi::sqe& e) noexcept { prepare<Way>(r, e); },
      .complete = &complete<Way>,
      .destroy = &destroy<Way>,
      .cancel_when_dropped = &cancel_when_dropped,
      .describe = &describe<Way>,
      .facts = &facts,
      .has_effect = Way == direction::write,
  };

  // Builds in `r` what takes the description over.
  template <direction Way>
  [[gnu::always_inline]] static rw_record& build(exec::core& core, file_state& f, rw_request& q,
                                                 bool of_stream, record& r) noexcept {
    int index = -1;
    if (buffer_block* const block = q.lock.get(); block != nullptr) {
      block->holder = &r;
      index = core.buffers.index_of(*block);
    }
    if (index < 0) ++core.counted.unregistered_buffers;
    if (!at_home(f) || f.ring_flags == 0) [[unlikely]]
      register_file(core, f);
    return r.emplace<rw_record>(q, of_stream ? ~std::uint64_t{0} : q.offset, index, of_stream);
  }

  // As above in a record of its own; null when there is none.
  template <direction Way>
  static record* make(exec::core& core, file_state& f, rw_request& q, bool of_stream) noexcept {
    record* r = core.ops.acquire(type_of<Way>);
    if (r != nullptr) build<Way>(core, f, q, of_stream, *r);
    return r;
  }

  // `from` is where the object lies, `home` where it comes back to.
  [[gnu::always_inline]] void take_object(rw_waiter& waiting, const owner_type& type, void* from,
                                          void* home) noexcept {
    type.move(object, from);
    owns = true;
    owner = &type;
    home_of_object = home;
    data = type.data(object);
    waiting.object_away_ = true;
  }

  // Submits what `build` made of `q`, whose plain values are at hand still. Nothing is in the way.
  template <direction Way>
  [[gnu::always_inline]] void push(exec::core& core, const file_state& f, record& r,
                                   const rw_request& q, rw_waiter& w) noexcept {
    core.driver.ops.push_now(
        r, w,
        [&f, at = q.offset, memory = data, n = q.size, index = buffer_index](
            record&, abi::sqe& e) noexcept { fill<Way>(e, f, at, memory, n, index); });
  }
};

void lock_here(buffer_block& block) noexcept {
  if (block.locker == running_core().home_of) return;
  const std::int32_t locks = block.lock.load(std::memory_order_relaxed);
  PARKRING_CHECK((locks == -1 || locks == 1) && !block.watched,
                 "this request was described before its task moved to another worker, on a buffer "
                 "that others use or wait for, too: describe it after the yield_anywhere");
  block.locker = running_core().home_of;
}

bool serve_now_short(rw_request& q, long got, std::int32_t& answer) noexcept {
  auto& core = exec::this_core();
  file_state_base& f = *q.file.get();
  const bool read = q.way == direction::read;
  auto& policy = read ? f.inline_reads : f.inline_writes;
  if (got < 0) {
    ++core.counted.inline_misses;
    if (got == -EOPNOTSUPP)
      policy.give_up();
    else
      policy.miss();
    return false;
  }
  // A short inline answer may only mean that the rest would have blocked, so it does not count as
  // an answer, unless the file ends there: then the rest reads as nothing.
  if (read ? !ends_at(f, q, got) : got == 0) return false;
  policy.hit();
  ++core.inline_hits;
  answer = static_cast<std::int32_t>(got);
  q.lock.reset(q.way);
  q.file.reset();
  return core.spend_budget();
}

template <direction Way>
[[gnu::always_inline]] inline void rw_waiter::start_as(rw_request& q,
                                                       std::coroutine_handle<> h) noexcept {
  auto& f = state_of(*q.file.get());
  auto& core = core_for(f);  // `serve_now` has checked that it runs
  frame = h.address();
  task = core.current;
  if (f.special || q.offset > INT64_MAX || !core.driver.ops.nothing_in_the_way()) [[unlikely]]
    return start_kept(q);
  record& r = core.driver.ops.acquire_now(rw_record::type_of<Way>);
  rw_record::build<Way>(core, f, q, false, r).template push<Way>(core, f, r, q, *this);
}

void rw_waiter::start_read(rw_request& q, std::coroutine_handle<> h) noexcept {
  start_as<direction::read>(q, h);
}
void rw_waiter::start_write(rw_request& q, std::coroutine_handle<> h) noexcept {
  start_as<direction::write>(q, h);
}

void rw_waiter::start_owned(rw_request& q, const owner_type& type, void* object, void* home,
                            std::coroutine_handle<> h) noexcept {
  auto& f = state_of(*q.file.get());
  auto& core = core_for(f);
  frame = h.address();
  task = core.current;
  const auto through_record = [&]<direction Way>() {
    record& r = core.driver.ops.acquire_now(rw_record::type_of<Way>);
    auto& p = rw_record::build<Way>(core, f, q, false, r);
    p.take_object(*this, type, object, home);
    p.template push<Way>(core, f, r, q, *this);
  };
  if (!f.special && q.offset <= INT64_MAX && core.driver.ops.nothing_in_the_way()) [[likely]] {
    return q.way == direction::read ? through_record.operator()<direction::read>()
                                    : through_record.operator()<direction::write>();
  }
  type.move(home, object);
  q.data = type.data(home);
  give_ownership(type, home);
  start_kept(q);
}

void rw_waiter::start_answered(std::int32_t with, std::coroutine_handle<> h) noexcept {
  answer = with;
  running_core().make_ready(*this, h);
}

void rw_waiter::keep(rw_request&& q) noexcept {
  std::construct_at(&request_, std::move(q));
  kept_ = true;
}

void rw_waiter::end_kept() {
  end_delivered();
  if (answer < 0) throw io_error(std::move(outcome()).error());
}

void rw_waiter::drop_kept() noexcept {
  end_turn_dropped();
  kept_ = false;
  std::destroy_at(&request_);
}

// What is not sent to the kernel at once.
[[gnu::cold]] void rw_waiter::start_kept(rw_request& q) noexcept {
  keep(std::move(q));
  auto& f = state_of(*request_.file.get());
  if (f.closed || request_.offset > INT64_MAX) {
    answer = f.closed ? -EBADF : -EINVAL;
    return core_for(f).ready.push_back(*this);
  }
  restart = [](op_waiter& w) noexcept { static_cast<rw_waiter&>(w).submit_kept(); };
  submit_kept();
}

void rw_waiter::submit_kept() noexcept {
  auto& f = state_of(*request_.file.get());
  auto& core = core_for(f);
  if (f.stream != nullptr && request_.way == direction::read) {
    if (f.stream->reading && !has_turn_) {  // another read came first
      f.stream->waiting.push_back(*this);
      return;
    }
    f.stream->reading = has_turn_ = true;
    if (take_left_over()) return core.ready.push_back(*this);
  }
  record* r = make_record();
  if (r == nullptr) return core.ops.starve(*this);
  core.ops.submit(*r, this);
}

record* rw_waiter::make_record() noexcept {
  auto& f = state_of(*request_.file.get());
  auto& core = core_for(f);
  if (buffer_block* const block = request_.lock.get(); f.team != 0 && block != nullptr)
    lock_here(*block);
  const bool stream = f.stream != nullptr;
  record* r = request_.way == direction::read
                  ? rw_record::make<direction::read>(core, f, request_, stream)
                  : rw_record::make<direction::write>(core, f, request_, stream);
  if (r != nullptr && owns_)
    r->as<rw_record>().take_object(*this, *owner_, home_of_object_, home_of_object_);
  return r;
}

bool rw_waiter::take_left_over() noexcept {
  auto& s = *state_of(*request_.file.get()).stream;
  if (s.left_over.empty()) return false;
  const std::size_t n = std::min(s.left_over.size(), request_.size);
  std::memcpy(request_.data, s.left_over.data(), n);
  s.left_over.erase(0, n);
  answer = static_cast<std::int32_t>(n);
  return true;
}

int rw_waiter::refusal() const noexcept {
  const auto& f = state_of(*request_.file.get());
  PARKRING_CHECK(usable_on(f, running_core()),
                 "await a file's requests on the runtime it belongs to");
  if (f.closed) return EBADF;
  if (request_.offset > INT64_MAX) return EINVAL;
  // Reads of a stream take turns, which a chain cannot.
  return f.stream != nullptr && request_.way == direction::read ? ESPIPE : 0;
}

std::expected<std::size_t, error> rw_waiter::outcome() const {
  if (answer >= 0) return static_cast<std::size_t>(answer);
  return std::unexpected(fs::rw_error(-answer, state_of(*request_.file.get()), request_.way,
                                      request_.offset, request_.size, request_.data));
}

void rw_waiter::end_turn(bool delivered) noexcept {
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

void rw_waiter::wait_for_record() noexcept {
  record& mine = *rec;
  auto& ops = static_cast<op::operations&>(*mine.owner);
  has_turn_ = false;  // the record passes it
  op_waiter::abandon();
  ops.wait_for(mine);
}

}  // namespace parkring::detail
