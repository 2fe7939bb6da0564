#include "fs/rw_error.hpp"

#include <cerrno>

namespace parkring::fs {
namespace {

std::string subject_of(const detail::file_state& f, std::uint64_t offset, std::size_t size) {
  std::string s = f.path.native();
  if (f.kind != file_kind::stream) s += ", offset " + std::to_string(offset);
  return s + ", " + std::to_string(size) + " bytes";
}

std::string unaligned(const detail::file_state& f, std::uint64_t offset, std::size_t size,
                      const std::byte* data) {
  const auto memory = std::to_string(f.memory_alignment), disk = std::to_string(f.offset_alignment);
  std::string wrong;
  const auto add = [&wrong](const char* what) {
    wrong += (wrong.empty() ? "" : " and ") + std::string(what);
  };
  if (offset % f.offset_alignment != 0) add("the offset");
  if (size % f.offset_alignment != 0) add("the size");
  if (reinterpret_cast<std::uintptr_t>(data) % f.memory_alignment != 0) add("the memory");
  if (wrong.empty()) return {};
  return "direct I/O on this file needs offsets and sizes in multiples of " + disk +
         " and memory aligned to " + memory + ": " + wrong +
         " is not; use parkring::buffer(size, parkring::aligned(file)), or open without `direct`";
}

std::string advice_for(int number, const detail::file_state& f, detail::direction way,
                       std::uint64_t offset, std::size_t size, const std::byte* data) {
  const bool read = way == detail::direction::read;
  switch (number) {
    case EBADF:
      if (f.closed) return "the file was closed; requests must be made before close()";
      return read ? "the file was not opened for reading; open it with access::read or read_write"
                  : "the file was not opened for writing; open it with access::write or read_write";
    case EINVAL:
      if (offset > INT64_MAX) return "an offset lies between 0 and 2^63 - 1; was it negative?";
      if (f.direct)
        if (auto words = unaligned(f, offset, size, data); !words.empty()) return words;
      return "the file does not take such a request at this offset and size";
    case EISDIR:
      return "this is a directory; open a file inside it";
    case ENOSPC:
      return "the file system is full, nothing of this request was written; free space and write "
             "it again";
    case EDQUOT:
      return "the disk quota is used up; free space or raise it, and write it again";
    case EFBIG:
      return "the file would become larger than the file system or the limit (ulimit -f) allows";
    case EIO:
      return "the device failed; what earlier writes reported as done may be lost too unless a "
             "sync succeeded since (dmesg has the details)";
    case EPIPE:
      return "the reading end of the pipe is closed";
    case ESPIPE:
      return "this kind of file has no position";
    case EFAULT:
      return "the memory handed over is not mapped";
    case EAGAIN:
      return "the descriptor is non-blocking and not ready";
    case ECANCELED:
      return "the request was cancelled before it did anything; try again";
    case ENOMEM:
      return "the kernel is out of memory for this request; try again later";
    default:
      return {};
  }
}

}  // namespace

void describe_rw(std::string& out, const detail::file_state& f, detail::direction way,
                 std::uint64_t offset, std::size_t size) {
  out += way == detail::direction::read ? "read_at(" : "write_at(";
  out += subject_of(f, offset, size) + ")";
}

error rw_error(int number, const detail::file_state& f, detail::direction way, std::uint64_t offset,
               std::size_t size, const std::byte* data) {
  return {number, way == detail::direction::read ? "read_at" : "write_at",
          subject_of(f, offset, size), advice_for(number, f, way, offset, size, data)};
}

error file_error(int number, const char* operation, const detail::file_state& f) {
  std::string advice;
  switch (number) {
    case EBADF:
      advice = f.closed ? "the file was closed; requests must be made before close()"
                        : "the file was opened in a way that does not allow this";
      break;
    case EIO:
      advice =
          "the device failed; writes since the last successful sync may be lost (dmesg has "
          "the details)";
      break;
    case ENOSPC:
    case EDQUOT:
      advice = "there is no space for what was written earlier; free space";
      break;
    case EINVAL:
      advice = "this kind of file does not support it, or the size is out of range";
      break;
    case EFBIG:
      advice = "the file would become larger than its file system allows";
      break;
    case EROFS:
      advice = "the file system is mounted read-only";
      break;
    default:
      break;
  }
  return {number, operation, f.path.native(), std::move(advice)};
}

}  // namespace parkring::fs
