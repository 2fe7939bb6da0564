// Operations made of several requests: they finish the job, and say how far they came if they
// cannot.
//
// A composite makes its requests on a part of its own over the same bytes, and that part holds the
// user's lock on the buffer as long as it exists: from the call to the end of the composite or, if
// that is dropped, of the request in flight. So between two requests nobody else can touch the
// bytes, and the buffer's handle may go at any time.

#include <cerrno>

#include <parkring/as_result.hpp>
#include <parkring/fs/file.hpp>

#include "exec/core.hpp"
#include "fs/file_state.hpp"
#include "fs/rw_error.hpp"

namespace parkring {
namespace fs {
namespace {

using detail::direction;
using detail::state_of;

rw_operation<locking> part_request(const detail::file_ref& file, direction way, buffer& part,
                                   std::size_t from, std::uint64_t offset) {
  detail::buffer_block* block = buffer_access::block(part);
  detail::rw_request q;
  q.file = file.share();
  q.way = way;
  q.offset = offset + from;
  q.data = block->data + from;
  q.size = block->size - from;
  const auto& home = detail::locker_for(*file.get());
  const bool locked = way == direction::read ? block->lock_exclusive(home, nullptr)
                                             : block->lock_shared(home, nullptr);
  PARKRING_CHECK(locked, "the part of a composite operation is used by one request at a time");
  q.lock = detail::block_lock(block);
  return {std::move(q), locking{}};
}

[[noreturn]] void fail(error e, const char* operation, std::size_t done, std::size_t size) {
  error whole(e.number(), operation, e.subject(),
              "after " + std::to_string(done) + " of " + std::to_string(size) + " bytes" +
                  (e.advice().empty() ? "" : "; " + e.advice()));
  whole.set_transferred(done);
  throw io_error(std::move(whole));
}

task<> transfer_all(detail::file_ref file, buffer part, direction way, std::uint64_t offset) {
  const char* name = way == direction::read ? "read_exactly_at" : "write_all_at";
  const std::size_t size = part.size();
  if (detail::buffer_block* const b = buffer_access::block(part);
      file.get()->team != 0 && b != nullptr && b->holds_lock_of != nullptr)
    detail::lock_here(*b->holds_lock_of);
  std::size_t done = 0;
  while (done < size) {
    auto n = co_await as_result(part_request(file, way, part, done, offset));
    if (!n) fail(std::move(n).error(), name, done, size);
    if (*n == 0) {
      if (way == direction::read) {
        error end(ENODATA, name, state_of(*file.get()).path.native(), "the file ends here");
        fail(std::move(end), name, done, size);
      }
      error stuck(EIO, name, state_of(*file.get()).path.native(), "the device takes no more bytes");
      fail(std::move(stuck), name, done, size);
    }
    done += *n;
  }
}

}  // namespace

namespace {

task<> whole_transfer(detail::rw_request q) {
  detail::buffer_block* block = q.lock.get();
  buffer part;
  if (block != nullptr) {
    part = buffer_access::make(detail::make_part(*block, q.data, q.size));
    buffer_access::block(part)->holds_lock_of = q.lock.release();
  }
  return transfer_all(std::move(q.file), std::move(part), q.way, q.offset);
}

}  // namespace

task<> file::read_exactly_at(buffer& into, std::uint64_t offset) {
  return read_exactly_at(into, offset, into.size());
}
task<> file::read_exactly_at(buffer& into, std::uint64_t offset, std::size_t count) {
  return whole_transfer(read_at(into, offset, count).take_request());
}
task<> file::write_all_at(const buffer& from, std::uint64_t offset) {
  return write_all_at(from, offset, from.size());
}
task<> file::write_all_at(const buffer& from, std::uint64_t offset, std::size_t count) {
  return whole_transfer(write_at(from, offset, count).take_request());
}

task<std::string> read_file(std::filesystem::path path) {
  constexpr std::size_t first = std::size_t{64} << 10, most = std::size_t{1} << 20;
  auto f = co_await open(path);
  std::string content;
  std::size_t step = first;
  for (;;) {
    buffer part(step);
    const std::size_t n = co_await f.read_at(part, content.size());
    if (n == 0) break;
    content.append(part.text(0, n));
    step = std::min(step * 2, most);
  }
  co_await std::move(f).close();
  co_return content;
}

task<> write_file(std::filesystem::path path, std::string content, open_options options) {
  auto f = co_await open(path, options);
  std::size_t done = 0;
  const std::size_t size = content.size();
  const std::string_view left(content);
  while (done < size) {
    constexpr std::size_t most = std::size_t{1} << 20;
    const std::string_view piece = left.substr(done, most);
    auto n = co_await as_result(f.write_at(copying(piece), done));
    if (!n) fail(std::move(n).error(), "write_file", done, size);
    if (*n == 0) {
      error stuck(EIO, "write_file", f.path().native(), "the device takes no more bytes");
      fail(std::move(stuck), "write_file", done, size);
    }
    done += *n;
  }
  co_await std::move(f).close();
}

}  // namespace fs
}  // namespace parkring
