#include <parkring/fs/file.hpp>

#include <stdexcept>

#include "exec/core.hpp"
#include "fs/file_state.hpp"
#include "fs/rw_error.hpp"

namespace parkring::detail {

void throw_too_long(const buffer_block& block, std::size_t count) {
  throw std::out_of_range("the buffer has " + std::to_string(block.size) +
                          " bytes, fewer than the " + std::to_string(count) + " asked for");
}

}  // namespace parkring::detail

namespace parkring::fs {

using detail::direction;
using detail::file_ref;
using detail::state_of;

namespace {

// On the home thread: the handle was dropped elsewhere; its reference came along.
void handle_dropped_elsewhere(detail::message& m) noexcept {
  auto& base = static_cast<detail::file_state_base&>(m);
  if (--base.references != 0) return;
  if (base.home_of.is_here())
    detail::close_unreferenced(base);
  else
    delete &state_of(base);
}

}  // namespace

const detail::home_ref& file::check_unusual() const {
  PARKRING_CHECK(
      state_->home_of.is_here() || detail::shared_here(*state_),
      "use a file inside a task of its runtime, or on the thread that made it; a pipe or "
      "terminal of a runtime with several workers, on the worker that opened it");
  // A request on a stream is described: its task does not move any more.
  detail::core_base* const core = detail::this_thread_core;
  if (state_->special.load(std::memory_order_relaxed) && core != nullptr && state_->team == 0)
    detail::pin_running_task(*core);
  return detail::locker_for(*state_);
}

void file::drop() noexcept {
  if (state_ == nullptr) return;
  detail::file_state_base& base = *std::exchange(state_, nullptr);
  if (base.team != 0) return detail::drop_reference(base);
  if (base.home_of.is_here()) {
    if (--base.references == 0) detail::close_unreferenced(base);
    return;
  }
  base.run = &handle_dropped_elsewhere;
  if (base.home_of.post(base)) return;
  // The runtime is gone and with it every request, but for those it leaked: they keep the file.
  if (--base.references == 0) delete &state_of(base);
}

sync_operation file::sync() {
  return sync_operation({request(direction::write, nullptr, 0, 0).file, false});
}
sync_operation file::datasync() {
  return sync_operation({request(direction::write, nullptr, 0, 0).file, true});
}
size_operation file::size() const {
  return size_operation({request(direction::read, nullptr, 0, 0).file});
}

close_operation file::close() && {
  file_ref ref = request(direction::read, nullptr, 0, 0).file;
  std::string path = state_of(*state_).path.native();
  drop();
  return close_operation({std::move(ref), std::move(path)});
}

const std::filesystem::path& file::path() const noexcept {
  static const std::filesystem::path none;
  return state_ == nullptr ? none : state_of(*state_).path;
}
std::size_t file::memory_alignment() const noexcept {
  return state_ == nullptr ? 1 : state_of(*state_).memory_alignment;
}
std::size_t file::offset_alignment() const noexcept {
  return state_ == nullptr ? 1 : state_of(*state_).offset_alignment;
}

}  // namespace parkring::fs
