#include <parkring/dump.hpp>

#include <cstdio>
#include <ostream>
#include <string_view>

namespace parkring {
namespace {

std::string time_text(std::chrono::nanoseconds t) {
  const auto ns = static_cast<double>(t.count());
  char text[40];
  if (ns < 1e6)
    std::snprintf(text, sizeof text, "%.0f us", ns / 1e3);
  else if (ns < 1e9)
    std::snprintf(text, sizeof text, "%.0f ms", ns / 1e6);
  else
    std::snprintf(text, sizeof text, "%.1f s", ns / 1e9);
  return text;
}

std::string age_text(const dump_age& a) {
  if (a.time) return time_text(*a.time);
  return std::to_string(a.turns) + (a.turns == 1 ? " turn" : " turns");
}

std::string_view status_text(task_status s) {
  switch (s) {
    case task_status::running:
      return "running";
    case task_status::ready:
      return "ready";
    case task_status::waiting:
      return "waiting";
    case task_status::ended:
      return "ended";
  }
  return "";
}

std::string operation_text(const operation_dump& o) {
  std::string text = o.text + ", for " + age_text(o.age);
  if (!o.in_flight) text += ", not yet with the kernel";
  if (o.cancelling) text += ", being cancelled";
  return text;
}

void add_chain(std::string& out, const chain_dump& c, const std::string& indent);

void add_wait(std::string& out, const wait_dump& w, const std::string& indent) {
  out += indent + "waits for " + (w.operation ? operation_text(*w.operation) : w.what);
  if (w.left) out += ", " + time_text(*w.left) + " left";
  out += '\n';
  for (const chain_dump& branch : w.branches) {
    out += indent + "- " + std::string(status_text(branch.status)) + '\n';
    add_chain(out, branch, indent + "  ");
  }
}

void add_chain(std::string& out, const chain_dump& c, const std::string& indent) {
  const std::size_t before = c.left_out != 0 ? c.frames.size() / 2 : c.frames.size();
  for (std::size_t i = 0; i < c.frames.size(); ++i) {
    if (i == before) out += indent + "... " + std::to_string(c.left_out) + " more\n";
    out += indent + "in " + to_string(c.frames[i]) + '\n';
  }
  for (const wait_dump& w : c.waits) add_wait(out, w, indent);
  if (c.status == task_status::waiting && c.waits.empty())
    out += indent + "waits for something that leaves no note\n";
}

}  // namespace

std::string to_string(const code_place& place) {
  if (!place.function.empty()) return place.function;
  char number[32];
  if (place.module.empty()) {
    if (place.address == nullptr) return "";
    std::snprintf(number, sizeof number, "%p", place.address);
    return number;
  }
  std::snprintf(number, sizeof number, "+0x%llx", static_cast<unsigned long long>(place.offset));
  return place.module + number;
}

std::string to_string(const std::source_location& where) {
  if (where.line() == 0) return "";
  std::string text = where.file_name();
  text += ':' + std::to_string(where.line());
  if (where.function_name()[0] != '\0') text.append(" (").append(where.function_name()).append(")");
  return text;
}

std::string to_string(const task_dump& t) {
  std::string out = "task #" + std::to_string(t.number) + " ";
  out += status_text(t.chain.status);
  out += ", age " + age_text(t.age);
  const std::string where = t.where.line() != 0 ? to_string(t.where) : to_string(t.spawned_in);
  if (!where.empty()) out += ", spawned at " + where;
  if (t.spawned_by) out += ", by #" + std::to_string(*t.spawned_by);
  out += '\n';
  add_chain(out, t.chain, "  ");
  for (const wait_dump& w : t.other_waits) add_wait(out, w, "  ");
  return out;
}

std::string to_string(const runtime_dump& d) {
  std::string out = "parkring: " + std::to_string(d.tasks.size()) + " task(s), " +
                    std::to_string(d.orphans.size()) + " orphan(s), kernel " + d.kernel + "; " +
                    to_string(d.counters) + '\n';
  for (const task_dump& t : d.tasks) out += to_string(t);
  for (const operation_dump& o : d.orphans) out += "orphan: " + operation_text(o) + '\n';
  return out;
}

std::ostream& operator<<(std::ostream& out, const runtime_dump& d) { return out << to_string(d); }

}  // namespace parkring
