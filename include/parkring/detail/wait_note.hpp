// What a waiter is waiting for, where nothing that the runtime has leads to it.
//
// Requests, timers, joins and what is ready are found through the runtime's own lists. A wait on an
// object that stands by itself, an event say, is not: its awaiter keeps a note, on a list of the
// runtime from the suspension until the awaiter dies. On the runtime's thread only.
#pragma once

#include <parkring/detail/waiter.hpp>

namespace parkring::detail {

struct wait_note : list_node {
  const waiter* who;  // set while linked
  const char* what;   // in a word or two

  wait_note() noexcept {}
  ~wait_note() { unlink(); }

  void begin(intrusive_list<wait_note>& notes, const waiter& w, const char* text) noexcept {
    who = &w;
    what = text;
    notes.push_back(*this);
  }
};

}  // namespace parkring::detail
