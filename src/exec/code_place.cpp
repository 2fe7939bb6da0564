#include "exec/code_place.hpp"

namespace parkring::exec {

const code_place& code_places::of(const void* code) {
  auto [at, fresh] = known_.try_emplace(code);
  if (fresh && code != nullptr) {
    base::symbol s = symbols_.of(code);
    at->second = {.function = std::move(s.function),
                  .module = std::move(s.module),
                  .offset = s.offset,
                  .address = code};
  }
  return at->second;
}

std::string code_places::site(detail::spawn_site where) {
  if (where.code() != nullptr) return name_of(where.code());
  return to_string(where.line());
}

}  // namespace parkring::exec
