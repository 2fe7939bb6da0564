// How a dump is taken. The public part is <parkring/dump.hpp>.
#pragma once

#include <parkring/dump.hpp>

namespace parkring::exec {

class core;

/// On the runtime's thread.
[[nodiscard]] runtime_dump take_dump(core& c);

}  // namespace parkring::exec
