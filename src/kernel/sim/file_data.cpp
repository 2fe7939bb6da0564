#include "kernel/sim/file_data.hpp"

#include <algorithm>
#include <cstring>

namespace parkring::kernel::sim {
namespace {

constexpr std::size_t sector_size = file_data::sector_size;

// The sectors of a page that a part of it touches.
std::uint8_t sectors_of(std::size_t begin, std::size_t length) {
  if (length == 0) return 0;
  const unsigned first = static_cast<unsigned>(begin / sector_size);
  const unsigned last = static_cast<unsigned>((begin + length - 1) / sector_size);
  return static_cast<std::uint8_t>((0xffu >> (7 - last)) & (0xffu << first));
}
// Those it covers entirely.
std::uint8_t sectors_inside(std::size_t begin, std::size_t end) {
  const std::size_t first = (begin + sector_size - 1) / sector_size, last = end / sector_size;
  return first < last ? sectors_of(first * sector_size, (last - first) * sector_size) : 0;
}

}  // namespace

std::vector<file_data::slot>::iterator file_data::lower(std::uint64_t index) {
  if (slots_.empty() || slots_.back().index < index) return slots_.end();  // an append
  return std::ranges::lower_bound(slots_, index, {}, &slot::index);
}
std::vector<file_data::slot>::const_iterator file_data::lower(std::uint64_t index) const {
  return std::ranges::lower_bound(slots_, index, {}, &slot::index);
}

void file_data::list(page& p) {
  if (p.listed) return;
  p.listed = true;
  dirty_.push_back(&p);
}

std::size_t file_data::read(std::uint64_t offset, std::span<std::byte> out, bool direct) const {
  if (offset >= size_) return 0;
  const std::size_t total =
      static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), size_ - offset));
  auto at = lower(offset / page_size);
  for (std::size_t done = 0; done < total;) {
    const std::uint64_t index = (offset + done) / page_size;
    const std::size_t begin = (offset + done) % page_size;
    std::size_t n = std::min(page_size - begin, total - done);
    while (at != slots_.end() && at->index < index) ++at;
    if (at == slots_.end() || at->index > index) {  // a hole, up to the next page there is
      const std::uint64_t end = at == slots_.end() ? offset + total : at->index * page_size;
      n = static_cast<std::size_t>(std::min<std::uint64_t>(total - done, end - offset - done));
      std::memset(out.data() + done, 0, n);
    } else if (const page* p = at->contents.get(); p == nullptr) {
      std::memset(out.data() + done, 0, n);
    } else if (direct && p->epoch <= committed_) {
      for (std::size_t part = 0; part < n;) {
        const std::size_t from = begin + part;
        const std::size_t m = std::min(sector_size - from % sector_size, n - part);
        const bool newer = (p->dirty & sectors_of(from, m)) != 0;
        std::memcpy(out.data() + done + part, (newer ? p->cached : p->device).data() + from, m);
        part += m;
      }
    } else {
      std::memcpy(out.data() + done, p->cached.data() + begin, n);
    }
    done += n;
  }
  return total;
}

// The page to write to, or null when the disk is full. `whole`: all of its cache will be written.
file_data::page* file_data::writable(std::uint64_t index, bool whole, disk_space& space) {
  auto at = lower(index);
  const bool found = at != slots_.end() && at->index == index;
  if (!found || !at->allocated) {
    if (space.used >= space.limit) return nullptr;
    ++space.used;
    ++allocated_;
    if (found) {
      at->allocated = true;
    } else {
      at = slots_.insert(at, slot{index, nullptr, true});
    }
  }
  if (at->contents == nullptr) {
    at->contents.reset(new page);  // not value-initialised: 8 KiB
    page& p = *at->contents;
    p.index = index;
    p.epoch = cleared_;
    p.dirty = p.bad = 0;
    p.listed = false;
    p.device.fill(std::byte{});
    if (!whole) p.cached.fill(std::byte{});
  }
  return at->contents.get();
}

void file_data::write_back_early(page& p, std::uint8_t sectors, random& draws,
                                 const disk_options& options) {
  sectors &= p.dirty;
  if (sectors == 0 || !draws.chance(options.early_write_back)) return;
  if (p.epoch > committed_) commit(static_cast<std::size_t>(p.epoch - committed_));
  for (unsigned s = 0; s < 8; ++s)
    if (sectors >> s & 1 && !(p.bad >> s & 1))
      std::memcpy(&p.device[s * sector_size], &p.cached[s * sector_size], sector_size);
  // Half of the time with the size that belongs to it.
  if (draws.chance(0.5)) commit(pending_.size());
}

