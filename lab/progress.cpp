#include "progress.hpp"

#include <unistd.h>

#include <cstdio>

namespace lab {
namespace {

using clock = std::chrono::steady_clock;
constexpr auto quiet_time = std::chrono::seconds(5);

long seconds(clock::duration time) {
  return static_cast<long>(std::chrono::duration_cast<std::chrono::seconds>(time).count());
}

}  // namespace

progress::progress()
    : terminal_(::isatty(STDERR_FILENO) == 1), start_(clock::now()), last_(start_ - quiet_time) {}

progress::~progress() { wipe(); }

void progress::wipe() {
  if (shown_) std::fputs("\r\033[K", stderr);
  shown_ = false;
}

void progress::show(std::size_t done, std::size_t all, const std::string& what) {
  const auto now = clock::now();
  if (terminal_) {
    std::fprintf(stderr, "\r\033[K[%zu/%zu, %ld s] %s", done, all, seconds(now - start_),
                 what.c_str());
    std::fflush(stderr);
    shown_ = true;
  } else if (now - last_ >= quiet_time) {
    std::fprintf(stderr, "[%zu/%zu, %ld s] %s\n", done, all, seconds(now - start_), what.c_str());
    last_ = now;
  }
}

void progress::say(const std::string& line) {
  wipe();
  std::fprintf(stderr, "%s\n", line.c_str());
}

}  // namespace lab
