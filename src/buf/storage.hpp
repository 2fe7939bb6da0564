// What the parts of one buffer share: the memory and the way back.
#pragma once

#include <atomic>
#include <memory>

#include "buf/pool.hpp"

namespace parkring::detail {

struct buffer_storage {
  std::atomic<unsigned> parts{1};
  buf::memory mem;                       // pooled memory, or
  std::unique_ptr<std::byte[]> adopted;  // a plain allocation
  std::shared_ptr<buf::pool> from;       // where `mem` goes back to
};

}  // namespace parkring::detail
