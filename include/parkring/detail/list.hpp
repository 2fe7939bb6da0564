// An intrusive, doubly linked, circular list.
//
// A node is on at most one list and knows how to leave it in constant time, which is what makes
// dropping a waiting coroutine cheap: its waiter unlinks itself from whatever list holds it.
// Not thread-safe. Nodes never move while linked.
#pragma once

#include <cstddef>

#include <parkring/detail/check.hpp>

namespace parkring::detail {

struct list_node {
  list_node* prev = nullptr;  // null when on no list
  list_node* next;            // means nothing then

  list_node() noexcept {}
  list_node(const list_node&) = delete;
  list_node& operator=(const list_node&) = delete;

  [[nodiscard]] bool linked() const noexcept { return prev != nullptr; }

  void unlink() noexcept {
    if (prev == nullptr) return;
    prev->next = next;
    next->prev = prev;
    prev = nullptr;  // `next` may stay: only `prev` tells whether it is linked
  }
};

/// A list of `T`, which derives from `Node`, which is or derives from `list_node`: a type that is
/// on several lists at once has one base for each. The list does not own its nodes.
template <class T, class Node = list_node>
class intrusive_list {
 public:
  intrusive_list() noexcept { head_.prev = head_.next = &head_; }
  intrusive_list(const intrusive_list&) = delete;
  intrusive_list& operator=(const intrusive_list&) = delete;
  ~intrusive_list() {
    while (!empty()) head_.next->unlink();
  }

  [[nodiscard]] bool empty() const noexcept { return head_.next == &head_; }
  [[nodiscard]] T* front() noexcept { return empty() ? nullptr : element(head_.next); }

  /// Walks at most `n` nodes.
  [[nodiscard]] bool longer_than(std::size_t n) const noexcept {
    const list_node* at = head_.next;
    for (; at != &head_; at = at->next)
      if (n-- == 0) return true;
    return false;
  }

  /// Walks all nodes.
  [[nodiscard]] std::size_t size() const noexcept {
    std::size_t n = 0;
    for (const list_node* at = head_.next; at != &head_; at = at->next) ++n;
    return n;
  }

  void push_back(T& node) noexcept { insert_before(head_, static_cast<Node&>(node)); }
  void push_front(T& node) noexcept { insert_before(*head_.next, static_cast<Node&>(node)); }

  T* pop_front() noexcept {
    if (empty()) return nullptr;
    list_node* node = head_.next;
    head_.next = node->next;
    node->next->prev = &head_;
    node->prev = nullptr;
    return element(node);
  }

  /// Moves every node of `other` behind ours, in order, in constant time.
  void splice_back(intrusive_list& other) noexcept {
    if (other.empty()) return;
    list_node* first = other.head_.next;
    list_node* last = other.head_.prev;
    other.head_.prev = other.head_.next = &other.head_;
    first->prev = head_.prev;
    head_.prev->next = first;
    last->next = &head_;
    head_.prev = last;
  }

  /// Calls `f(const T&)` for each node, the last one first.
  template <class F>
  void for_each_backwards(F&& f) const {
    for (const list_node* n = head_.prev; n != &head_; n = n->prev) f(*element(n));
  }

  /// Calls `f(T&)` for each node; `f` may unlink the node it is given.
  template <class F>
  void for_each(F&& f) {
    for (list_node* n = head_.next; n != &head_;) {
      list_node* following = n->next;
      f(*element(n));
      n = following;
    }
  }

 private:
  static T* element(list_node* n) noexcept { return static_cast<T*>(static_cast<Node*>(n)); }
  static const T* element(const list_node* n) noexcept {
    return static_cast<const T*>(static_cast<const Node*>(n));
  }
  static void insert_before(list_node& at, list_node& node) noexcept {
    PARKRING_DCHECK(!node.linked(), "a node can be on one list only; unlink it first");
    node.prev = at.prev;
    node.next = &at;
    at.prev->next = &node;
    at.prev = &node;
  }

  list_node head_;
};

}  // namespace parkring::detail
