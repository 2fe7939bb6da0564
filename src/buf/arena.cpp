#include "arena.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <parkring/detail/check.hpp>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdlib>
#include <new>
#include <utility>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PARKRING_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define PARKRING_ASAN 1
#endif
#if defined(PARKRING_ASAN)
#include <sanitizer/asan_interface.h>
#endif

namespace parkring::buf {
namespace {

constexpr std::size_t unit = smallest_block;
constexpr std::size_t huge_page = std::size_t{2} << 20;
// How a fallback was made, in the field of the size class.
constexpr std::uint8_t from_heap = 254;
constexpr std::uint8_t from_map = 255;

std::atomic<std::size_t> leaked{0};

void poison([[maybe_unused]] std::byte* data, [[maybe_unused]] std::size_t size) noexcept {
#if defined(PARKRING_ASAN)
  __asan_poison_memory_region(data, size);
#endif
}

void unpoison([[maybe_unused]] std::byte* data, [[maybe_unused]] std::size_t size) noexcept {
#if defined(PARKRING_ASAN)
  __asan_unpoison_memory_region(data, size);
#endif
}

std::size_t page_size() noexcept {
  static const auto size = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return size;
}

std::byte* map_pages(std::size_t size, int extra_flags = 0) noexcept {
  void* p = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | extra_flags,
                   -1, 0);
  return p == MAP_FAILED ? nullptr : static_cast<std::byte*>(p);
}

// `size` is a multiple of the page size, `alignment` a power of two. Null if it cannot be had.
std::byte* map_aligned(std::size_t size, std::size_t alignment) noexcept {
  if (alignment <= page_size()) return map_pages(size);
  if (size > SIZE_MAX - alignment) return nullptr;
  std::byte* const p = map_pages(size + alignment);
  if (p == nullptr) return nullptr;
  const std::size_t before = (~reinterpret_cast<std::uintptr_t>(p) + 1) & (alignment - 1);
  if (before != 0) ::munmap(p, before);
  ::munmap(p + before + size, alignment - before);  // never nothing: before < alignment
  return p + before;
}

// Only for what is aligned to its own size by chance or by nature; null otherwise. The flag names
// the page size, because the system's default may be another, and a page bigger than the chunk.
std::byte* map_reserved_huge(std::size_t size) noexcept {
  if (size < huge_page) return nullptr;
  constexpr int two_mib = std::countr_zero(huge_page) << MAP_HUGE_SHIFT;
  std::byte* const p = map_pages(size, MAP_HUGETLB | two_mib);
  if (p == nullptr) return nullptr;
  if (reinterpret_cast<std::uintptr_t>(p) % size == 0) return p;
  ::munmap(p, size);
  return nullptr;
}

}  // namespace

chunk::chunk(std::uint32_t index, std::size_t size)
    : size_(size), index_(index), live_(size / unit / bits) {}

chunk::~chunk() {
  if (base_ == nullptr) return;
  unpoison(base_, size_);  // whatever is mapped here next must not inherit the poison
  ::munmap(base_, size_);
}

bool chunk::map(bool try_huge, bool& advice_refused) noexcept {
  if (try_huge) base_ = map_reserved_huge(size_);
  huge_ = base_ != nullptr;
  if (!huge_) {
    base_ = map_aligned(size_, size_);
    if (base_ == nullptr) return false;
    advice_refused = ::madvise(base_, size_, MADV_HUGEPAGE) != 0;
  }
  poison(base_, size_);
  return true;
}

arena::arena(const arena_options& options) : options_(options) {
  PARKRING_CHECK(std::has_single_bit(options.chunk_size),
                 "give a chunk size that is a power of two");
  PARKRING_CHECK(options.chunk_size >= 64 * 1024, "give a chunk size of at least 64 KiB");
  PARKRING_CHECK(options.chunk_size <= std::size_t{1} << 30,
                 "give a chunk size of at most 1 GiB: the kernel registers no bigger buffer");
  PARKRING_CHECK(options.chunk_size >= page_size(), "give a chunk size of at least a page");
  largest_class_ = class_of(std::min(options.chunk_size / 2, largest_block));
}

