#include <parkring/proc/exit_status.hpp>

#include <string.h>

namespace parkring {

std::string exit_status::text() const {
  if (exited()) return "exited with " + std::to_string(number_);
  const char* name = ::sigabbrev_np(number_);
  return "ended by " +
         (name != nullptr ? std::string("SIG") + name : "signal " + std::to_string(number_)) +
         (dumped_core() ? ", core dumped" : "");
}

}  // namespace parkring
