// What belongs to the runtime of one thread, and is of no use on another: an object that a task of
// another worker could only drop.
#pragma once

#include <functional>
#include <memory>
#include <type_traits>

namespace parkring::detail {

/// Says so of a type by a member `using bound_to_thread = void`.
template <class T>
    struct is_thread_bound : std::bool_constant < requires {
  typename T::bound_to_thread;
} > {};
template <class T>
struct is_thread_bound<std::reference_wrapper<T>> : is_thread_bound<std::remove_cv_t<T>> {};
template <class T>
struct is_thread_bound<T*> : is_thread_bound<std::remove_cv_t<T>> {};
template <class T, class D>
struct is_thread_bound<std::unique_ptr<T, D>> : is_thread_bound<std::remove_cv_t<T>> {};
template <class T>
struct is_thread_bound<std::shared_ptr<T>> : is_thread_bound<std::remove_cv_t<T>> {};

template <class T>
concept thread_bound = is_thread_bound<T>::value;

}  // namespace parkring::detail
