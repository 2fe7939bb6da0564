// Reads single numbers out of JSON that another program wrote.
#pragma once

#include <initializer_list>
#include <string_view>

namespace lab {

/// The number at `path` in the JSON value that `text` begins with. A step of the path is the name
/// of a member, as it is written between the quotes, or the index of an element, as in
/// {"jobs", "0", "error"}. `unknown` when there is no number there, or no JSON on the way to it.
double json_number(std::string_view text, std::initializer_list<std::string_view> path);

}  // namespace lab
