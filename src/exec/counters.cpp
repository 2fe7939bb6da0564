#include <parkring/counters.hpp>

#include <ostream>
#include <type_traits>

namespace parkring {
namespace {

struct counter {
  const char* name;
  std::uint64_t runtime_counters::*value;
};
static_assert(std::is_same_v<std::size_t, std::uint64_t>, "one kind of member holds them all");

constexpr counter all[] = {
    {"turns", &runtime_counters::turns},
    {"guest_turns", &runtime_counters::guest_turns},
    {"enters", &runtime_counters::enters},
    {"reader_enters", &runtime_counters::reader_enters},
    {"reader_wakes", &runtime_counters::reader_wakes},
    {"reader_waits", &runtime_counters::reader_waits},
    {"other_sleeps", &runtime_counters::other_sleeps},
    {"submissions", &runtime_counters::submissions},
    {"completions", &runtime_counters::completions},
    {"resubmissions", &runtime_counters::resubmissions},
    {"cancels", &runtime_counters::cancels},
    {"abandoned", &runtime_counters::abandoned},
    {"deferrals", &runtime_counters::deferrals},
    {"starvations", &runtime_counters::starvations},
    {"refused_enters", &runtime_counters::refused_enters},
    {"wakes", &runtime_counters::wakes},
    {"inline_hits", &runtime_counters::inline_hits},
    {"inline_misses", &runtime_counters::inline_misses},
    {"unregistered_buffers", &runtime_counters::unregistered_buffers},
    {"unregistered_files", &runtime_counters::unregistered_files},
    {"steals", &runtime_counters::steals},
    {"injections", &runtime_counters::injections},
    {"moves", &runtime_counters::moves},
    {"tasks_failed", &runtime_counters::tasks_failed},
    {"stalls", &runtime_counters::stalls},
    {"tasks", &runtime_counters::tasks},
    {"operations", &runtime_counters::operations},
    {"orphans", &runtime_counters::orphans},
    {"buffers", &runtime_counters::buffers},
};
static_assert(sizeof all / sizeof *all == sizeof(runtime_counters) / sizeof(std::uint64_t),
              "a counter is missing here");

}  // namespace

runtime_counters& runtime_counters::operator+=(const runtime_counters& other) noexcept {
  for (const counter& c : all) this->*c.value += other.*c.value;
  return *this;
}

std::string to_string(const runtime_counters& c) {
  std::string text;
  for (const auto& [name, value] : all) {
    if (c.*value == 0) continue;
    if (!text.empty()) text += ", ";
    text.append(name).append(" ").append(std::to_string(c.*value));
  }
  return text.empty() ? "nothing yet" : text;
}

std::ostream& operator<<(std::ostream& out, const runtime_counters& c) {
  return out << to_string(c);
}

}  // namespace parkring
