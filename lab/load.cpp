#include "load.hpp"

#include <algorithm>

namespace lab {
namespace {

constexpr std::size_t most_samples = 1U << 16;

}  // namespace

load::load(const row& what, const block_table& table, limits until)
    : block_bytes_(what.block),
      in_order_(what.checksum || what.in_order),
      inspect_all_(until.verify_each || what.checksum),
      verify_each_(until.verify_each),
      summing_(what.checksum),
      offset_of_(what.depth),
      table_(&table),
      sample_every_(what.sample_every),
      limit_(until.operations) {
  const std::uint64_t file_bytes = table.units() * unit_bytes;
  const std::uint64_t extent_bytes = what.part == extent::hot_set
                                         ? std::min<std::uint64_t>(hot_set_bytes, file_bytes)
                                         : file_bytes;
  blocks_ = extent_bytes / block_bytes_;
  if (summing_) limit_ = std::min(limit_, blocks_);
  latencies_.reserve(most_samples);
  arm_countdown();
  deadline_ticks_ =
      ticks() + static_cast<std::uint64_t>(static_cast<double>(until.nanoseconds) / ns_per_tick());
}

// The countdown is one more than the operations it lets pass, as it is counted before each.
void load::arm_countdown() noexcept {
  step_ = std::min<std::uint64_t>(sample_every_, limit_ - issued_);
  countdown_ = step_ + 1;
}

bool load::checkpoint(unsigned slot) noexcept {
  const std::uint64_t now = ticks();
  issued_ += step_;
  step_ = 0;
  countdown_ = 1;  // an ended stream comes here again each time
  if (ended_ || issued_ >= limit_ || now >= deadline_ticks_) {
    ended_ = true;
    return false;
  }
  arm_countdown();
  --countdown_;  // for the operation being asked for
  if (sampled_ == no_slot && latencies_.size() < most_samples) {
    sampled_ = slot;
    sample_start_ = now;
  }
  return true;
}

void load::take_sample() noexcept {
  latencies_.push_back(static_cast<double>(ticks() - sample_start_) * ns_per_tick());
  sampled_ = no_slot;
}

void load::inspect(unsigned slot, const std::byte* data) noexcept {
  if (slot == sampled_) take_sample();
  if (!verify_each_ && !summing_) return;
  const std::uint64_t first = offset_of_[slot] / unit_bytes;
  for (std::uint64_t i = 0; i < block_bytes_ / unit_bytes; ++i) {
    const std::uint64_t sum = sum_of_unit(data + i * unit_bytes);
    if (summing_) sum_ += placed(first + i, sum);
    if (verify_each_ && sum != table_->sum(first + i))
      fail("wrong bytes were read at offset %llu",
           static_cast<unsigned long long>((first + i) * unit_bytes));
  }
}

void load::wrong_size(unsigned slot, std::size_t size) noexcept {
  fail("read at offset %llu returned %lld instead of %zu bytes",
       static_cast<unsigned long long>(offset_of_[slot]),
       static_cast<long long>(static_cast<std::ptrdiff_t>(size)), block_bytes_);
}

bool load::batch(unsigned size) noexcept {
  const std::uint64_t now = ticks();
  if (step_ == size && latencies_.size() < most_samples && sample_start_ != 0)
    latencies_.push_back(static_cast<double>(now - sample_start_) * ns_per_tick() / size);
  if (issued_ >= limit_ || now >= deadline_ticks_) return false;
  sample_start_ = now;
  issued_ += size;
  step_ = size;
  return true;
}

std::uint64_t load::operations() const noexcept { return issued_; }

double load::verified_share() const noexcept {
  if (!summing_) return 1.0;
  const std::uint64_t units = issued_ * (block_bytes_ / unit_bytes);
  if (sum_ != table_->total(units))
    fail("the checksum of the first %llu bytes is wrong",
         static_cast<unsigned long long>(units * unit_bytes));
  return static_cast<double>(issued_) / static_cast<double>(blocks_);
}

}  // namespace lab
