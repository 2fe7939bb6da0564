#include <parkring/counters.hpp>

#include <ostream>

namespace parkring {

std::string to_string(const runtime_counters& c) {
  std::string text;
  const auto add = [&](const char* name, std::uint64_t n) {
    if (n == 0) return;
    if (!text.empty()) text += ", ";
    text.append(name).append(" ").append(std::to_string(n));
  };
  add("turns", c.turns);
  add("guest_turns", c.guest_turns);
  add("enters", c.enters);
  add("reader_enters", c.reader_enters);
  add("reader_wakes", c.reader_wakes);
  add("reader_waits", c.reader_waits);
  add("other_sleeps", c.other_sleeps);
  add("submissions", c.submissions);
  add("completions", c.completions);
  add("resubmissions", c.resubmissions);
  add("cancels", c.cancels);
  add("abandoned", c.abandoned);
  add("deferrals", c.deferrals);
  add("starvations", c.starvations);
  add("refused_enters", c.refused_enters);
  add("wakes", c.wakes);
  add("inline_hits", c.inline_hits);
  add("inline_misses", c.inline_misses);
  add("unregistered_buffers", c.unregistered_buffers);
  add("unregistered_files", c.unregistered_files);
  add("tasks_failed", c.tasks_failed);
  add("stalls", c.stalls);
  add("tasks", c.tasks);
  add("operations", c.operations);
  add("orphans", c.orphans);
  add("buffers", c.buffers);
  return text.empty() ? "nothing yet" : text;
}

std::ostream& operator<<(std::ostream& out, const runtime_counters& c) {
  return out << to_string(c);
}

}  // namespace parkring
