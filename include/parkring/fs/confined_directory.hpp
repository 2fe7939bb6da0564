// A directory, and what is done to names below it and never outside.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <parkring/fs/attributes.hpp>
#include <parkring/fs/directory.hpp>
#include <parkring/fs/extended_attributes.hpp>
#include <parkring/fs/metadata.hpp>
#include <parkring/fs/paths.hpp>
#include <parkring/fs/read_dir.hpp>
#include <parkring/fs/remove_all.hpp>
#include <parkring/fs/walk.hpp>
#include <parkring/task.hpp>

namespace parkring::fs {

/// A directory whose names lead nowhere else: for paths that come from somebody who is not trusted,
/// such as those of an archive or a request.
///
///   pr::fs::confined_directory in(co_await pr::fs::open_directory("/srv/uploads"));
///   co_await in.remove(name_of_the_request);
///
/// The way to a name is resolved by the kernel, below the directory and in one go (openat2(2) with
/// RESOLVE_BENEATH): an absolute path, a link that leads out and ".." above the directory are
/// EXDEV, links within it are followed. What is done is done to the last part of the path in the
/// directory that was found, or to the very file that was found, so no link that is put in the way
/// meanwhile leads elsewhere. That last part must be a name: EINVAL when it is ".", ".." or empty,
/// as behind a slash. Where something is renamed meanwhile so that the kernel cannot tell, which
/// only happens to paths with "..", it is asked again, a few times; then EAGAIN. `open` and
/// `open_directory` ask once. Where openat2(2) is forbidden, as by the filters of some containers,
/// all that needs it fails with ENOSYS or EPERM: there is no weaker check instead. What is done to
/// the last part of a path, and has no slash in it, needs none.
///
/// Three things lie outside of this: other file systems that are mounted below the directory are
/// below it; a file that has a name below it is, whatever other names it has (hard links); and a
/// directory that somebody moves out while something is done in it takes that with it.
///
/// *Owns* the directory. *Thread*, *Drop*: as `directory`.
class confined_directory {
 public:
  confined_directory() noexcept = default;
  explicit confined_directory(directory within) noexcept : at_(std::move(within)) {}

  /// False when empty or moved from.
  [[nodiscard]] explicit operator bool() const noexcept { return static_cast<bool>(at_); }
  /// The directory itself: to sync or to close it.
  [[nodiscard]] const directory& unconfined() const& noexcept { return at_; }
  [[nodiscard]] directory unconfined() && noexcept { return std::move(at_); }
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return at_.path(); }

  /// Opens a file below it: `directory::open` with `within::beneath`.
  ///
  /// *Completes when* the file is open. *Owns* the path and a reference to the directory. *Thread*:
  /// the directory's runtime; the file belongs to it too. *Drop*: cancelled if it can be, else
  /// closed when it opens. *Errors*: `io_error`, as of that.
  [[nodiscard]] open_file_at_operation open(const std::filesystem::path& name,
                                            const open_options& options = {}) const {
    return at_.open(name, options, within::beneath);
  }
  /// Opens a directory below it, which confines to itself.
  ///
  /// *Completes when* it is open. *Owns* the path and a reference to the directory. *Thread*: the
  /// directory's runtime. *Drop*: it closes. *Errors*: `io_error`, as of `directory::open` with
  /// `within::beneath`.
  [[nodiscard]] task<confined_directory> open_directory(std::filesystem::path name) const;

  /// What is known about a file below it.
  ///
  /// *Completes when* the kernel has answered. *Owns* the path and a reference to the directory.
  /// *Thread*: the directory's runtime. *Drop*: left to finish. *Errors*: `io_error`, as of
  /// `fs::stat` and of the way to a name, see `confined_directory`.
  [[nodiscard]] task<fs::metadata> stat(std::filesystem::path name,
                                        links how = links::follow) const;

