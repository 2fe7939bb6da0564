// How a dump is taken. The public part is <parkring/dump.hpp>.
#pragma once

#include <parkring/dump.hpp>

#include <cstddef>

namespace parkring::exec {

class core;

/// On the runtime's thread. The tasks are numbered from `numbered` + 1.
[[nodiscard]] runtime_dump take_dump(core& c, std::size_t numbered = 0);

}  // namespace parkring::exec
