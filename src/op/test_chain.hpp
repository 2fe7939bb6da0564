// A chain of test records, with what happens to each part.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "op/test_records.hpp"

namespace parkring::op {

struct chain {
  std::vector<life> lives;
  std::vector<detail::op_waiter> waiters;
  std::vector<detail::record*> records;

  chain(test_driver& d, std::size_t n, std::vector<int>& order)
      : chain(d, std::vector<life>(n), order) {}
  chain(test_driver& d, std::vector<life> parts, std::vector<int>& order)
      : lives(std::move(parts)), waiters(lives.size()) {
    for (std::size_t i = 0; i < lives.size(); ++i) {
      lives[i].id = static_cast<int>(i);
      lives[i].order = &order;
      records.push_back(d.make(lives[i]));
      operations::attach(*records.back(), &waiters[i]);
    }
  }
  [[nodiscard]] int prepared() const {
    int n = 0;
    for (auto& l : lives) n += l.prepared;
    return n;
  }
};

}  // namespace parkring::op
