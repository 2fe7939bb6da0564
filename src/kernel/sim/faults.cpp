#include <parkring/sim/faults.hpp>

#include <parkring/detail/check.hpp>

#include <array>
#include <iterator>
#include <utility>

namespace parkring::sim {
namespace {

// In the order of `fault`.
struct entry {
  std::string_view name;
  fault_rule faults::*rule;
};
constexpr entry entries[] = {
    {"short_read", &faults::short_read},
    {"short_write", &faults::short_write},
    {"interrupted", &faults::interrupted},
    {"again", &faults::again},
    {"io_error_once", &faults::io_error_once},
    {"io_error_sticky", &faults::io_error_sticky},
    {"bad_sector", &faults::bad_sector},
    {"no_space", &faults::no_space},
    {"bit_rot", &faults::bit_rot},
    {"flipped_bit", &faults::flipped_bit},
    {"lost_write", &faults::lost_write},
    {"misdirected_write", &faults::misdirected_write},
    {"torn_write", &faults::torn_write},
    {"failed_sync", &faults::failed_sync},
    {"stall", &faults::stall},
    {"never_completes", &faults::never_completes},
    {"refused_enter", &faults::refused_enter},
    {"cancel_wins", &faults::cancel_wins},
    {"completion_wins", &faults::completion_wins},
    {"cancel_too_late", &faults::cancel_too_late},
};
static_assert(std::size(entries) == fault_kinds);

}  // namespace

std::string_view name_of(fault kind) noexcept {
  const auto at = static_cast<std::size_t>(kind);
  return at < fault_kinds ? entries[at].name : "error";
}

const fault_rule& faults::rule(fault kind) const {
  const auto at = static_cast<std::size_t>(kind);
  PARKRING_CHECK(at < fault_kinds, "ask for the rule of a fault that has one");
  return this->*entries[at].rule;
}
fault_rule& faults::rule(fault kind) {
  return const_cast<fault_rule&>(std::as_const(*this).rule(kind));
}

faults faults::everything(double probability) {
  faults f;
  for (const entry& e : entries) (f.*e.rule).probability = probability;
  return f;
}

faults faults::bearable(double probability) {
  faults f;
  for (const fault kind :
       {fault::short_read, fault::short_write, fault::interrupted, fault::again, fault::stall,
        fault::refused_enter, fault::cancel_wins, fault::completion_wins, fault::cancel_too_late})
    f.rule(kind).probability = probability;
  return f;
}

}  // namespace parkring::sim
