// The ways to hand memory to a request, beside the locking buffer.
//
//   file.read_at(buf, off)               a parkring::buffer, locked while the kernel has it
//   file.read_at(std::move(vec), off)    owned in, owned out: vector, string, unique_ptr<T[]>,
//   yours file.read_at(pr::copying(span), off) any span; a pooled buffer in between
//   file.read_at(pr::borrowed(span), off) memory that outlives the await, whose drop blocks
#pragma once

#include <concepts>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace parkring {

/// Memory that the request copies: read into a pooled buffer and copied to the span on resume, or
/// copied to a pooled buffer before a write goes to the kernel. Safe to drop at any time.
template <class B>
struct copied_span {
  std::span<B> bytes;
};
/// Memory that the request uses in place and that its owner keeps alive and leaves alone until the
/// await has ended. Dropping the await blocks the thread until the kernel has let go.
template <class B>
struct borrowed_span {
  std::span<B> bytes;
};

namespace detail {
template <class R>
concept writable_range = std::ranges::contiguous_range<R> && std::ranges::sized_range<R> &&
    std::is_trivially_copyable_v<std::ranges::range_value_t<R>>;

template <class R>
auto bytes_of(R&& range) noexcept {
  using element = std::remove_reference_t<decltype(*std::ranges::data(range))>;
  const std::span<element> s(std::ranges::data(range), std::ranges::size(range));
  if constexpr (std::is_const_v<element>)
    return std::as_bytes(s);
  else
    return std::as_writable_bytes(s);
}
}  // namespace detail

/// See `copied_span`. `range` is anything contiguous of trivially copyable elements.
template <detail::writable_range R>
[[nodiscard]] auto copying(R&& range) noexcept {
  auto bytes = detail::bytes_of(range);
  return copied_span<typename decltype(bytes)::element_type>{bytes};
}
/// See `borrowed_span`.
template <detail::writable_range R>
[[nodiscard]] auto borrowed(R&& range) noexcept {
  auto bytes = detail::bytes_of(range);
  return borrowed_span<typename decltype(bytes)::element_type>{bytes};
}

/// An array with its size: what a `unique_ptr<T[]>` travels in.
template <class T>
struct sized_array {
  std::unique_ptr<T[]> array;
  std::size_t size = 0;
};

/// Tells how a type owns bytes. Specialise it for your own type; it must be movable without
/// throwing, and `data` may depend on where the object lies.
///   static std::byte* data(V&) noexcept;   static std::size_t size(const V&) noexcept;
template <class V>
struct owned_memory;

template <class T, class A>
requires(std::is_trivially_copyable_v<T> &&
         !std::same_as<T, bool>) struct owned_memory<std::vector<T, A>> {
  static std::byte* data(std::vector<T, A>& v) noexcept {
    return reinterpret_cast<std::byte*>(v.data());
  }
  static std::size_t size(const std::vector<T, A>& v) noexcept { return v.size() * sizeof(T); }
};
template <class C, class Tr, class A>
struct owned_memory<std::basic_string<C, Tr, A>> {
  static std::byte* data(std::basic_string<C, Tr, A>& s) noexcept {
    return reinterpret_cast<std::byte*>(s.data());
  }
  static std::size_t size(const std::basic_string<C, Tr, A>& s) noexcept {
    return s.size() * sizeof(C);
  }
};
template <class T>
requires std::is_trivially_copyable_v<T>
struct owned_memory<sized_array<T>> {
  static std::byte* data(sized_array<T>& a) noexcept {
    return reinterpret_cast<std::byte*>(a.array.get());
  }
  static std::size_t size(const sized_array<T>& a) noexcept { return a.size * sizeof(T); }
};

/// A type that owns its bytes and can travel with a request.
template <class V>
concept owns_memory =
    std::is_nothrow_move_constructible_v<V> && !std::is_reference_v<V> && requires(V & v) {
  { owned_memory<V>::data(v) } -> std::same_as<std::byte*>;
  { owned_memory<V>::size(v) } -> std::convertible_to<std::size_t>;
};

/// What a request with owned memory gives: the object back, and the bytes transferred.
template <class V>
struct owned_result {
  V memory;
  std::size_t count = 0;
};

}  // namespace parkring
