// The program fio as a contender in the rows of direct reads, random ones and those in order.
//
// It runs as a child of the measuring process, which it inherits its cpu from, and dies with it. It
// chooses the offsets and takes the time itself, so it works off no phases. It is told to do what
// the limit contender does: registered file and buffers, whole batches in and out, no map of the
// blocks that were read, and as its latency the one from submission to completion only, taken of
// every read. It does not open ordinary files with O_NOATIME.
#include "fio.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <stdexcept>

#include "../contender.hpp"
#include "../json.hpp"

namespace lab {
namespace {

constexpr std::size_t most_printed = 1U << 20;

// A colon separates names of files in fio's options.
std::string escaped(std::string_view path) {
  std::string result;
  for (const char c : path) {
    if (c == ':') result += '\\';
    result += c;
  }
  return result;
}

std::string option(const char* name, std::uint64_t value) {
  return "--" + std::string(name) + "=" + std::to_string(value);
}

std::string first_line(std::string_view text) {
  const std::size_t start = text.find_first_not_of(" \n");
  if (start == std::string_view::npos) return "nothing";
  return std::string(text.substr(start, text.find('\n', start) - start));
}

[[noreturn]] void become(const std::vector<std::string>& command, int output) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::dup2(output, STDOUT_FILENO);
  ::dup2(output, STDERR_FILENO);
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  ::execvp(arguments[0], arguments.data());
  ::dprintf(STDERR_FILENO, "execute %s: %s\n", arguments[0], std::strerror(errno));
  ::_exit(127);
}

// All that the command prints. Whether it went well is seen from that.
std::string printed_by(const std::vector<std::string>& command) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) < 0) fail("pipe: %s", std::strerror(errno));
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child < 0) fail("fork: %s", std::strerror(errno));
  if (child == 0) become(command, ends[1]);
  ::close(ends[1]);
  std::string printed;
  char part[4096];
  for (;;) {
    const ssize_t got = ::read(ends[0], part, sizeof(part));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    if (printed.size() < most_printed) printed.append(part, static_cast<std::size_t>(got));
  }
  ::close(ends[0]);
  while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
  return printed;
}

void read(session& run) { run.hand_in(fio_figures(printed_by(fio_command(run.plan())))); }

bool reads_directly_and_sums_nothing(const row& what) { return what.direct && !what.checksum; }

bool is_in_path(const char* program) {
  const char* const path = std::getenv("PATH");
  std::string_view folders = path != nullptr ? path : "";
  while (!folders.empty()) {
    const std::size_t end = std::min(folders.find(':'), folders.size());
    const std::filesystem::path candidate = std::filesystem::path(folders.substr(0, end)) / program;
    std::error_code ignored;
    if (std::filesystem::is_regular_file(candidate, ignored) &&
        ::access(candidate.c_str(), X_OK) == 0)
      return true;
    folders.remove_prefix(std::min(end + 1, folders.size()));
  }
  return false;
}

}  // namespace

std::vector<std::string> fio_command(const session_plan& plan) {
  const row& what = *plan.what;
  std::vector<std::string> command = {
      "fio", "--name=read", "--thread", "--readonly", "--eta=never", "--output-format=json",
      // The file: as it is, and no advice to the kernel about it.
      "--filename=" + escaped(plan.path), "--allow_file_create=0", "--invalidate=0",
      "--fadvise_hint=0", option("size", plan.table->units() * unit_bytes),
      // The reads.
      what.in_order ? "--rw=read" : "--rw=randread", "--norandommap=1",
      option("direct", what.direct ? 1 : 0), option("bs", what.block), "--ioengine=io_uring",
      "--fixedbufs=1", "--registerfiles=1", option("iodepth", what.depth),
      option("iodepth_batch_submit", what.depth), "--iodepth_batch_complete_min=1",
      option("iodepth_batch_complete_max", what.depth),
      // The latencies.
      "--disable_slat=1", "--disable_lat=1", "--percentile_list=50:99"};
  if (plan.operations != 0) command.push_back(option("io_size", plan.operations * what.block));
  if (plan.nanoseconds != 0) {
    const std::uint64_t milliseconds = std::max<std::uint64_t>(plan.nanoseconds / 1'000'000, 1);
    command.push_back(option("runtime", milliseconds) + "ms");
    if (plan.operations == 0) {
      command.emplace_back("--time_based=1");
      command.emplace_back("--ramp_time=10ms");  // the warm-up, as long as that of the others
    }
  }
  return command;
}

measurement fio_figures(std::string_view printed) {
  // What it has to say before its report, it says in lines of text.
  const std::size_t brace = printed.starts_with('{') ? 0 : printed.find("\n{");
  const std::string_view json =
      brace == std::string_view::npos ? std::string_view() : printed.substr(brace);
  const double operations = json_number(json, {"jobs", "0", "read", "total_ios"});
  if (json_number(json, {"jobs", "0", "error"}) != 0 || !(operations > 0))
    throw std::runtime_error("fio did not read; it printed: " + first_line(printed));

  // The two shares are of this time, in milliseconds.
  const double share_ns = json_number(json, {"jobs", "0", "job_runtime"}) * 1e6 / 100 / operations;
  const double user = json_number(json, {"jobs", "0", "usr_cpu"}) * share_ns;
  const double system = json_number(json, {"jobs", "0", "sys_cpu"}) * share_ns;
  measurement result;
  result.ops_per_s = json_number(json, {"jobs", "0", "read", "iops"});
  result.p50_ns = json_number(json, {"jobs", "0", "read", "clat_ns", "percentile", "50.000000"});
  result.p99_ns = json_number(json, {"jobs", "0", "read", "clat_ns", "percentile", "99.000000"});
  result.cpu_ns_per_op = user + system;
  result.user_ns_per_op = user;
  if (std::isnan(result.ops_per_s))
    throw std::runtime_error("fio's report has no rate of reads; is this fio 3?");
  return result;
}

void add_fio(roster& to) {
  if (!is_in_path("fio")) {
    to.left_out.emplace_back("fio: no program of this name in PATH (Debian: fio)");
    return;
  }
  for (const work kind : {work::read, work::read_sequential})
    to.present.push_back(
        {.name = "fio",
         .kind = kind,
         .run = read,
         .quick = false,
         .external = true,
         .fits = reads_directly_and_sums_nothing,
         .remark = "fio is a program of its own: its bytes were not verified, its system calls and "
                   "allocations are unknown, its latencies begin with the submission, and its CPU "
                   "time is in whole milliseconds, rounded down: more --seconds make it exact"});
}

}  // namespace lab
