// The device's side of a file's contents: write-back, power cuts, damage.
#include "kernel/sim/file_data.hpp"

#include <algorithm>
#include <cstring>

namespace parkring::kernel::sim {
namespace {

constexpr std::size_t sector_size = file_data::sector_size;

std::uint64_t sectors_up(std::uint64_t bytes) {
  return (bytes + sector_size - 1) / sector_size * sector_size;
}

}  // namespace

void file_data::zero_device(std::uint64_t from, std::uint64_t to) {
  for (auto at = lower(from / page_size); at != slots_.end() && at->index * page_size < to; ++at) {
    page* p = at->contents.get();
    if (p == nullptr) continue;
    const std::uint64_t start = at->index * page_size;
    const std::size_t begin = from > start ? static_cast<std::size_t>(from - start) : 0;
    const std::size_t end =
        static_cast<std::size_t>(std::min<std::uint64_t>(page_size, to - start));
    if (begin < end) std::memset(p->device.data() + begin, 0, end - begin);
  }
}

// The first pending changes reach the device.
void file_data::commit(std::size_t changes) {
  for (std::size_t i = 0; i < changes; ++i) {
    const extent_change& c = pending_[i];
    if (c.what == change::zero) {
      zero_device(c.from, c.to);
      continue;
    }
    device_size_ = c.what == change::grow ? c.to : c.from;
    if (c.what == change::shrink) zero_device(c.from, ~std::uint64_t{});
  }
  pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(changes));
  committed_ += changes;
}

bool file_data::sync(bool refused, random& draws, const disk_options& options, std::uint64_t from,
                     std::uint64_t to) {
  // At least what was cut off or zeroed: the pages that are given up must not show what they had.
  const std::uint64_t least = cleared_ > committed_ ? cleared_ - committed_ : 0;
  commit(refused ? static_cast<std::size_t>(draws.between(least, pending_.size()))
                 : pending_.size());
  bool good = true;
  std::size_t left = 0;
  for (page* p : dirty_) {
    if (p->index * page_size >= to || (p->index + 1) * page_size <= from) {
      dirty_[left++] = p;
      continue;
    }
    p->listed = false;
    const std::uint8_t given_up = refused ? p->dirty : p->dirty & p->bad;
    if (p->dirty == 0xff && given_up == 0) {
      p->device = p->cached;
    } else {
      for (unsigned s = 0; s < 8; ++s) {
        if (!(p->dirty >> s & 1)) continue;
        std::byte* cached = &p->cached[s * sector_size];
        std::byte* device = &p->device[s * sector_size];
        if (!(given_up >> s & 1)) {
          std::memcpy(device, cached, sector_size);
        } else if (!options.failed_sync_keeps_cache) {
          std::memcpy(cached, device, sector_size);
        }
      }
    }
    p->dirty = 0;
    if (given_up != 0) good = false;
  }
  dirty_.resize(left);
  tidy();
  return good && !refused;
}

// Freed pages whose end the device knows of are gone for good.
void file_data::tidy() {
  if (!untidy_ || !pending_.empty()) return;
  std::erase_if(slots_, [](const slot& s) {
    return !s.allocated && (s.contents == nullptr || (!s.contents->listed && !s.contents->bad));
  });
  untidy_ = false;
}

void file_data::cut_extent(unsigned mode, random& draws) {
  const std::size_t count = pending_.size();
  if (mode == 0 || count == 0) return;
  if (mode == 1) return commit(count);
  commit(static_cast<std::size_t>(draws.between(0, count)));
  if (pending_.empty() || pending_.front().what != change::grow || !draws.chance(0.5)) return;
  const extent_change& c = pending_.front();
  const std::uint64_t end = sectors_up(c.from + 1 + draws.below(c.to - c.from));
  device_size_ = std::min(c.to, end);
}

void file_data::cut_pages(unsigned mode, std::uint64_t old_size, random& draws, bool stale) {
  // Which sectors made it: none, all, those written first, or any.
  enum : std::uint64_t { none, all, first, any };
  const std::uint64_t drawn = mode < 2 ? mode : draws.below(4);
  const std::uint64_t until = drawn == first ? draws.between(0, dirty_.size()) : 0;
  for (std::size_t i = 0; i < dirty_.size(); ++i) {
    page& p = *dirty_[i];
    std::uint8_t lands = 0;
    if (p.epoch <= committed_) {
      if (drawn == all || (drawn == first && i < until)) lands = 0xff;
      if (drawn == any || (drawn == first && i == until))
        lands = static_cast<std::uint8_t>(draws.next() >> 56);
    }
    lands = static_cast<std::uint8_t>(lands & ~p.bad);
    for (unsigned s = 0; s < 8; ++s) {
      if (!(p.dirty >> s & 1)) continue;
      std::byte* device = &p.device[s * sector_size];
      if (lands >> s & 1) {
        std::memcpy(device, &p.cached[s * sector_size], sector_size);
      } else if (stale && p.index * page_size + s * sector_size >= old_size) {
        for (std::size_t k = 0; k < sector_size; k += 8) {
          const std::uint64_t garbage = draws.next();
          std::memcpy(device + k, &garbage, 8);
        }
      }
    }
  }
}