arena::~arena() {
  for (auto& c : chunks_) {
    if (c->out_ == 0) continue;
    leaked.fetch_add(c->size_, std::memory_order_relaxed);
    c->base_ = nullptr;
  }
}

std::size_t arena::leaked_bytes() noexcept { return leaked.load(std::memory_order_relaxed); }

void arena::set_hook(chunk_hook hook, void* context) noexcept {
  options_.hook = hook;
  options_.hook_context = context;
}

chunk& arena::chunk_at(std::size_t index) noexcept {
  PARKRING_CHECK(index < chunks_.size(), "there is no chunk of this index; see chunk_count");
  return *chunks_[index];
}

chunk* arena::locate(const void* p) const noexcept {
  const auto found = by_base_.find(reinterpret_cast<std::uintptr_t>(p) / options_.chunk_size);
  return found == by_base_.end() ? nullptr : found->second;
}

memory arena::allocate(std::size_t size, std::size_t alignment) {
  PARKRING_CHECK(std::has_single_bit(alignment), "give an alignment that is a power of two");
  const std::size_t index = class_of(size, alignment);
  const bool served = index <= largest_class_ && (!classes_[index].free.empty() || refill(index));
  const memory block = served ? pop(index) : fall_back(size, alignment);
  ++stats_.allocations;
  ++stats_.in_use;
  stats_.bytes_in_use += block.capacity;
  return block;
}

memory arena::pop(std::size_t index) noexcept {
  const entry top = classes_[index].free.back();
  classes_[index].free.pop_back();
  chunk& home = *chunks_[top.home_index];
  home.live_[top.unit / chunk::bits] |= std::uint64_t{1} << (top.unit % chunk::bits);
  ++home.out_;
  std::byte* const data = home.base_ + top.unit * unit;
  unpoison(data, class_sizes[index]);
  return {data, class_sizes[index], &home, static_cast<std::uint8_t>(index)};
}

void arena::deallocate(const memory& block) noexcept {
  if (block.data == nullptr) return;
  if (block.home == nullptr) {
    PARKRING_CHECK(block.size_class == from_heap || block.size_class == from_map,
                   "return the memory value as it was given, with its home");
    PARKRING_CHECK(stats_.fallback_in_use != 0,
                   "this memory was returned twice, or to another arena");
    --stats_.fallback_in_use;
    stats_.fallback_bytes_in_use -= block.capacity;
    if (block.size_class == from_heap) {
      std::free(block.data);
    } else {
      ::munmap(block.data, block.capacity);
    }
  } else {
    chunk& home = *block.home;
    PARKRING_CHECK(home.index_ < chunks_.size() && chunks_[home.index_].get() == &home,
                   "return this memory to the arena that it came from");
    PARKRING_CHECK(home.contains(block.data),
                   "return the memory value as it was given, with its address");
    PARKRING_CHECK(
        block.size_class < class_count && block.capacity == class_sizes[block.size_class],
        "return the memory value as it was given, with its capacity and class");
    const std::size_t at = static_cast<std::size_t>(block.data - home.base_) / unit;
    const std::uint64_t bit = std::uint64_t{1} << (at % chunk::bits);
    std::uint64_t& live = home.live_[at / chunk::bits];
    PARKRING_CHECK((live & bit) != 0, "this memory was returned twice");
    live &= ~bit;
    --home.out_;
    poison(block.data, class_sizes[block.size_class]);
    auto& free = classes_[block.size_class].free;
    PARKRING_DCHECK(free.size() < free.capacity(), "cut_run must reserve room for all it cuts");
    free.push_back({home.index_, static_cast<std::uint32_t>(at)});
  }
  --stats_.in_use;
  stats_.bytes_in_use -= block.capacity;
}

// The first chunk with room for a run of the class, or null.
chunk* arena::room_for(std::size_t index) noexcept {
  // A chunk that had no room gets none before it is taken back, so it need not be asked again.
  for (std::uint32_t& i = classes_[index].look_from; i < chunks_.size(); ++i) {
    if (chunks_[i]->size_ - chunks_[i]->cut_ >= run_of_class(index)) return chunks_[i].get();
  }
  return nullptr;
}

