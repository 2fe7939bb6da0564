// parkring-lab: measures Parkring beside the best loop that can be written by hand and beside the
// libraries that people use today, on this machine.
#include <sys/utsname.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <exception>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "contender.hpp"
#include "data_file.hpp"
#include "process.hpp"
#include "progress.hpp"
#include "report.hpp"
#include "row.hpp"
#include "runner.hpp"

namespace {

struct options {
  std::string file;
  std::string json;
  std::uint64_t size_mib = 1024;
  double seconds = 0;
  unsigned rounds = 0;
  int cpu = 0;
  bool noatime = false;
  bool trace = false;
  std::vector<std::string> rows;
  std::vector<std::string> contenders;
  std::string once_row;
  std::string once_contender;
  std::uint64_t once_operations = 100'000;
};

void add_common(CLI::App& command, options& chosen) {
  command.add_option("--file", chosen.file,
                     "read this file instead of one that the lab makes in the cache folder");
  command.add_option("--json", chosen.json, "write the results to this file");
  command.add_option("--rounds", chosen.rounds, "rounds of each row (default: quick 3, bench 9)")
      ->check(CLI::Range(1, 1000));
  command.add_option("--cpu", chosen.cpu, "the cpu that contenders are pinned to")
      ->capture_default_str()
      ->check(CLI::Range(0, 1023));
  command.add_option("--size", chosen.size_mib, "size of the lab's own file in MiB")
      ->capture_default_str()
      ->check(CLI::Range(4, 1 << 20));
  command.add_flag("--noatime", chosen.noatime, "everybody opens the file with O_NOATIME");
  command.add_flag("--trace", chosen.trace,
                   "count everybody's system calls by tracing, and compare with their own count");
  command.add_option("--contender", chosen.contenders, "only these (limit is added by itself)");
}

void describe_machine(const lab::data_file* file) {
  utsname system{};
  ::uname(&system);
  std::printf("Linux %s, %ld cpus%s%s\n", system.release, ::sysconf(_SC_NPROCESSORS_ONLN),
              file != nullptr ? ", file " : "", file != nullptr ? file->path().c_str() : "");
  std::printf(
      "Medians of interleaved rounds, each in a process of its own. ratio: to the hand-written "
      "limit of the row,\n1.0 is as good. The bytes read were verified, unless a remark says "
      "otherwise.\n");
}

int measure(const options& chosen, lab::run_plan plan) {
  using namespace std::chrono;
  const auto start = steady_clock::now();
  plan.cpu = chosen.cpu;
  plan.noatime = chosen.noatime;
  plan.trace_all = chosen.trace;
  plan.contenders = chosen.contenders;
  if (!plan.contenders.empty()) plan.contenders.emplace_back("limit");
  if (!chosen.json.empty() && !std::ofstream(chosen.json, std::ios::app)) {
    std::fprintf(stderr, "parkring-lab: open %s for writing: %s; give --json another path\n",
                 chosen.json.c_str(), std::strerror(errno));
    return 2;
  }

  lab::progress screen;
  std::optional<lab::data_file> file;
  const auto the_file = [&]() -> const lab::data_file& {
    if (!file) {
      const auto say = [&](const std::string& line) { screen.say(line); };
      file = chosen.file.empty() ? lab::data_file::own(chosen.size_mib << 20, say)
                                 : lab::data_file::existing(chosen.file, say);
    }
    return *file;
  };
  // A bad --file is told before anything is measured. Making the file is no part of the time.
  for (const lab::row& one : plan.rows)
    if (one.part != lab::extent::none) the_file();
  if (plan.quick)
    plan.time -= std::min<steady_clock::duration>(steady_clock::now() - start, plan.time / 2);

  const lab::results all = lab::run_rows(plan, the_file, screen);
  screen.say("");
  describe_machine(file ? &*file : nullptr);
  std::fputs(lab::as_text(all).c_str(), stdout);
  if (!chosen.json.empty()) {
    std::ofstream out(chosen.json, std::ios::trunc);
    out << lab::as_json(all.lines) << std::flush;
    if (!out) {
      std::fprintf(stderr, "parkring-lab: write %s: %s\n", chosen.json.c_str(),
                   std::strerror(errno));
      return 1;
    }
  }
  for (const lab::result& line : all.lines)
    if (!line.failure.empty()) return 1;
  return 0;
}

int quick(const options& chosen) {
  lab::run_plan plan;
  for (const lab::row& one : lab::all_rows())
    if (one.quick) plan.rows.push_back(one);
  plan.quick = true;
  plan.rounds = chosen.rounds != 0 ? chosen.rounds : 3;
  plan.time = std::chrono::milliseconds(
      static_cast<long>((chosen.seconds > 0 ? chosen.seconds : 75) * 1000));
  return measure(chosen, plan);
}

int bench(const options& chosen) {
  lab::run_plan plan;
  plan.rows = lab::select_rows(chosen.rows);
  plan.rounds = chosen.rounds != 0 ? chosen.rounds : 9;
  plan.time = plan.rows.size() * std::chrono::milliseconds(static_cast<long>(
                                     (chosen.seconds > 0 ? chosen.seconds : 15) * 1000));
  return measure(chosen, plan);
}

// For callgrind, strace, perf and debuggers: no fork, no rounds, a fixed number of operations.
int once(const options& chosen) {
  const lab::row what = lab::select_rows({chosen.once_row}).front();
  std::optional<lab::data_file> file;
  lab::block_table none;
  if (what.part != lab::extent::none) {
    const auto say = [](const std::string& line) { std::fprintf(stderr, "%s\n", line.c_str()); };
    file = chosen.file.empty() ? lab::data_file::own(chosen.size_mib << 20, say)
                               : lab::data_file::existing(chosen.file, say);
  }
  for (const lab::contender& who : lab::all_contenders().present) {
    if (!who.does(what) || who.name != chosen.once_contender) continue;
    lab::result line;
    line.row = what.name;
    line.contender = who.name;
    line.rounds = 1;
    line.figures = lab::measure_here(who,
                                     {.what = &what,
                                      .table = file ? &file->table() : &none,
                                      .path = file ? file->path().c_str() : "",
                                      .operations = chosen.once_operations,
                                      .noatime = chosen.noatime},
                                     chosen.cpu);
    std::fputs(lab::as_text({.lines = {line}, .remarks = {}}).c_str(), stdout);
    return 0;
  }
  throw std::invalid_argument("row " + std::string(what.name) + " has no contender named " +
                              chosen.once_contender + "; see parkring-lab list");
}

int list() {
  for (const lab::row& one : lab::all_rows()) {
    std::printf("%-22s", one.name.data());
    for (const lab::contender& who : lab::all_contenders().present)
      if (who.does(one)) std::printf(" %s", who.name.c_str());
    std::printf("\n");
  }
  for (const std::string& reason : lab::all_contenders().left_out)
    std::printf("left out: %s\n", reason.c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  options chosen;
  CLI::App app("Parkring's lab: what the library costs on this machine, beside others.");
  app.require_subcommand(1);
  CLI::App* const quick_command =
      app.add_subcommand("quick", "reads of a real file, cached and direct, in about a minute");
  add_common(*quick_command, chosen);
  quick_command->add_option("--seconds", chosen.seconds, "for the whole run (default 75)")
      ->check(CLI::Range(1.0, 86400.0));
  CLI::App* const bench_command = app.add_subcommand("bench", "the rows named, or all");
  add_common(*bench_command, chosen);
  bench_command->add_option("--seconds", chosen.seconds, "for each row (default 15)")
      ->check(CLI::Range(0.1, 86400.0));
  bench_command->add_option("ROW", chosen.rows, "a row, or the part of its name before the slash");
  CLI::App* const once_command = app.add_subcommand(
      "once", "one contender in this process, for callgrind, strace, perf and debuggers");
  add_common(*once_command, chosen);
  once_command->add_option("ROW", chosen.once_row, "the row")->required();
  once_command->add_option("CONTENDER", chosen.once_contender, "the contender")->required();
  once_command->add_option("--operations", chosen.once_operations, "so many operations")
      ->capture_default_str()
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1} << 40));
  CLI::App* const list_command = app.add_subcommand("list", "the rows and their contenders");

  try {
    app.parse(argc, argv);
    if (quick_command->parsed()) return quick(chosen);
    if (bench_command->parsed()) return bench(chosen);
    if (once_command->parsed()) return once(chosen);
    if (list_command->parsed()) return list();
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "parkring-lab: %s\n", error.what());
    return 2;
  }
  return 2;
}
