#include "kernel/sim/trace.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string_view>

namespace parkring::kernel::sim {
namespace {

constexpr const char* kinds[] = {"begin", "done", "cancelled", "fault", "note"};

}  // namespace

void trace::mix(std::uint64_t word) noexcept {
  // Two rounds of a multiply and a fold: not for adversaries, only for accidents.
  hash_ = (hash_ ^ word) * 0x9fb2'1c65'1e98'df25;
  hash_ ^= hash_ >> 32;
}

void trace::add_content(const void* data, std::size_t size) noexcept {
  const auto* at = static_cast<const std::byte*>(data);
  for (; size >= 8; at += 8, size -= 8) {
    std::uint64_t word;
    std::memcpy(&word, at, 8);
    mix(word);
  }
  std::uint64_t rest = size;
  if (size != 0) std::memcpy(&rest, at, size);  // of nothing the address may be null
  mix(rest);
}

void trace::add(const trace_entry& e) {
  ++count_;
  mix(e.step);
  mix(e.time_ns);
  mix(static_cast<std::uint64_t>(e.what) << 32 | static_cast<std::uint32_t>(e.subject));
  add_content(e.name, std::strlen(e.name));
  mix(e.request);
  mix(e.offset);
  mix(e.length);
  mix(static_cast<std::uint64_t>(e.result));
  if (kept_ == 0) return;
  if (last_.size() < kept_)
    last_.push_back(e);
  else
    last_[(count_ - 1) % kept_] = e;
}

int trace::subject(const std::string& words) {
  const auto [at, added] = numbers_.try_emplace(words, static_cast<int>(subjects_.size()));
  if (added) {
    add_content(words.data(), words.size());
    subjects_.push_back(words);
  }
  return at->second;
}

void trace::append(std::string& out, const trace_entry& e) const {
  char line[256];
  std::snprintf(line, sizeof line, "%6llu %12.3f us  %-9s %-14s",
                static_cast<unsigned long long>(e.step), static_cast<double>(e.time_ns) / 1000,
                kinds[static_cast<int>(e.what)], e.name);
  out += line;
  if (e.what != trace_entry::kind::note) out += " #" + std::to_string(e.request);
  if (e.subject >= 0) out += " " + subjects_[static_cast<std::size_t>(e.subject)];
  if (e.length != 0)
    out += " [" + std::to_string(e.offset) + ", +" + std::to_string(e.length) + ")";
  if (e.what == trace_entry::kind::effect) {
    out += " = " + std::to_string(e.result);
    if (e.result < 0) {
      const char* name = ::strerrorname_np(static_cast<int>(-e.result));
      if (name != nullptr) out += std::string(" ") + name;
    }
  }
  out += '\n';
}

void trace::append(std::string& out, const std::vector<trace_entry>& ring, std::uint64_t from,
                   std::uint64_t to) const {
  for (std::uint64_t i = from; i < to; ++i) append(out, ring[i % kept_]);
}

void trace::mark() {
  marked_ = last_;
  marked_count_ = count_;
}

std::string trace::text(std::size_t n) const {
  std::string out;
  std::uint64_t first = count_ - std::min(n, last_.size());
  if (marked_count_ != 0 && marked_count_ <= first) {
    const std::uint64_t before = std::min(n - n / 2, marked_.size());
    append(out, marked_, marked_count_ - before, marked_count_);
    first = std::max(marked_count_, count_ - std::min(n / 2, last_.size()));
    if (first > marked_count_)
      out += "       ... and " + std::to_string(first - marked_count_) + " more ...\n";
  }
  append(out, last_, first, count_);
  return out;
}

}  // namespace parkring::kernel::sim
