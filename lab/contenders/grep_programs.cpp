// Programs that search a tree for a text: ours, ripgrep and grep -r, as they are called.
//
// The tree is PARKRING_LAB_TREE, or /usr/share, or /usr where that has fewer than 50,000 files. It
// is in the page cache once the first run, which is not timed, has read it. All are told to search
// every file, hidden and binary ones too, and with as many threads as there are processors, but for
// grep, which has one. What they print is read from a pipe: grep looks less closely when it prints
// to /dev/null. The text is in hardly any file, so that what is measured is the search.
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "../clock.hpp"
#include "../contender.hpp"

namespace lab {
namespace {

constexpr const char* text = "wal_checkpoint";
constexpr std::size_t enough_files = 50'000;

std::size_t files_below(const std::string& path) {
  std::error_code ignored;
  std::size_t n = 0;
  using options = std::filesystem::directory_options;
  for (std::filesystem::recursive_directory_iterator
           at(path, options::skip_permission_denied, ignored),
       end;
       at != end; at.increment(ignored))
    if (at->symlink_status(ignored).type() == std::filesystem::file_type::regular) ++n;
  return n;
}

struct tree {
  std::string path;
  std::size_t files;
};

tree tree_to_search() {
  const char* const given = std::getenv("PARKRING_LAB_TREE");
  if (given != nullptr) return {given, files_below(given)};
  const std::size_t files = files_below("/usr/share");
  if (files >= enough_files) return {"/usr/share", files};
  return {"/usr", files_below("/usr")};
}

std::string processors() {
  cpu_set_t set;
  const int n = ::sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  return std::to_string(n);
}

std::string own_program() {
  std::error_code ignored;
  const auto here = std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path();
  return here.parent_path() / "examples" / "prgrep";
}

[[noreturn]] void become(const std::vector<std::string>& command, int output) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::dup2(output, STDOUT_FILENO);
  const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (nowhere >= 0) ::dup2(nowhere, STDERR_FILENO);
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  ::execvp(arguments[0], arguments.data());
  ::_exit(127);
}

// Runs it to its end. Files that cannot be read are no failure, as there may be some.
void search_once(const std::vector<std::string>& command) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) < 0) fail("pipe: %s", std::strerror(errno));
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child < 0) fail("fork: %s", std::strerror(errno));
  if (child == 0) become(command, ends[1]);
  ::close(ends[1]);
  char part[65536];
  for (;;) {
    const ssize_t got = ::read(ends[0], part, sizeof(part));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
  }
  ::close(ends[0]);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) > 2)
    fail("%s did not search: status %d", command[0].c_str(), status);
}

double cpu_ns_of_children() {
  rusage used{};
  ::getrusage(RUSAGE_CHILDREN, &used);
  const auto ns = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_usec) * 1e3;
  };
  return ns(used.ru_utime) + ns(used.ru_stime);
}

void measure(session& run, std::vector<std::string> command) {
  const tree where = tree_to_search();
  command.push_back(text);
  command.push_back(where.path);
  search_once(command);
  std::uint64_t runs = 0;
  const double cpu_start = cpu_ns_of_children();
  const std::uint64_t start = clock_ns();
  std::uint64_t end = start;
  do {
    search_once(command);
    ++runs;
    end = clock_ns();
  } while (end - start < run.plan().nanoseconds);
  const double files = static_cast<double>(where.files) * static_cast<double>(runs);
  measurement result;
  result.ops_per_s = files * 1e9 / static_cast<double>(end - start);
  result.cpu_ns_per_op = (cpu_ns_of_children() - cpu_start) / files;
  run.hand_in(result);
}

void with_prgrep(session& run) { measure(run, {own_program(), "-F", "-j", processors()}); }
void with_ripgrep(session& run) {
  measure(run,
          {"rg", "--no-config", "--no-ignore", "--hidden", "--binary", "-F", "-j", processors()});
}
void with_grep(session& run) { measure(run, {"grep", "-r", "-F"}); }

bool is_in_path(const char* program) {
  const char* const path = std::getenv("PATH");
  std::string folders = path != nullptr ? path : "";
  while (!folders.empty()) {
    const std::string candidate = folders.substr(0, folders.find(':')) + "/" + program;
    if (::access(candidate.c_str(), X_OK) == 0) return true;
    folders.erase(0, candidate.size() - std::strlen(program));
  }
  return false;
}

constexpr const char* remark =
    "prgrep: operations are files of the tree (PARKRING_LAB_TREE, or /usr/share); each contender "
    "is "
    "a program, run as a whole, grep with one thread";

}  // namespace

void add_grep_programs(roster& to) {
  const auto add = [&to](const char* name, void (*run)(session&)) {
    to.present.push_back({.name = name,
                          .kind = work::prgrep,
                          .run = run,
                          .quick = false,
                          .all_cpus = true,
                          .external = true,
                          .remark = remark});
  };
  if (::access(own_program().c_str(), X_OK) == 0)
    add("parkring", with_prgrep);
  else
    to.left_out.emplace_back("parkring in prgrep: build the target example_prgrep");
  if (is_in_path("rg"))
    add("ripgrep", with_ripgrep);
  else
    to.left_out.emplace_back("ripgrep: no program rg in PATH (Debian: ripgrep)");
  add("grep", with_grep);
}

}  // namespace lab
