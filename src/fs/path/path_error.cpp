#include "fs/path/path_error.hpp"

#include <cerrno>

#include "exec/core.hpp"

namespace parkring::fs {

std::string shown(std::string path) {
  for (std::size_t at; (at = path.find('\0')) != std::string::npos;) path.replace(at, 1, "\\0");
  return path;
}

std::string shown(const detail::path_names& names) {
  std::string s = shown(names.first);
  if (!names.second.empty()) s += ", " + shown(names.second);
  return s;
}

std::string shown_at(const detail::file_state_base* at, const detail::path_names* names) {
  std::string s = names != nullptr ? shown(*names) : std::string();
  if (at == nullptr) return s;
  const auto& of = static_cast<const detail::file_state&>(*at).path.native();
  return names != nullptr ? s + " in " + of : of;
}

bool has_nul(const detail::path_names& names) noexcept {
  return names.first.find('\0') != std::string::npos ||
         names.second.find('\0') != std::string::npos;
}

int refusal(const detail::file_state_base* at, const detail::path_names* names) noexcept {
  if (at != nullptr) {
    PARKRING_CHECK(detail::usable_on(*at, detail::running_core()),
                   "await a file's requests on the runtime it belongs to");
    if (static_cast<const detail::file_state&>(*at).closed) return EBADF;
  }
  return names != nullptr && has_nul(*names) ? EINVAL : 0;
}

std::string path_advice(int number, bool has_nul) {
  switch (number) {
    case ENOENT:
      return "check the path; a directory above it may be missing";
    case ENOTDIR:
      return "a part of the path is a file, not a directory";
    case EACCES:
      return "the user lacks permission on a directory of the path";
    case EPERM:
      return "the user may not do this to this file, or its file system cannot";
    case EBADF:
      return "the directory that the path starts from was closed";
    case ENOSPC:
      return "the file system has no room for another name; free space";
    case EDQUOT:
      return "the disk quota is used up; free space or raise it";
    case EROFS:
      return "the file system is mounted read-only";
    case ENAMETOOLONG:
      return "a name may have 255 bytes, a path 4,095";
    case ELOOP:
      return "too many symbolic links";
    case EMLINK:
      return "the file or directory has as many links as its file system takes";
    case EBUSY:
      return "the name is a mount point, or the system uses it";
    case EMFILE:
      return "the process has reached its limit of descriptors; close files or raise it "
             "(ulimit -n)";
    case ENFILE:
      return "the system has reached its limit of open files (fs.file-max)";
    case EIO:
      return "the device failed; what was changed in the directory since its last successful sync "
             "may be lost";
    case EINVAL:
      return has_nul ? "the path contains a NUL character, which no file name can" : "";
    default:
      return "";
  }
}

error path_error(int number, const char* operation, const detail::file_state_base* at,
                 const detail::path_names& names) {
  return {number, operation, shown_at(at, &names), path_advice(number, has_nul(names))};
}

}  // namespace parkring::fs
