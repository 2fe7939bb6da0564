// Failed calls about the entries of trees, in words.
#pragma once

#include <string>

#include <parkring/error.hpp>

namespace parkring::fs {

/// `number` as errno has it, or its negative.
[[nodiscard]] error tree_error(int number, const char* operation, std::string path);

}  // namespace parkring::fs
