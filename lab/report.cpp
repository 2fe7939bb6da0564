#include "report.hpp"

#include <cmath>
#include <cstdio>

namespace lab {
namespace {

template <typename... Args>
std::string formatted(const char* format, Args... args) {
  char text[256];
  std::snprintf(text, sizeof(text), format, args...);
  return text;
}

std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      result += '\\';
      result += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      result += formatted("\\u%04x", static_cast<unsigned>(c));
    } else {
      result += c;
    }
  }
  return result + '"';
}

std::string number(double value) {
  return std::isfinite(value) ? formatted("%.6g", value) : "null";
}

std::string count(double value) {
  if (std::isnan(value)) return "-";
  if (value == 0) return "0";
  if (value < 0.001) return "<0.001";
  return formatted("%.3f", value);
}

std::string percent(double share) { return formatted("%.0f %%", share * 100); }

std::string table_line(const result& line) {
  if (!line.failure.empty())
    return formatted("  %-20s failed: %.180s\n", line.contender.c_str(), line.failure.c_str());
  const measurement& m = line.figures;
  return formatted("  %-20s %9s %10s %10s %10s %9s %9s %9s %7s %7s\n", line.contender.c_str(),
                   with_unit(m.ops_per_s, false).c_str(), with_unit(m.p50_ns, true).c_str(),
                   with_unit(m.p99_ns, true).c_str(), with_unit(m.cpu_ns_per_op, true).c_str(),
                   count(m.syscalls_per_op).c_str(), count(m.switches_per_op).c_str(),
                   count(m.allocs_per_op).c_str(),
                   std::isnan(line.ratio) ? "-" : formatted("%.3f", line.ratio).c_str(),
                   percent(line.spread).c_str());
}

}  // namespace

std::string with_unit(double value, bool is_time) {
  if (std::isnan(value)) return "-";
  static constexpr const char* rate_units[] = {"", " k", " M", " G"};
  static constexpr const char* time_units[] = {" ns", " us", " ms", " s"};
  unsigned step = 0;
  // 999.5 would be printed as 1000.
  for (; step < 3 && value >= (step == 0 && is_time ? 9'999.5 : 999.5); ++step) value /= 1000;
  const char* unit = is_time ? time_units[step] : rate_units[step];
  const int digits = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return formatted("%.*f%s", digits, value, unit);
}

std::string as_text(const results& all) {
  std::string text;
  std::string row;
  for (const result& line : all.lines) {
    if (line.row != row) {
      row = line.row;
      text +=
          formatted("\n%-22s %9s %10s %10s %10s %9s %9s %9s %7s %7s\n", row.c_str(), "op/s", "p50",
                    "p99", "CPU/op", "calls/op", "switch/op", "allocs/op", "ratio", "spread");
    }
    text += table_line(line);
  }
  if (!all.remarks.empty()) text += "\n";
  for (const std::string& remark : all.remarks) text += "* " + remark + "\n";
  return text;
}

std::string as_json(const std::vector<result>& lines) {
  std::string text = "[";
  const char* separator = "\n";
  for (const result& line : lines) {
    if (!line.failure.empty()) continue;
    const measurement& m = line.figures;
    text += separator;
    text += "  {\"row\": " + quoted(line.row) + ", \"contender\": " + quoted(line.contender) +
            ", \"ops_per_s\": " + number(m.ops_per_s) + ", \"p50_ns\": " + number(m.p50_ns) +
            ", \"p99_ns\": " + number(m.p99_ns) +
            ", \"cpu_ns_per_op\": " + number(m.cpu_ns_per_op) +
            ", \"user_ns_per_op\": " + number(m.user_ns_per_op) +
            ", \"syscalls_per_op\": " + number(m.syscalls_per_op) +
            ", \"switches_per_op\": " + number(m.switches_per_op) +
            ", \"allocs_per_op\": " + number(m.allocs_per_op) +
            ", \"ratio\": " + number(line.ratio) + ", \"rounds\": " + std::to_string(line.rounds) +
            ", \"spread\": " + number(line.spread) + "}";
    separator = ",\n";
  }
  return text + "\n]\n";
}

}  // namespace lab
