// What the explorer prints of a schedule that goes wrong.
#include <iomanip>
#include <ostream>
#include <sstream>

#include "model/explorer.hpp"

namespace parkring::model {
namespace {

const char* text(std::memory_order o) {
  switch (o) {
    case std::memory_order_relaxed:
      return "relaxed";
    case std::memory_order_acquire:
    case std::memory_order_consume:
      return "acquire";
    case std::memory_order_release:
      return "release";
    case std::memory_order_acq_rel:
      return "acq_rel";
    default:
      return "seq_cst";
  }
}
const char* text(kind k) {
  static constexpr const char* texts[] = {"load", "store", "exchange",         "add",
                                          "or",   "and",   "compare-exchange", "compare-exchange",
                                          "take", "choose"};
  return texts[static_cast<unsigned>(k)];
}
struct number {
  word value;
};
std::ostream& operator<<(std::ostream& out, number n) {
  if (n.value < 100'000) return out << n.value;
  return out << "0x" << std::hex << n.value << std::dec;
}

}  // namespace

std::string explorer::place(const void* at) const {
  for (const range& r : names_) {
    const auto offset =
        reinterpret_cast<std::uintptr_t>(at) - reinterpret_cast<std::uintptr_t>(r.at);
    if (offset >= r.size) continue;
    return offset == 0 ? r.text : r.text + '+' + std::to_string(offset);
  }
  for (std::size_t i = 0; i < atomics_.size(); ++i)
    if (atomics_[i].at == at) return "atomic " + std::to_string(i);
  for (std::size_t i = 0; i < plains_.size(); ++i)
    if (plains_[i].at == at) return "plain " + std::to_string(i);
  return "?";
}

std::string explorer::line(const step& s) const {
  std::ostringstream out;
  const operation& o = s.o;
  out << std::left << std::setw(12) << threads_[s.thread].name;
  if (o.what == kind::choose) {
    out << "chooses " << s.a.was;
    return out.str();
  }
  out << std::setw(14) << place(s.plain ? plains_[o.at].at : atomics_[o.at].at) << text(o.what);
  if (!s.plain) out << ' ' << text(o.order);
  const bool compares = o.what == kind::compare_weak || o.what == kind::compare_strong;
  if (compares) out << ' ' << number{o.expected} << " ->";
  if (o.what != kind::load && o.what != kind::take) out << ' ' << number{o.operand};
  if (compares && !s.a.done) {
    out << " fails";
    if (s.a.was == o.expected) out << " without cause";
  }
  if (o.what != kind::store && !(compares && s.a.was == o.expected)) out << ": " << number{s.a.was};
  if (o.what != kind::store && s.from != s.newest) out << " (" << s.newest - s.from << " old)";
  return out.str();
}

std::string explorer::trace() const {
  std::ostringstream out;
  for (std::size_t i = 0; i < steps_.size(); ++i)
    out << std::right << std::setw(4) << i + 1 << "  " << line(steps_[i]) << '\n';
  for (const thread_place& t : threads_) {
    out << "      " << std::left << std::setw(12) << t.name;
    if (t.now.is == phase::asks)
      out << "is before: " << text(t.now.asked.what) << ' '
          << (t.now.asked.what == kind::choose ? "" : place(atomics_[t.now.asked.at].at)) << '\n';
    else
      out << (t.now.is == phase::ended ? "has ended\n" : "runs\n");
  }
  return out.str();
}

std::ostream& operator<<(std::ostream& out, const outcome& o) {
  out << o.states << " states, " << o.steps << " steps";
  if (o.failure.empty()) return out << (o.complete ? "" : ": not all of them");
  return out << ": " << o.failure;
}

}  // namespace parkring::model
