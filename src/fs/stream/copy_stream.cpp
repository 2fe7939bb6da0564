// A copy is a reader whose pieces become the writer's, by way of this task; or, where the kernel
// can move the bytes, one splice after another. Whether it can shows at the first: when that is
// refused nothing has moved, and reader and writer begin from the start.

#include <parkring/fs/copy_stream.hpp>

#include <algorithm>
#include <cerrno>
#include <utility>

#include <parkring/as_result.hpp>
#include <parkring/buffer.hpp>

#include "fs/stream/splice.hpp"
#include "fs/stream/stream_parts.hpp"

namespace parkring::fs {
namespace {

using detail::file_ref;

bool refused(const error& e) noexcept {
  return e.number() == EINVAL || e.number() == EBADF || e.number() == EOPNOTSUPP;
}

std::uint64_t missing_of(const copy_stream_options& o, std::uint64_t copied) noexcept {
  return o.from.length == to_the_end ? 0 : o.from.length - copied;
}

// Gives how many bytes it moved; none, when the kernel refuses.
task<std::optional<std::uint64_t>> move_by_kernel(file_ref from, file_ref to,
                                                  const copy_stream_options& o) {
  constexpr std::uint64_t step = std::uint64_t{1} << 20;
  std::uint64_t start = o.to.offset;
  if (o.to.append && detail::state_of(*to.get()).stream == nullptr) {
    // Names of their own: GCC 12 destroys an aggregate twice that is made inside the await.
    detail::size_request ask{to.share()};
    size_operation asking(std::move(ask));
    start = co_await std::move(asking);
  }
  std::uint64_t done = 0;
  while (done < o.from.length) {
    detail::splice_request request{
        from.share(), o.from.offset + done, to.share(), start + done,
        static_cast<std::uint32_t>(std::min(step, o.from.length - done))};
    auto n = co_await as_result(detail::simple_operation(std::move(request)));
    if (!n) {
      if (done == 0 && refused(n.error())) co_return std::nullopt;
      n.error().set_transferred(static_cast<std::size_t>(done));
      throw io_error(std::move(n).error());
    }
    if (*n == 0) break;
    done += *n;
    if (o.progress) o.progress(done);
  }
  co_return done;
}

// `passes_on`: what has come is written before more is waited for.
task<copied> copy_pieces(reader& from, writer& to, std::function<void(std::uint64_t)> progress,
                         bool passes_on) {
  copied all;
  for (;;) {
    auto piece = co_await from.next();
    if (!piece) break;
    const std::size_t n = piece->size();
    co_await to.write(*std::move(piece));
    if (passes_on) co_await to.flush();
    all.bytes += n;
    if (progress) progress(all.bytes);
  }
  co_await to.flush();
  if (from.missing() != to_the_end) all.missing = from.missing();
  co_return all;
}

task<copied> copy_files(file_ref from, file_ref to, reader r, writer w, copy_stream_options o) {
  // Who writes into a pipe may wait for an answer before it writes more. The device behind direct
  // I/O takes no odd amounts.
  const bool passes_on =
      detail::state_of(*from.get()).stream != nullptr && !detail::state_of(*to.get()).direct;
  if (detail::may_splice(from, to)) {
    const auto moved = co_await move_by_kernel(std::move(from), std::move(to), o);
    if (moved) co_return copied{*moved, missing_of(o, *moved)};
  }
  co_return co_await copy_pieces(r, w, std::move(o.progress), passes_on);
}

}  // namespace

task<copied> copy_stream(reader& from, writer& to, std::function<void(std::uint64_t)> progress) {
  return copy_pieces(from, to, std::move(progress), false);
}

task<copied> copy_stream(file& from, file& to, copy_stream_options options) {
  reader r(from, options.from);
  writer w(to, options.to);
  return copy_files(reference_to(from), reference_to(to), std::move(r), std::move(w),
                    std::move(options));
}

}  // namespace parkring::fs
