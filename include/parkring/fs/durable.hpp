// A file replaced as a whole, so that whoever looks, at any time and after any power cut, finds the
// old content or the new.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include <parkring/fs/file.hpp>
#include <parkring/fs/metadata.hpp>
#include <parkring/task.hpp>

namespace parkring::fs {

struct durable_options {
  std::uint32_t mode = 0644;  // permissions of a new file, less the umask
  /// A file that is replaced hands its permissions on, and its owner where the process may do that;
  /// where not, without set-user-ID, set-group-ID and sticky bit, and with those of others for its
  /// group where that cannot be handed on either.
  bool keep_permissions = true;
  bool must_be_new = false;   // EEXIST when the name is taken
  links how = links::follow;  // no_follow: a symbolic link is replaced itself
};

/// Makes `content` the whole content of a file, durably.
///
/// It is written to a new file in the same directory, made durable, and renamed over the old one;
/// then the directory is made durable. Other names of the old file (hard links) keep the old
/// content. A process that is killed, or a power cut, may leave the new file under the name it had
/// for the time: "." and the beginning of the name, ".new-" and letters.
/// *Completes when* the device has all of it. *Owns* the content. *Thread*: inside a task. *Drop*:
/// the old content or the new; what was half made is removed in the background. *Errors*:
/// `io_error`. The old content is in place and durable, except when the error says that the new one
/// is in place: then the directory could not be made durable. After EIO nothing is tried again: a
/// sync that succeeds after one that failed proves nothing.
[[nodiscard]] task<> write_file_durably(std::filesystem::path path, std::string content,
                                        durable_options options = {});

/// As above; `write` writes the content to a file that is open for reading and writing. It is given
/// in a name of the caller's until the await has ended, or captures by value.
[[nodiscard]] task<> write_file_durably(std::filesystem::path path,
                                        std::function<task<>(file&)> write,
                                        durable_options options = {});

}  // namespace parkring::fs
