#include "name_filter.hpp"

#include <fnmatch.h>

#include <algorithm>
#include <ranges>
#include <utility>

namespace prgrep {
namespace {

bool fits(const std::string& glob, const std::string& name, bool given) {
  if (::fnmatch(glob.c_str(), name.c_str(), 0) == 0) return true;
  for (std::size_t i = 0; given && i + 1 < name.size(); ++i)
    if (name[i] == '/' && name[i + 1] != '/' &&
        ::fnmatch(glob.c_str(), name.c_str() + i + 1, 0) == 0)
      return true;
  return false;
}

}  // namespace

void name_filter::exclude_directory(std::string glob) {
  while (glob.size() > 1 && glob.ends_with('/')) glob.pop_back();
  directories_.push_back(std::move(glob));
}

bool name_filter::takes(const std::string& name, bool given) const {
  if (files_.empty()) return true;
  for (const rule& r : files_ | std::views::reverse)
    if (fits(r.glob, name, given)) return r.includes;
  return !files_.front().includes;
}

bool name_filter::takes_directory(const std::string& name) const {
  return std::ranges::none_of(directories_,
                              [&](const auto& glob) { return fits(glob, name, false); });
}

bool name_filter::takes_given_directory(const std::string& path) const {
  std::string name = path;
  while (name.size() > 1 && name.ends_with('/')) name.pop_back();
  return std::ranges::none_of(directories_,
                              [&](const auto& glob) { return fits(glob, name, true); });
}

}  // namespace prgrep
