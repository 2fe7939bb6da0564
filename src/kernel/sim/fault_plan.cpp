#include "kernel/sim/fault_plan.hpp"

#include <parkring/detail/check.hpp>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <utility>

namespace parkring::kernel::sim {
namespace {

using parkring::sim::fault;
using parkring::sim::operation;
using parkring::sim::operation_kind;

constexpr unsigned bit(operation_kind kind) { return 1u << static_cast<unsigned>(kind); }

constexpr unsigned reads = bit(operation_kind::read), writes = bit(operation_kind::write);
constexpr unsigned streams = bit(operation_kind::receive) | bit(operation_kind::send);
constexpr unsigned disk = reads | writes | bit(operation_kind::open) | bit(operation_kind::sync) |
                          bit(operation_kind::metadata) | bit(operation_kind::resize);
constexpr unsigned waits = disk | streams | bit(operation_kind::connect);

// The kinds of operation that a fault can happen to.
unsigned kinds_of(fault kind) {
  switch (kind) {
    case fault::short_read:
      return reads | bit(operation_kind::receive);
    case fault::short_write:
      return writes | bit(operation_kind::send);
    case fault::interrupted:
      return reads | writes | streams | bit(operation_kind::connect);
    case fault::again:  // files never say so
      return streams | bit(operation_kind::connect);
    case fault::io_error_once:
    case fault::io_error_sticky:
      return disk;
    case fault::bad_sector:
      return reads | writes;
    case fault::no_space:
      return writes | bit(operation_kind::open) | bit(operation_kind::metadata) |
             bit(operation_kind::resize);
    case fault::bit_rot:
    case fault::flipped_bit:
      return reads;
    case fault::lost_write:
    case fault::misdirected_write:
    case fault::torn_write:
      return writes;
    case fault::failed_sync:
      return bit(operation_kind::sync) | writes;
    case fault::stall:
    case fault::never_completes:
      return waits;
    case fault::refused_enter:
      return bit(operation_kind::enter);
    case fault::cancel_wins:
    case fault::completion_wins:
    case fault::cancel_too_late:
      return bit(operation_kind::cancel);
    case fault::error:
      break;
  }
  return 0;
}

bool kind_fits(fault kind, const operation& op) {
  return (kinds_of(kind) >> static_cast<unsigned>(op.kind) & 1) != 0;
}

// Some faults are also about more than the kind: one byte cannot be read in part.
bool can_happen(fault kind, const operation& op, const nature& of) {
  const std::uint64_t length = op.length;
  switch (kind) {
    case fault::failed_sync:
      return op.kind == operation_kind::sync || of.syncs_too;
    case fault::short_read:
    case fault::short_write:
      return of.may_be_short && length > of.unit;
    case fault::no_space:
      return of.may_need_space;
    case fault::bad_sector:
    case fault::bit_rot:
    case fault::flipped_bit:
    case fault::lost_write:
    case fault::misdirected_write:
    case fault::torn_write:
      return length > 0;
    default:
      return true;
  }
}

// A callback may answer the same to everything; this is whether its answer makes sense here.
bool fits(const parkring::sim::injected& answer, const operation& op, const nature& of) {
  if (answer.what != fault::error) {
    if (!kind_fits(answer.what, op)) return false;
    if (answer.what == fault::no_space) return true;  // it may know better
    if (answer.length != 0 && answer.length < of.unit) return false;
    return can_happen(answer.what, op, of);
  }
  PARKRING_CHECK(answer.error > 0, "give injected::error a positive errno");
  if (op.kind == operation_kind::cancel) return false;
  return op.kind != operation_kind::enter || answer.error == EAGAIN || answer.error == EBUSY ||
         answer.error == EINTR;
}

// -ln of a number in (0, 1], from plain arithmetic: libraries differ in the last digit.
double minus_log(std::uint64_t drawn) {
  if (drawn == 0) return 64 * 0.6931471805599453;
  const int zeros = std::countl_zero(drawn);
  const double mantissa = static_cast<double>((drawn << zeros) >> 11) * 0x1p-52;  // in [1, 2)
  const double z = (mantissa - 1) / (mantissa + 1), square = z * z;
  double sum = 0;
  for (int k = 15; k >= 1; k -= 2) sum = sum * square + 1.0 / k;
  return (zeros + 1) * 0.6931471805599453 - 2 * z * sum;
}

}  // namespace

bool matches(std::string_view pattern, std::string_view text) noexcept {
  std::size_t p = 0, t = 0, star = pattern.npos, resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p;
      ++t;
    } else if (star != pattern.npos) {  // the last star takes one character more
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

std::chrono::nanoseconds draw(const parkring::sim::latency& from, random& draws) {
  using parkring::sim::latency;
  std::chrono::nanoseconds result = from.from();
  if (from.kind() == latency::shape::uniform && from.to() > from.from()) {
    const auto span = static_cast<std::uint64_t>((from.to() - from.from()).count());
    result += std::chrono::nanoseconds(draws.between(0, span));
  } else if (from.kind() == latency::shape::exponential) {
    const double times = std::min(40.0, minus_log(draws.next()));
    result = std::chrono::nanoseconds(
        static_cast<std::int64_t>(static_cast<double>(from.from().count()) * times));
  }
  if (draws.chance(from.stall_probability())) result += from.stall();
  return result;
}

fault_plan::fault_plan(parkring::sim::faults faults, parkring::sim::latencies latencies,
                       random draws)
    : faults_(std::move(faults)),
      latencies_(latencies),
      draws_(draws.split()),
      times_(draws.split()) {
  for (std::size_t k = 0; k < parkring::sim::fault_kinds; ++k) {
    const auto kind = static_cast<fault>(k);
    const parkring::sim::fault_rule& rule = std::as_const(faults_).rule(kind);
    PARKRING_CHECK(rule.probability >= 0 && rule.probability <= 1,
                   "give faults a probability between 0 and 1");
    if (!rule.active()) continue;
    for (std::size_t o = 0; o < parkring::sim::operation_kinds; ++o)
      if (kinds_of(kind) & 1u << o) of_kind_[o].push_back(static_cast<std::uint8_t>(rules_.size()));
    rules_.push_back({kind});
  }
}

bool fault_plan::strikes(active_rule& active, const operation& op, const nature& of) {
  const parkring::sim::fault_rule& rule = std::as_const(faults_).rule(active.kind);
  if (!can_happen(active.kind, op, of)) return false;
  if (!rule.path.empty() && !matches(rule.path, op.path) &&
      (op.target.empty() || !matches(rule.path, op.target)))
    return false;
  if (active.kind == fault::io_error_sticky && op.path.empty()) return false;
  ++active.eligible;
  // Drawn in any case: the schedule of a rule does not change its chances.
  const bool by_chance = draws_.chance(rule.probability);
  const bool strikes = by_chance || active.eligible == rule.at ||
                       std::ranges::find(rule.steps, op.step) != rule.steps.end();
  return strikes && struck(active.kind) < rule.at_most;
}

std::optional<fault_decision> fault_plan::decide(const operation& op, const nature& of) {
  if (faults_.callback) {
    const auto answer = faults_.callback(op);
    if (answer && fits(*answer, op, of)) return decision(*answer, op, of);
  }
  std::optional<fault_decision> result;
  for (const std::uint8_t r : of_kind_[static_cast<std::size_t>(op.kind)]) {
    // The others count and draw as well, so that they do not depend on this one.
    if (strikes(rules_[r], op, of) && !result) result = decision({.what = rules_[r].kind}, op, of);
  }
  return result;
}

void fault_plan::happens(const fault_decision& d, const operation& op) {
  if (d.what == fault::io_error_sticky && !op.path.empty()) broken_.emplace(op.path);
}

std::optional<fault_decision> fault_plan::follow(const operation& op) const {
  if (broken_.empty() || !kind_fits(fault::io_error_sticky, op)) return std::nullopt;
  if (!broken_.contains(op.path) && !broken_.contains(op.target)) return std::nullopt;
  fault_decision d;
  d.what = fault::io_error_sticky;
  d.error = EIO;
  return d;
}

fault_decision fault_plan::decision(const parkring::sim::injected& what, const operation& op,
                                    const nature& of) {
  ++struck_[static_cast<std::size_t>(what.what)];
  fault_decision d;
  d.what = what.what;
  d.where = draws_.next();
  switch (what.what) {
    case fault::short_read:
    case fault::short_write:
      // At least one unit, and at least one less than all of them.
      d.length = what.length != 0 ? what.length / of.unit * of.unit
                                  : (1 + draws_.below((op.length - 1) / of.unit)) * of.unit;
      break;
    case fault::interrupted:
      d.error = EINTR;
      break;
    case fault::again:
      d.error = EAGAIN;
      break;
    case fault::io_error_sticky:
    case fault::io_error_once:
      d.error = EIO;
      break;
    case fault::no_space:
      d.error = ENOSPC;
      break;
    case fault::refused_enter:
      d.error = d.where & 1 ? EAGAIN : EBUSY;
      break;
    case fault::stall:
      d.delay = what.delay.count() != 0 ? what.delay : faults_.stall_time;
      break;
    case fault::error:
      d.error = what.error;
      break;
    default:
      break;
  }
  return d;
}

std::chrono::nanoseconds fault_plan::latency_of(operation_kind kind, bool calm) {
  const parkring::sim::latency& from = [&]() -> const parkring::sim::latency& {
    switch (kind) {
      case operation_kind::open:
        return latencies_.open;
      case operation_kind::read:
        return latencies_.read;
      case operation_kind::write:
        return latencies_.write;
      case operation_kind::sync:
        return latencies_.sync;
      case operation_kind::metadata:
        return latencies_.metadata;
      case operation_kind::resize:
        return latencies_.resize;
      default:
        return latencies_.other;
    }
  }();
  // The least, or the mean of an exponential one; no stalls.
  return calm ? from.from() : draw(from, times_);
}

}  // namespace parkring::kernel::sim
