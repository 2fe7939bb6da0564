#include <parkring/detail/buffer_block.hpp>

#include <cstring>
#include <limits>
#include <new>
#include <string>

#include <parkring/buffer_locked.hpp>
#include <parkring/detail/frame_allocator.hpp>
#include <parkring/detail/record.hpp>

#include "buf/storage.hpp"

namespace parkring {

namespace buf {

constinit thread_local pool* this_thread_pool = nullptr;

namespace {

// For buffers made outside of any runtime. Never destroyed: buffers in static storage return to it.
pool& process_pool() {
  static auto* p = new std::shared_ptr<pool>(std::make_shared<pool>(std::size_t{64} << 20));
  return **p;
}

// Before there are threads: a child forked while one of them is just making it could not use it.
[[maybe_unused]] pool& made_at_start = process_pool();

}  // namespace
}  // namespace buf

namespace detail {
namespace {

// Blocks and storages come from the frame recycler: a few nanoseconds, on any thread.
template <class X>
X* make() {
  return ::new (allocate_frame(sizeof(X))) X();
}
template <class X>
void end(X* x) noexcept {
  x->~X();
  deallocate_frame(x, sizeof(X));
}

void end_block(buffer_block* block) noexcept {
  buffer_storage* storage = block->storage;
  buffer_block* whole = block->holds_lock_of;
  end(block);
  if (whole != nullptr) whole->unlock();
  // acq_rel: the last part must see what the others did with the memory.
  if (storage->parts.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  if (storage->from != nullptr) storage->from->deallocate(storage->mem);
  end(storage);
}

// On the locker's thread: the buffer was let go on another one.
void dropped_elsewhere(message& m) noexcept {
  auto& block = static_cast<buffer_block&>(m);
  if (block.is_locked())
    block.abandoned = block.watched = true;
  else
    end_block(&block);
}

}  // namespace

buffer_block* make_block(std::size_t size, std::size_t alignment) {
  PARKRING_CHECK(alignment != 0 && (alignment & (alignment - 1)) == 0,
                 "the alignment of a buffer must be a power of two");
  auto& from = buf::this_thread_pool != nullptr ? *buf::this_thread_pool : buf::process_pool();
  auto* storage = make<buffer_storage>();
  buffer_block* block = nullptr;
  try {
    block = make<buffer_block>();
    storage->mem = from.allocate(size, alignment);
  } catch (...) {
    if (block != nullptr) end(block);
    end(storage);
    throw;
  }
  storage->from = from.shared_from_this();
  block->storage = storage;
  block->data = storage->mem.data;
  block->size = size;
  return block;
}

buffer_block* adopt_block(std::byte* data, std::size_t size) {
  auto* storage = make<buffer_storage>();
  buffer_block* block = nullptr;
  try {
    block = make<buffer_block>();
  } catch (...) {
    end(storage);
    throw;
  }
  storage->adopted.reset(data);
  block->storage = storage;
  block->data = data;
  block->size = size;
  return block;
}

buffer_block* make_part(buffer_block& whole, std::byte* data, std::size_t size) {
  auto* block = make<buffer_block>();
  block->storage = whole.storage;
  block->data = data;
  block->size = size;
  whole.storage->parts.fetch_add(1, std::memory_order_relaxed);
  return block;
}

void drop_block(buffer_block* block) noexcept {
  if (!block->is_locked()) return end_block(block);  // nobody else knows it
  if (block->locker.is_here()) {
    block->abandoned = block->watched = true;
    return;
  }
  block->run = &dropped_elsewhere;
  if (block->locker.post(*block)) return;
  // The locker is gone. Its requests ended, or are leaked, and then the memory must be too.
  if (!block->is_locked()) end_block(block);
}

void buffer_block::unlocked_slowly() noexcept {
  // Waiters first: once the lock is 0, a holder on another thread may end the block.
  while (waiter* w = returned.pop_front()) locker.ready().push_back(*w);
  watched = false;
  if (abandoned) {
    lock.store(0, std::memory_order_relaxed);
    end_block(this);
  } else {
    lock.store(0, std::memory_order_release);  // pairs with the acquire loads of the holder
  }
}

std::byte* take_adopted(buffer_block& block) noexcept {
  buffer_storage& s = *block.storage;
  if (s.adopted == nullptr || block.data != s.adopted.get() ||
      s.parts.load(std::memory_order_acquire) != 1)
    return nullptr;
  return s.adopted.release();
}

void throw_locked(const buffer_block& block) {
  std::string who = "a request of another runtime";
  if (block.locker.is_here()) {
    who = "a request that was made and has not ended";
    if (block.holder != nullptr && block.holder->type->describe != nullptr)
      block.holder->type->describe(*block.holder, who = "");
  }
  throw parkring::buffer_locked(std::string("the buffer is still being ") +
                                (block.is_written() ? "written" : "read") + " by " + who +
                                "; await the request, or co_await buffer.returned(), first");
}

void wait_for_return(buffer_block& block, const home_ref& by, waiter& w) {
  if (!(block.locker == by))
    throw std::logic_error(
        "co_await buffer.returned() on the runtime whose request has the buffer, or move the "
        "buffer back to it first");
  block.returned.push_back(w);
  block.watched = true;
}

}  // namespace detail
}  // namespace parkring
