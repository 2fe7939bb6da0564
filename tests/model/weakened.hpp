// Atomics with a fault, to show that the explorer finds what the faults of a protocol do; and ways
// to reach into a protocol's word.
#pragma once

#include <cstdint>

#include "model/explorer.hpp"

namespace parkring::model {

/// Its stores release nothing.
template <class T>
struct relaxed_stores : atomic<T> {
  using atomic<T>::atomic;
  void store(T v, std::memory_order) { atomic<T>::store(v, std::memory_order_relaxed); }
};

/// Its loads acquire nothing.
template <class T>
struct relaxed_loads : atomic<T> {
  using atomic<T>::atomic;
  T load(std::memory_order) const { return atomic<T>::load(std::memory_order_relaxed); }
};

/// Its compare-exchanges do not compare.
template <class T>
struct blind_exchanges : atomic<T> {
  using atomic<T>::atomic;
  bool compare_exchange_weak(T&, T v, std::memory_order o, std::memory_order) {
    (void)atomic<T>::exchange(v, o);
    return true;
  }
  bool compare_exchange_strong(T& expected, T v, std::memory_order o, std::memory_order failure) {
    return compare_exchange_weak(expected, v, o, failure);
  }
};

/// Its read-modify-writes order nothing.
template <class T>
struct relaxed_changes : atomic<T> {
  using atomic<T>::atomic;
  static constexpr auto relaxed = std::memory_order_relaxed;
  T fetch_add(T v, std::memory_order) { return atomic<T>::fetch_add(v, relaxed); }
  T fetch_or(T v, std::memory_order) { return atomic<T>::fetch_or(v, relaxed); }
  T fetch_and(T v, std::memory_order) { return atomic<T>::fetch_and(v, relaxed); }
  T exchange(T v, std::memory_order) { return atomic<T>::exchange(v, relaxed); }
  bool compare_exchange_weak(T& expected, T v, std::memory_order, std::memory_order) {
    return atomic<T>::compare_exchange_weak(expected, v, relaxed, relaxed);
  }
};

/// The one made last can be reached: a protocol keeps its word private.
template <class T, class Base = atomic<T>>
struct exposed : Base {
  exposed(T initial) : Base(initial) { last = this; }  // NOLINT: as std::atomic
  static inline exposed* last = nullptr;
};

}  // namespace parkring::model
