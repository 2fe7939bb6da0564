// How a request that opens ends, whatever its path starts from.
#pragma once

#include <cerrno>
#include <cstdint>
#include <utility>

#include <parkring/detail/record.hpp>
#include <parkring/fs/file.hpp>

namespace parkring::detail {

/// Hands the descriptor to who waits; one that nobody waits for is closed.
inline after_completion complete_open(record&, op_waiter* w, std::int32_t res, std::uint32_t,
                                      bool) noexcept {
  if (res == -EINTR && w != nullptr) return after_completion::resubmit;
  opened_file opened;
  if (res >= 0) opened.set(res);
  if (w != nullptr) static_cast<open_waiter*>(w)->opened = std::move(opened);
  return after_completion::finish;
}

}  // namespace parkring::detail
