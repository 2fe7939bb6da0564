#include <parkring/fs/allocate.hpp>

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <limits>

#include "exec/core.hpp"
#include "fs/data/part_request.hpp"
#include "fs/file_state.hpp"
#include "fs/rw_error.hpp"
#include "kernel/abi.hpp"

namespace parkring::detail {
namespace {

namespace abi = kernel::abi;
using kind = file_range_request::kind;

constexpr std::uint64_t last_offset = INT64_MAX;
// What a 32-bit length may be, in whole pages.
constexpr std::uint64_t longest_step = 0xffff0000;

struct range_payload {
  file_ref file;
  const char* name;
  kind what;
  std::uint32_t mode;
  std::uint64_t offset;
  std::uint64_t length;
};

void prepare(record& r, abi::sqe& e) noexcept {
  const auto& p = r.as<range_payload>();
  e.fd = state_of(*p.file.get()).fd.get();
  e.off = p.offset;
  switch (p.what) {
    case kind::allocate:
      e.opcode = abi::op_fallocate;
      e.addr = p.length;
      e.len = p.mode;
      break;
    case kind::advise:
      e.opcode = abi::op_fadvise;
      // Older kernels have 32 bits for it, and refuse what says more; see `complete`.
      if (p.length > longest_step)
        e.addr = p.length;
      else
        e.len = static_cast<std::uint32_t>(p.length);
      e.fadvise_advice = p.mode;
      break;
    case kind::sync:
      e.opcode = abi::op_sync_file_range;
      e.len = static_cast<std::uint32_t>(p.length);
      e.sync_range_flags = p.mode;
      break;
  }
}

after_completion complete(record& r, op_waiter* w, std::int32_t res, std::uint32_t, bool) noexcept {
  const bool wanted = w != nullptr || r.cancel_wanted == cancel_wish::none;
  if (auto& p = r.as<range_payload>();
      res == -EINVAL && p.what == kind::advise && p.length > longest_step && wanted) {
    p.length = longest_step;  // a wish only: a part of it is better than an error
    return after_completion::resubmit;
  }
  return res == -EINTR && wanted ? after_completion::resubmit : after_completion::finish;
}

void describe(const record& r, std::string& out) {
  const auto& p = r.as<range_payload>();
  out += std::string(p.name) + "(" + state_of(*p.file.get()).path.native() + ", offset " +
         std::to_string(p.offset) + ", " + std::to_string(p.length) + " bytes)";
}

constexpr record_type type_of(const char* name, bool has_effect) noexcept {
  return {.name = name,
          .prepare = &prepare,
          .complete = &complete,
          .destroy = [](record& r) noexcept { r.as<range_payload>().~range_payload(); },
          .cancel_when_dropped = [](const record&) noexcept { return false; },
          .describe = &describe,
          .has_effect = has_effect,
          .breaks_chain = false};
}
const record_type changes = type_of("allocate", true), wishes = type_of("advise", false);

std::string advice_for(int number, kind what) {
  switch (number) {
    case EINVAL:
      return what == kind::allocate
                 ? "a range has a length, ends below 2^63 and, to be cut out or inserted, is made "
                   "of whole blocks of the file system before the end of the file"
                 : "the range lies below 2^63; was its offset or length negative?";
    case EOPNOTSUPP:
      return "the file system cannot do this; write zeros, or copy what is to be moved";
    case ENOSPC:
      return "the file system has less space than the range needs; free some";
    case ESPIPE:
    case ENODEV:
      return "only files have space of their own";
    case EBADF:
      return "the file was not opened for writing";
    case EPERM:
      return "the file is append-only, immutable or sealed";
    default:
      return {};
  }
}

}  // namespace

bool file_range_request::ready(op_waiter& w) noexcept {
  const auto& f = state_of(*file.get());
  PARKRING_CHECK(usable_on(f, running_core()),
                 "await a file's requests on the runtime it belongs to");
  if (f.closed) {
    w.answer = -EBADF;
    return true;
  }
  if (offset > last_offset || length > last_offset) {
    w.answer = -EINVAL;
    return true;
  }
  return false;
}

record* file_range_request::make(op_waiter&) noexcept {
  record* const r = core_for(*file.get()).ops.acquire(what == kind::allocate ? changes : wishes);
  if (r != nullptr) r->emplace<range_payload>(file.share(), name, what, mode, offset, length);
  return r;
}

void file_range_request::start(op_waiter& w) noexcept {
  auto& ops = core_for(*file.get()).ops;
  record* const r = make(w);
  if (r == nullptr) return ops.starve(w);
  ops.submit(*r, &w);
}

error file_range_request::failure(int number) const {
  const auto& f = state_of(*file.get());
  const error plain = fs::file_error(number, name, f);
  std::string advice = f.closed ? plain.advice() : advice_for(number, what);
  if (advice.empty()) advice = plain.advice();
  return {number, name,
          f.path.native() + ", offset " + std::to_string(offset) + ", " + std::to_string(length) +
              " bytes",
          std::move(advice)};
}

}  // namespace parkring::detail

