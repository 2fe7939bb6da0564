#include "exec/reader_choice.hpp"

#include <cerrno>
#include <cstdlib>
#include <string>
#include <string_view>
#include <system_error>

namespace parkring::exec {
namespace {

completion_reader named_by(std::string_view name) {
  if (name.empty() || name == "park") return completion_reader::park_layer;
  if (name == "thread") return completion_reader::reader_thread;
  if (name == "task") return completion_reader::driving_task;
  throw std::system_error(EINVAL, std::generic_category(),
                          "PARKRING_READER is \"" + std::string(name) +
                              "\": set it to park, thread or task, or unset it");
}

}  // namespace

completion_reader choose_reader(std::optional<completion_reader> wanted, bool linux_rings) {
  return choose_reader(wanted, linux_rings, std::getenv("PARKRING_READER"));
}

completion_reader choose_reader(std::optional<completion_reader> wanted, bool linux_rings,
                                const char* variable) {
  const completion_reader chosen = wanted ? *wanted : named_by(variable != nullptr ? variable : "");
  return linux_rings ? chosen : completion_reader::park_layer;
}

}  // namespace parkring::exec
