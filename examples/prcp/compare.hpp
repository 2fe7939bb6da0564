// Whether a tree is a copy of another: reads both back.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include <parkring/task.hpp>

namespace prcp {

struct comparison {
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  std::uint64_t differences = 0;  // and what could not be read
};

/// Compares all that is below `from` with what has the same name below `to`; tells each difference,
/// in a sentence. What else is below `to` does not matter. Two files are compared like two trees.
parkring::task<comparison> compare(std::filesystem::path from, std::filesystem::path to,
                                   std::function<void(const std::string&)> tell);

}  // namespace prcp