namespace parkring::fs {

using detail::file_ref;
using kind = detail::file_range_request::kind;

namespace {

file_range_operation request(file& of, const char* name, kind what, int mode, std::uint64_t offset,
                             std::uint64_t length) {
  return file_range_operation(detail::file_range_request{
      reference_to(of), name, what, static_cast<std::uint32_t>(mode), offset, length});
}

int keeping(allocate_size size) noexcept {
  return size == allocate_size::keep ? FALLOC_FL_KEEP_SIZE : 0;
}

task<> sync_in_steps(file_ref file, std::uint64_t offset, std::uint64_t length, int mode) {
  if (offset > detail::last_offset || length > detail::last_offset) {
    const detail::file_range_request bad{std::move(file), "sync_range", kind::sync, 0,
                                         offset,          length};
    throw io_error(bad.failure(EINVAL));
  }
  const bool to_end = length == 0;
  do {
    const std::uint64_t n = std::min(length, detail::longest_step);
    detail::file_range_request step{
        file.share(), "sync_range", kind::sync, static_cast<std::uint32_t>(mode), offset, n};
    co_await file_range_operation(std::move(step));
    offset += n;
    length -= n;
  } while (!to_end && length != 0);
}

}  // namespace

file_range_operation allocate(file& of, std::uint64_t offset, std::uint64_t length,
                              allocate_size size) {
  return request(of, "allocate", kind::allocate, keeping(size), offset, length);
}
file_range_operation punch_hole(file& of, std::uint64_t offset, std::uint64_t length) {
  return request(of, "punch_hole", kind::allocate, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                 offset, length);
}
file_range_operation zero_range(file& of, std::uint64_t offset, std::uint64_t length,
                                allocate_size size) {
  return request(of, "zero_range", kind::allocate, FALLOC_FL_ZERO_RANGE | keeping(size), offset,
                 length);
}
file_range_operation collapse_range(file& of, std::uint64_t offset, std::uint64_t length) {
  return request(of, "collapse_range", kind::allocate, FALLOC_FL_COLLAPSE_RANGE, offset, length);
}
file_range_operation insert_range(file& of, std::uint64_t offset, std::uint64_t length) {
  return request(of, "insert_range", kind::allocate, FALLOC_FL_INSERT_RANGE, offset, length);
}

file_range_operation advise(file& of, std::uint64_t offset, std::uint64_t length, advice how) {
  int mode = POSIX_FADV_NORMAL;
  switch (how) {
    case advice::normal:
      break;
    case advice::random:
      mode = POSIX_FADV_RANDOM;
      break;
    case advice::sequential:
      mode = POSIX_FADV_SEQUENTIAL;
      break;
    case advice::will_need:
      mode = POSIX_FADV_WILLNEED;
      break;
    case advice::dont_need:
      mode = POSIX_FADV_DONTNEED;
      break;
  }
  return request(of, "advise", kind::advise, mode, offset, length);
}

file_range_operation readahead(file& of, std::uint64_t offset, std::uint64_t length) {
  return request(of, "readahead", kind::advise, POSIX_FADV_WILLNEED, offset, length);
}

task<> sync_range(file& of, std::uint64_t offset, std::uint64_t length, range_sync how) {
  int mode = SYNC_FILE_RANGE_WRITE;
  if (how == range_sync::wait) mode |= SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WAIT_AFTER;
  return sync_in_steps(reference_to(of), offset, length, mode);
}

}  // namespace parkring::fs
