// The files that are registered with a ring: requests on them skip the kernel's descriptor lookup.
//
// A slot belongs to one file from `add` until its removal has completed; only then is it given to
// another. So a request can never meet another file in the slot it names: it holds a reference to
// its file, and the removal begins when the last reference has gone.
#pragma once

#include <vector>

#include "exec/core.hpp"
#include "exec/service.hpp"

namespace parkring::fs {

class file_table final : public exec::service {
 public:
  explicit file_table(exec::core& core) : core_(core) {}

  /// The slot of `fd`, or -1 when there is no room or registering does not work here.
  [[nodiscard]] int add(int fd) noexcept;
  /// The removal of `slot` has completed.
  void free_slot(int slot) noexcept { free_.push_back(slot); }  // capacity was reserved

 private:
  bool make_table() noexcept;

  exec::core& core_;
  std::vector<int> free_;
  bool made_ = false;
};

}  // namespace parkring::fs