void file_data::cut(random& draws, const disk_options& options, disk_space& space) {
  if (dirty()) {
    // Rarely nothing at all or all of it: the two ends are worth seeing in every scenario.
    const auto mode = static_cast<unsigned>(draws.below(8));
    const std::uint64_t old_size = device_size_;
    cut_extent(mode, draws);
    cut_pages(mode, old_size, draws, options.stale_data);
  }
  pending_.clear();
  dirty_.clear();
  committed_ = cleared_ = 0;
  size_ = device_size_;
  zero_device(size_, ~std::uint64_t{});
  space.used -= allocated_;
  const std::uint64_t end = (size_ + page_size - 1) / page_size;
  std::erase_if(slots_, [&](const slot& s) {
    return s.index >= end && (s.contents == nullptr || !s.contents->bad);
  });
  for (slot& s : slots_) {
    s.allocated = true;
    if (page* p = s.contents.get()) {
      p->cached = p->device;
      p->dirty = 0;
      p->epoch = 0;
      p->listed = false;
    }
  }
  allocated_ = slots_.size();
  space.used += allocated_;
  untidy_ = false;
}

void file_data::drop_cache() {
  for (slot& s : slots_) {
    page* p = s.contents.get();
    if (p == nullptr || p->epoch > committed_) continue;
    for (unsigned k = 0; k < 8; ++k)
      if (!(p->dirty >> k & 1))
        std::memcpy(&p->cached[k * sector_size], &p->device[k * sector_size], sector_size);
  }
}

void file_data::forget_space(disk_space& space) {
  space.used -= allocated_;
  allocated_ = 0;
  for (slot& s : slots_) s.allocated = false;
}

void file_data::rot(std::uint64_t offset, unsigned bit) {
  const auto at = lower(offset / page_size);
  if (at == slots_.end() || at->index != offset / page_size || !at->contents) return;
  page& p = *at->contents;
  const std::size_t within = offset % page_size;
  const std::byte flip{static_cast<unsigned char>(1u << (bit & 7))};
  p.device[within] ^= flip;
  if (p.epoch <= committed_ && !(p.dirty >> (within / sector_size) & 1)) p.cached[within] ^= flip;
}

void file_data::overwrite_device(std::uint64_t offset, std::span<const std::byte> data) {
  for (std::size_t done = 0; done < data.size();) {
    const std::size_t begin = (offset + done) % page_size;
    const std::size_t n = std::min(sector_size - begin % sector_size, data.size() - done);
    const auto at = lower((offset + done) / page_size);
    if (at != slots_.end() && at->index == (offset + done) / page_size && at->contents) {
      page& p = *at->contents;
      std::memcpy(p.device.data() + begin, data.data() + done, n);
      // A clean page may leave the cache at any time, and be read again: here it does at once.
      const bool clean = !(p.dirty >> (begin / sector_size) & 1) && p.epoch <= committed_;
      if (clean) {
        const std::uint64_t left = size_ > offset + done ? size_ - offset - done : 0;
        std::memcpy(p.cached.data() + begin, data.data() + done,
                    static_cast<std::size_t>(std::min<std::uint64_t>(n, left)));
      }
    }
    done += n;
  }
}

void file_data::mark_bad(std::uint64_t offset, std::uint64_t length, disk_space& space) {
  for (std::uint64_t at = offset / sector_size * sector_size; at < offset + length;
       at += sector_size) {
    page* p = writable(at / page_size, false, space);
    if (p == nullptr) return;
    p->bad = static_cast<std::uint8_t>(p->bad | (1u << (at % page_size / sector_size)));
  }
}

std::optional<std::uint64_t> file_data::first_bad(std::uint64_t offset,
                                                  std::uint64_t length) const {
  const std::uint64_t end = offset + length;
  for (auto at = lower(offset / page_size); at != slots_.end() && at->index * page_size < end;
       ++at) {
    const page* p = at->contents.get();
    if (p == nullptr || p->bad == 0) continue;
    for (unsigned s = 0; s < 8; ++s) {
      const std::uint64_t start = at->index * page_size + s * sector_size;
      if (!(p->bad & ~p->dirty & (1u << s)) || start >= end || start + sector_size <= offset)
        continue;
      return std::max(start, offset);
    }
  }
  return std::nullopt;
}

std::uint64_t file_data::hash(std::uint64_t seed) const {
  std::uint64_t h = seed ^ size_;
  for (const slot& s : slots_) {
    if (!s.contents || !s.allocated) continue;
    std::uint64_t of_page = 0, any = 0;
    for (std::size_t k = 0; k < page_size; k += 8) {
      std::uint64_t word;
      std::memcpy(&word, &s.contents->cached[k], 8);
      any |= word;
      of_page = (of_page ^ word) * 0x9e37'79b9'7f4a'7c15;
      of_page ^= of_page >> 29;
    }
    if (any != 0) h = ((h ^ of_page) + s.index) * 0xbf58'476d'1ce4'e5b9;  // zeros are like a hole
  }
  return h ^ (h >> 31);
}

}  // namespace parkring::kernel::sim