  /// Removes a name that is no directory's.
  ///
  /// *Completes when* the name is gone. *Owns* the path and a reference to the directory. *Thread*:
  /// the directory's runtime. *Drop*: not done if it had not begun, else finished in the
  /// background. *Errors*: `io_error`, as of `fs::remove` and of the way to a name.
  [[nodiscard]] task<> remove(std::filesystem::path name) const;
  /// Removes an empty directory. As `remove`, with the errors of `fs::remove_directory`.
  [[nodiscard]] task<> remove_directory(std::filesystem::path name) const;
  /// Makes a directory. As `remove`, with the errors of `fs::create_directory`.
  [[nodiscard]] task<> create_directory(std::filesystem::path name,
                                        std::uint32_t mode = 0755) const;
  /// Gives what is below it another name below it. As `remove`, with the errors of `fs::rename`.
  [[nodiscard]] task<> rename(std::filesystem::path from, std::filesystem::path to,
                              rename_mode mode = rename_mode::replace) const;
  /// Moves what is below it to below another. As `remove`; owns a reference to both.
  [[nodiscard]] task<> rename(std::filesystem::path from, const confined_directory& other,
                              std::filesystem::path to,
                              rename_mode mode = rename_mode::replace) const;
  /// Gives a file below it a second name below it; a symbolic link is linked itself. As `remove`,
  /// with the errors of `fs::link`.
  [[nodiscard]] task<> link(std::filesystem::path existing, std::filesystem::path name) const;
  /// Gives a file below it a name below another. As `remove`; owns a reference to both.
  [[nodiscard]] task<> link(std::filesystem::path existing, const confined_directory& other,
                            std::filesystem::path name) const;
  /// Makes a symbolic link below it. It may say anything: one that leads out is made, and not
  /// followed here. As `remove`, with the errors of `fs::symlink`.
  [[nodiscard]] task<> symlink(std::filesystem::path target, std::filesystem::path name) const;
  /// Makes a FIFO below it. As `remove`, with the errors of `fs::create_fifo`.
  [[nodiscard]] task<> create_fifo(std::filesystem::path name, std::uint32_t mode = 0644) const;

  /// Where a symbolic link below it says that it leads, on a thread that may block.
  ///
  /// *Completes when* it was read. *Owns* the path and a reference to the directory. *Thread*: the
  /// directory's runtime. *Drop*: at once. *Errors*: `io_error`, as of `fs::read_link` and of the
  /// way to a name.
  [[nodiscard]] task<std::filesystem::path> read_link(std::filesystem::path name) const;

  // ---- what files have beside their content; each on a thread that may block ----

  /// Sets the permissions of a file below it.
  ///
  /// *Completes when* they are set. *Owns* the path and a reference to the directory. *Thread*: the
  /// directory's runtime. *Drop*: not done if it had not begun, else finished in the background.
  /// *Errors*: `io_error`, as of `fs::set_permissions` and of the way to a name.
  [[nodiscard]] task<> set_permissions(std::filesystem::path name, std::uint32_t permissions,
                                       links how = links::follow) const;
  /// As `set_permissions`, with the errors of `fs::set_owner`.
  [[nodiscard]] task<> set_owner(std::filesystem::path name, owner who,
                                 links how = links::follow) const;
  /// As `set_permissions`, with the errors of `fs::set_times`.
  [[nodiscard]] task<> set_times(std::filesystem::path name, file_times times,
                                 links how = links::follow) const;
  /// As `set_permissions`, with the errors of `fs::touch`.
  [[nodiscard]] task<> touch(std::filesystem::path name, links how = links::follow) const;
  /// As `set_permissions`, with the errors of `fs::get_attribute`.
  [[nodiscard]] task<std::optional<std::string>> get_attribute(std::filesystem::path name,
                                                               std::string attribute,
                                                               links how = links::follow) const;
  /// As `set_permissions`, with the errors of `fs::set_attribute`.
  [[nodiscard]] task<> set_attribute(std::filesystem::path name, std::string attribute,
                                     std::string value, attribute_mode mode = attribute_mode::set,
                                     links how = links::follow) const;
  /// As `set_permissions`, with the errors of `fs::list_attributes`.
  [[nodiscard]] task<std::vector<std::string>> list_attributes(std::filesystem::path name,
                                                               links how = links::follow) const;
  /// As `set_permissions`, with the errors of `fs::remove_attribute`.
  [[nodiscard]] task<bool> remove_attribute(std::filesystem::path name, std::string attribute,
                                            links how = links::follow) const;

  // ---- trees ----

  /// The names in a directory below it; with an empty name, in itself.
  ///
  /// *Completes when* the directory is found. *Owns* the path and a reference to the directory.
  /// *Thread*: the directory's runtime. *Drop*: at once. *Errors*: `io_error` of the way to the
  /// directory; what is wrong with reading it tells `directory_entries::next`.
  [[nodiscard]] task<directory_entries> read_dir(std::filesystem::path name = {}) const;
  /// Walks through the tree of a directory below it; with an empty name, through its own. Links
  /// below the root of a walk are entries: `follow_links::always` is EINVAL. As `read_dir`.
  [[nodiscard]] task<fs::walk> walk(std::filesystem::path name, walk_options options = {}) const;
  /// Removes a name below it and, if it is a directory's, all that is in it.
  ///
  /// *Completes when*, *Owns*, *Thread*, *Drop*: as `fs::remove_all`. *Errors*: `io_error`, as of
  /// that and of the way to a name: a directory of it that is not there is ENOENT.
  [[nodiscard]] task<removal_counts> remove_all(std::filesystem::path name,
                                                removal_options options = {}) const;

 private:
  directory at_;
};

}  // namespace parkring::fs
