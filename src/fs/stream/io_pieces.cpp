// A read or write of the background, as pieces.
//
// The pieces are requests on a part of our own over the same bytes, one after the other, and that
// part holds the user's lock on the buffer as long as it exists: from the call to the end of the
// whole or, if that is dropped, of the piece that is with the device. Its record has the lock on
// the part, so the memory stays whatever becomes of this task; the task that it is awaited in has
// its permit, so its turn lasts as long as it does (`shield`).

#include <parkring/fs/io_scheduler.hpp>

#include <algorithm>
#include <utility>

#include <parkring/as_result.hpp>
#include <parkring/buffer.hpp>
#include <parkring/fs/file.hpp>

#include "exec/core.hpp"
#include "fs/data/part_request.hpp"
#include "fs/file_state.hpp"

namespace parkring::fs {
namespace {

using detail::io_scheduler_state;
using detail::rw_request;
using detail::state_of;

// Of each piece but the last, whatever the file system's blocks are.
constexpr std::size_t least_grain = 4096;

// Dropped, it fails as silently as any request does.
task<result<std::size_t>> perform_piece(rw_operation<locking> operation,
                                        [[maybe_unused]] io_permit permit) {
  auto quiet = as_result(std::move(operation));
  co_return co_await std::move(quiet);
}

task<std::size_t> run_pieces(std::shared_ptr<io_scheduler_state> of, io_class as,
                             detail::file_ref file, buffer part, detail::direction way,
                             std::uint64_t offset) {
  detail::file_state_base& f = *file.get();
  if (f.team != 0) detail::lock_here(*buffer_access::block(part)->holds_lock_of);
  const std::size_t size = part.size();
  const std::size_t grain = std::max<std::size_t>(least_grain, state_of(f).offset_alignment);
  std::size_t done = 0;
  for (;;) {
    detail::quick_operation<detail::io_attempt> turn(
        detail::io_attempt(of, as, size - done, grain));
    io_permit permit = co_await std::move(turn);
    const std::size_t n = permit.bytes();
    rw_operation<locking> request(part_request(f, way, part, done, n, offset + done), locking{});
    auto work = perform_piece(std::move(request), std::move(permit));
    auto sheltered = shield(std::move(work));
    result<std::size_t> got = co_await std::move(sheltered);
    if (!got) {
      if (done != 0) co_return done;
      throw io_error(std::move(got).error());
    }
    done += *got;
    if (*got < n || done == size) co_return done;
  }
}

// What has no position, or one that others move, would be torn.
bool may_be_cut(const rw_request& q) {
  if (q.lock.get() == nullptr || q.size == 0) return false;
  const detail::file_state& f = state_of(*q.file.get());
  return f.stream == nullptr && !(q.way == detail::direction::write && f.appends);
}

}  // namespace

task<std::size_t> io_lane::run(rw_operation<locking> operation) const {
  const std::size_t bytes = operation.size();
  if (of_ == nullptr || as_ != io_class::background)
    return run_in(*this, std::move(operation), bytes);
  rw_request q = std::move(operation).take_request();
  if (!may_be_cut(q)) return run_in(*this, rw_operation<locking>(std::move(q), locking{}), bytes);
  buffer part = buffer_access::make(detail::make_part(*q.lock.get(), q.data, q.size));
  buffer_access::block(part)->holds_lock_of = q.lock.release();
  return run_pieces(of_, as_, std::move(q.file), std::move(part), q.way, q.offset);
}

}  // namespace parkring::fs