std::size_t file_data::write(std::uint64_t offset, std::span<const std::byte> data,
                             std::size_t reaching, disk_space& space, random& draws,
                             const disk_options& options) {
  std::size_t done = 0;
  while (done < data.size()) {
    const std::size_t begin = (offset + done) % page_size;
    const std::size_t n = std::min(page_size - begin, data.size() - done);
    page* p = writable((offset + done) / page_size, n == page_size, space);
    if (p == nullptr) break;
    const std::uint8_t touched = sectors_of(begin, n);
    if (p->dirty & touched) write_back_early(*p, touched, draws, options);
    std::memcpy(p->cached.data() + begin, data.data() + done, n);
    const std::size_t good = reaching > done ? std::min(n, reaching - done) : 0;
    p->dirty = static_cast<std::uint8_t>((p->dirty & ~touched) | sectors_of(begin, good));
    list(*p);
    done += n;
  }
  if (done != 0) grow(std::max(size_, offset + done));
  return done;
}

void file_data::grow(std::uint64_t size) {
  if (size <= size_) return;
  // One entry for any number of appends: a cut may end the file anywhere between.
  if (!pending_.empty() && pending_.back().what == change::grow) {
    pending_.back().to = size;
  } else {
    pending_.push_back({change::grow, size_, size});
  }
  size_ = size;
}

void file_data::truncate(std::uint64_t size, disk_space& space, random& draws,
                         const disk_options& options) {
  if (size >= size_) return grow(size);
  pending_.push_back({change::shrink, size, size_});
  cleared_ = committed_ + pending_.size();
  size_ = size;
  clear_range(size, ~std::uint64_t{}, true, space, draws, options);
}

void file_data::zero(std::uint64_t offset, std::uint64_t length, bool free, disk_space& space,
                     random& draws, const disk_options& options) {
  pending_.push_back({change::zero, offset, offset + length});
  cleared_ = committed_ + pending_.size();
  clear_range(offset, offset + length, free, space, draws, options);
}

// Zeroes the cache; the device follows with the last entry of pending_.
void file_data::clear_range(std::uint64_t from, std::uint64_t to, bool free, disk_space& space,
                            random& draws, const disk_options& options) {
  for (auto at = lower(from / page_size); at != slots_.end() && at->index * page_size < to; ++at) {
    const std::uint64_t start = at->index * page_size;
    const std::size_t begin = from > start ? static_cast<std::size_t>(from - start) : 0;
    const std::size_t end =
        static_cast<std::size_t>(std::min<std::uint64_t>(page_size, to - start));
    if (free && begin == 0 && end == page_size && at->allocated) {
      at->allocated = false;
      untidy_ = true;
      --space.used;
      --allocated_;
    }
    page* p = at->contents.get();
    if (p == nullptr) continue;
    if (p->dirty != 0) {
      // The entry of this clearing is not committed early: it is the one being made.
      const extent_change last = pending_.back();
      pending_.pop_back();
      write_back_early(*p, p->dirty, draws, options);
      pending_.push_back(last);
    }
    std::memset(p->cached.data() + begin, 0, end - begin);
    p->dirty = static_cast<std::uint8_t>(p->dirty & ~sectors_inside(begin, end));
    p->epoch = cleared_;
  }
}

bool file_data::allocate(std::uint64_t offset, std::uint64_t length, disk_space& space) {
  const std::uint64_t first = offset / page_size, last = (offset + length - 1) / page_size;
  std::uint64_t there = 0;
  for (auto at = lower(first); at != slots_.end() && at->index <= last; ++at)
    there += at->allocated;
  const std::uint64_t needed = last - first + 1 - there;
  if (needed > space.limit - std::min(space.limit, space.used)) return false;
  if (needed == 0) return true;
  std::vector<slot> all;
  all.reserve(slots_.size() + needed);
  auto at = slots_.begin();
  for (; at != slots_.end() && at->index < first; ++at) all.push_back(std::move(*at));
  for (std::uint64_t index = first; index <= last; ++index) {
    if (at != slots_.end() && at->index == index) {
      all.push_back(std::move(*at++));
      all.back().allocated = true;
    } else {
      all.push_back(slot{index, nullptr, true});
    }
  }
  for (; at != slots_.end(); ++at) all.push_back(std::move(*at));
  slots_ = std::move(all);
  space.used += needed;
  allocated_ += needed;
  return true;
}

}  // namespace parkring::kernel::sim
