#include "kernel/sim/pipe.hpp"

#include <fcntl.h>
#include <poll.h>

#include <algorithm>

namespace parkring::kernel::sim {

pipe_reader::pipe_reader(census& all, ref<pipe> p) noexcept : endpoint(all), pipe_(std::move(p)) {
  pipe_->reader = this;
  if (pipe_->writer != nullptr) pipe_->writer->notify();  // whoever waits for both ends
}

long pipe_reader::read(const iovec* parts, std::size_t count) noexcept {
  const long wanted = total_size(parts, count);
  if (wanted <= 0) return wanted;
  const std::size_t n = std::min(static_cast<std::size_t>(wanted), pipe_->bytes.size());
  if (n == 0) return pipe_->writer == nullptr ? 0 : -EAGAIN;
  pipe_->bytes.peek(parts, count, n);
  pipe_->bytes.drop_front(n);
  if (pipe_->writer != nullptr) pipe_->writer->notify();
  return static_cast<long>(n);
}

unsigned pipe_reader::poll_events() const noexcept {
  return (pipe_->bytes.empty() ? 0U : POLLIN | POLLRDNORM) |
         (pipe_->writer == nullptr ? POLLHUP : 0U);
}

void pipe_reader::last_reference_goes() noexcept {
  pipe_->reader = nullptr;
  if (pipe_->writer != nullptr) pipe_->writer->notify();
}

pipe_writer::pipe_writer(census& all, ref<pipe> p) noexcept : endpoint(all), pipe_(std::move(p)) {
  pipe_->writer = this;
  if (pipe_->reader != nullptr) pipe_->reader->notify();
}

long pipe_writer::write(const iovec* parts, std::size_t count) noexcept {
  const long offered = total_size(parts, count);
  if (offered <= 0) return offered;
  if (pipe_->reader == nullptr) return -EPIPE;
  const auto size = static_cast<std::size_t>(offered);
  const std::size_t room = pipe_->room();
  if (room == 0 || (size <= pipe::atomic_size && room < size)) return -EAGAIN;
  const std::size_t n = std::min(size, room);
  pipe_->bytes.push(parts, count, n);
  pipe_->reader->notify();
  return static_cast<long>(n);
}

unsigned pipe_writer::poll_events() const noexcept {
  return (pipe_->room() >= pipe::atomic_size ? POLLOUT | POLLWRNORM : 0U) |
         (pipe_->reader == nullptr ? POLLERR : 0U);
}

void pipe_writer::last_reference_goes() noexcept {
  pipe_->writer = nullptr;
  if (pipe_->reader != nullptr) pipe_->reader->notify();
}

pipe_both_ends::pipe_both_ends(census& all, ref<pipe_reader> reader,
                               ref<pipe_writer> writer) noexcept
    : endpoint(all), reader_(std::move(reader)), writer_(std::move(writer)) {
  reader_->watch(from_reader_);
  writer_->watch(from_writer_);
}

ref<endpoint> open_pipe(census& all, const ref<pipe>& p, int access) {
  ref<pipe_reader> reader;
  ref<pipe_writer> writer;
  if (access != O_WRONLY)
    reader = ref<pipe_reader>(p->reader != nullptr ? p->reader : new pipe_reader(all, p));
  if (access != O_RDONLY)
    writer = ref<pipe_writer>(p->writer != nullptr ? p->writer : new pipe_writer(all, p));
  if (reader && writer) return ref<endpoint>(new pipe_both_ends(all, reader, writer));
  return reader ? ref<endpoint>(reader) : ref<endpoint>(writer);
}

pipe_ends make_pipe(census& all) {
  const ref<pipe> p(new pipe);
  pipe_ends ends;
  ends.reader = ref<pipe_reader>(new pipe_reader(all, p));
  ends.writer = ref<pipe_writer>(new pipe_writer(all, p));
  return ends;
}

}  // namespace parkring::kernel::sim
