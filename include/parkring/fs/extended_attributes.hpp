// Extended attributes: values that a file has under names, see xattr(7). Programs' own have names
// that begin with "user.". All are calls on a thread that may block: io_uring would hand them to
// one too, and has none that lists or removes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <parkring/fs/file.hpp>
#include <parkring/fs/metadata.hpp>
#include <parkring/task.hpp>

namespace parkring::fs {

/// What a file has under this name; nothing when it has no such attribute (getxattr(2)).
///
/// *Completes when* the file system has answered. *Owns* the strings. *Thread*: inside a task.
/// *Drop*: at once. *Errors*: `io_error`: a missing file, a lack of permission; EOPNOTSUPP where
/// the file system has no such attributes.
[[nodiscard]] task<std::optional<std::string>> get_attribute(std::filesystem::path path,
                                                             std::string name,
                                                             links how = links::follow);
/// As above, of an open file.
[[nodiscard]] task<std::optional<std::string>> get_attribute(const file& f, std::string name);

/// What must be there before an attribute is set.
enum class attribute_mode : std::uint8_t {
  set,          // whatever is there
  must_be_new,  // nothing: else EEXIST
  must_exist,   // a value, which is replaced: else ENODATA
};

/// Gives a file an attribute (setxattr(2)).
///
/// *Completes when* it is there. *Owns* the strings. *Thread*: inside a task. *Drop*: not done if
/// it had not begun, else finished in the background. *Errors*: `io_error`: as `get_attribute`;
/// ENOSPC or E2BIG when it is too large: on many file systems all of a file's share one block.
[[nodiscard]] task<> set_attribute(std::filesystem::path path, std::string name, std::string value,
                                   attribute_mode mode = attribute_mode::set,
                                   links how = links::follow);
/// As above, of an open file.
[[nodiscard]] task<> set_attribute(const file& f, std::string name, std::string value,
                                   attribute_mode mode = attribute_mode::set);

/// The names of all attributes that the process may see (listxattr(2)).
///
/// *Completes when* the file system has answered. *Owns* the path. *Thread*: inside a task. *Drop*:
/// at once. *Errors*: `io_error`: as `get_attribute`.
[[nodiscard]] task<std::vector<std::string>> list_attributes(std::filesystem::path path,
                                                             links how = links::follow);
/// As above, of an open file.
[[nodiscard]] task<std::vector<std::string>> list_attributes(const file& f);

/// Takes an attribute away (removexattr(2)); whether there was one.
///
/// *Completes when* it is gone. *Owns* the strings. *Thread*: inside a task. *Drop*: not done if it
/// had not begun, else finished in the background. *Errors*: `io_error`: as `get_attribute`.
[[nodiscard]] task<bool> remove_attribute(std::filesystem::path path, std::string name,
                                          links how = links::follow);
/// As above, of an open file.
[[nodiscard]] task<bool> remove_attribute(const file& f, std::string name);

}  // namespace parkring::fs