// Makes sure that the class has a free block; false if only a fallback is left.
bool arena::refill(std::size_t index) {
  chunk* from = room_for(index);
  // The rest of an idle chunk that is mostly cut is better left alone: one block there would keep
  // all of the chunk from being cut anew.
  const bool only_a_rest = from != nullptr && from->out_ == 0 && from->cut_ > from->size_ / 2;
  if ((from == nullptr || only_a_rest) && take_back_idle_chunks()) from = room_for(index);
  if (from == nullptr && add_chunk()) from = room_for(index);
  if (from == nullptr) return false;
  cut_run(*from, index);
  return true;
}

void arena::cut_run(chunk& from, std::size_t index) {
  size_class& of = classes_[index];
  const std::size_t blocks = run_of_class(index) / class_sizes[index];
  if (of.free.capacity() < of.cut + blocks) of.free.reserve(2 * (of.cut + blocks));
  for (std::size_t i = blocks; i-- > 0;) {  // the first block ends up on top
    const std::size_t offset = from.cut_ + i * class_sizes[index];
    of.free.push_back({from.index_, static_cast<std::uint32_t>(offset / unit)});
  }
  from.cut_ += run_of_class(index);
  of.cut += blocks;
}

// One pass over all free blocks takes back every chunk that can be: the cost is spread over the
// cutting of those chunks, which comes before the next pass.
bool arena::take_back_idle_chunks() noexcept {
  const auto idle = [this](std::uint32_t i) { return chunks_[i]->out_ == 0; };
  std::size_t found = 0;
  for (std::uint32_t i = 0; i < chunks_.size(); ++i) found += idle(i) ? 1 : 0;
  if (found == 0) return false;
  for (size_class& of : classes_) {
    of.cut -= std::erase_if(of.free, [&](const entry& e) { return idle(e.home_index); });
    of.look_from = 0;
  }
  for (const auto& c : chunks_) {
    if (c->out_ == 0) c->cut_ = 0;
  }
  stats_.recut_chunks += found;
  return true;
}

bool arena::add_chunk() {
  const std::size_t size = options_.chunk_size;
  if (size > options_.max_bytes || stats_.bytes > options_.max_bytes - size) return false;
  chunks_.reserve(chunks_.size() + 1);
  std::unique_ptr<chunk> added(new chunk(static_cast<std::uint32_t>(chunks_.size()), size));
  bool advice_refused = false;
  const bool mapped = added->map(options_.reserved_huge_pages, advice_refused);
  if (options_.reserved_huge_pages && !added->huge_) ++stats_.huge_refusals;
  if (advice_refused) ++stats_.advice_refusals;
  if (!mapped) {
    ++stats_.map_refusals;
    return false;
  }
  by_base_.emplace(reinterpret_cast<std::uintptr_t>(added->base_) / size, added.get());
  chunk& c = *added;
  chunks_.push_back(std::move(added));
  ++stats_.chunks;
  stats_.bytes += size;
  if (c.huge_) ++stats_.huge_chunks;
  if (options_.hook != nullptr && !options_.hook(options_.hook_context, c)) {
    ++stats_.unregistered_chunks;
  }
  return true;
}

// Small ones come from the heap, which recycles them; the others from the system, which is asked
// directly so that an impossible size is an error and never an abort in an allocator's debug mode.
memory arena::fall_back(std::size_t size, std::size_t alignment) {
  memory block;
  const std::size_t index = class_of(size, alignment);
  if (index < class_count) {
    void* p = nullptr;
    block.capacity = class_sizes[index];
    block.size_class = from_heap;
    if (::posix_memalign(&p, alignment_of_class(index), block.capacity) == 0) {
      block.data = static_cast<std::byte*>(p);
    }
  } else {
    const std::size_t page = page_size();
    if (size > PTRDIFF_MAX - page) throw std::bad_alloc();
    block.capacity = std::max((size + page - 1) & ~(page - 1), page);
    block.size_class = from_map;
    block.data = map_aligned(block.capacity, alignment);
  }
  if (block.data == nullptr) throw std::bad_alloc();
  ++stats_.fallback_allocations;
  ++stats_.fallback_in_use;
  stats_.fallback_bytes_in_use += block.capacity;
  return block;
}

}  // namespace parkring::buf
