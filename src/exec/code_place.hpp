// Addresses in the code, in words, for reports. What was looked up once is remembered.
#pragma once

#include <parkring/detail/spawn_site.hpp>
#include <parkring/dump.hpp>

#include <string>
#include <unordered_map>

#include "base/symbols.hpp"

namespace parkring::exec {

class code_places {
 public:
  [[nodiscard]] const code_place& of(const void* code);
  /// The function's name, else "module+0xoffset"; empty for null.
  [[nodiscard]] std::string name_of(const void* code) { return to_string(of(code)); }
  /// "main.cpp:12 (main)", or as `name_of`; empty where nothing is known.
  [[nodiscard]] std::string site(detail::spawn_site where);

 private:
  base::symbols symbols_;
  std::unordered_map<const void*, code_place> known_;
};

}  // namespace parkring::exec
