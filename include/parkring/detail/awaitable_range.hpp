// A range that awaitables may be moved out of.
#pragma once

#include <concepts>
#include <cstddef>
#include <ranges>
#include <type_traits>
#include <utility>
#include <vector>

#include <parkring/detail/awaitable.hpp>

namespace parkring::detail {

/// What its elements are moved from is nobody else's: it makes them as it goes, or gives them away
/// itself, or is a container that was handed over. A view of somebody's lvalues is none of these.
template <class R>
concept gives_elements =
    !std::is_lvalue_reference_v<std::ranges::range_reference_t<R>> ||
    (!std::is_lvalue_reference_v<R> && !std::ranges::view<std::remove_cvref_t<R>> &&
     !std::ranges::borrowed_range<R>);

template <class R>
concept awaitable_range = std::ranges::input_range<R> && !awaitable<R> && gives_elements<R> &&
                          awaitable<std::ranges::range_value_t<R>> &&
                          std::move_constructible<std::ranges::range_value_t<R>> &&
                          std::constructible_from<std::ranges::range_value_t<R>,
                                                  std::ranges::range_rvalue_reference_t<R>>;

template <awaitable_range R>
std::vector<std::ranges::range_value_t<R>> moved_out_of(R&& range) {
  if constexpr (std::is_same_v<R, std::vector<std::ranges::range_value_t<R>>>)
    return std::forward<R>(range);
  std::vector<std::ranges::range_value_t<R>> out;
  if constexpr (std::ranges::sized_range<R>)
    out.reserve(static_cast<std::size_t>(std::ranges::size(range)));
  const auto end = std::ranges::end(range);
  for (auto at = std::ranges::begin(range); at != end; ++at)
    out.push_back(std::ranges::iter_move(at));
  return out;
}

}  // namespace parkring::detail
