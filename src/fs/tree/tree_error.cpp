#include "fs/tree/tree_error.hpp"

#include <cerrno>
#include <cstdlib>
#include <utility>

namespace parkring::fs {
namespace {

const char* advice(int number) noexcept {
  switch (number) {
    case ENOENT:
      return "check the path, and whether something else removes what is in it";
    case EACCES:
    case EPERM:
      return "check the permissions of the file and of every directory above it";
    case ENOTDIR:
      return "a directory is needed";
    case EISDIR:
      return "this is a directory; a tree is copied by copy_all";
    case ELOOP:
      return "symbolic links lead in a circle, or the root is one and is not to be followed";
    case EMFILE:
    case ENFILE:
      return "too many open files; raise the limit (ulimit -n) or lower the concurrency";
    case ENAMETOOLONG:
      return "the name is too long for this file system";
    case ENOSPC:
      return "the disk is full; make room and copy again";
    case EDQUOT:
      return "the quota is used up; make room and copy again";
    case EFBIG:
      return "the file is larger than the file system or the limit (ulimit -f) allows";
    case EROFS:
      return "the file system is read-only";
    case EEXIST:
      return "the name is taken; remove what has it, or say that it is to be replaced";
    case ENOTEMPTY:
      return "something else puts names into the directory; stop it, and try again";
    case EXDEV:
      return "both names must be on one file system";
    case EOPNOTSUPP:
      return "sockets and devices are not copied; leave them out, or make them by mknod";
    case EINVAL:
      return "a directory cannot be copied into itself";
    default:
      return "";
  }
}

}  // namespace

error tree_error(int number, const char* operation, std::string path) {
  number = std::abs(number);
  const bool has_nul = path.find('\0') != std::string::npos;
  for (std::size_t at; (at = path.find('\0')) != std::string::npos;) path.replace(at, 1, "\\0");
  return {number, operation, std::move(path),
          has_nul ? "the path contains a NUL character, which no file name can" : advice(number)};
}

}  // namespace parkring::fs
