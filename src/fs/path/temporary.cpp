#include <parkring/fs/temporary.hpp>

#include <fcntl.h>

#include <cerrno>

#include <parkring/blocking.hpp>

#include "fs/path/job_subject.hpp"
#include "fs/path/path_error.hpp"
#include "fs/path/temporary_name.hpp"

namespace parkring::fs {

namespace {

using detail::temporary_name;

// What a job has made; it goes with it when nobody takes it.
struct made {
  int number = 0;
  base::owned_fd fd;
  std::shared_ptr<temporary_name> name;
};

[[noreturn]] void fail(int number, const char* operation, const std::filesystem::path& path) {
  throw io_error(path_error(number, operation, nullptr, {path.native(), {}}));
}

bool machine_is_real() noexcept { return exec::this_core().driver.ring.real(); }

std::string inside(const std::string& directory, const std::string& name) {
  return directory.ends_with('/') ? directory + name : directory + '/' + name;
}

made make_file(kernel::file_calls& calls, bool real, const std::string& directory) {
  made m;
  constexpr unsigned mode = 0600;
  m.number = calls.open(AT_FDCWD, directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
  if (m.number == -EOPNOTSUPP || m.number == -EISDIR) {  // the file system cannot; nor old ones
    std::string path;
    m.number = with_new_name(
        calls, real, inside(directory, ".parkring-"), path, [&calls](const std::string& name) {
          return calls.open(AT_FDCWD, name.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, mode);
        });
    if (m.number >= 0) {
      m.fd = base::owned_fd(m.number);
      m.name = std::make_shared<temporary_name>(calls, real, false, std::move(path));
    }
  } else if (m.number >= 0) {
    m.fd = base::owned_fd(m.number);
  }
  return m;
}

made make_directory(kernel::file_calls& calls, bool real, const std::string& begin) {
  made m;
  std::string path;
  m.number = with_new_name(calls, real, begin, path, [&calls](const std::string& name) {
    return calls.make_directory(AT_FDCWD, name.c_str(), 0700);
  });
  if (m.number >= 0) m.name = std::make_shared<temporary_name>(calls, real, true, std::move(path));
  return m;
}

// A nameless file by its descriptor; one with a name of its own by that, which stays to be removed,
// or where there are no second names, is given up.
int give_name(kernel::file_calls& calls, int fd, temporary_name* own, const std::string& path) {
  if (own == nullptr) {
    const int answer = calls.link(fd, "", AT_FDCWD, path.c_str(), AT_EMPTY_PATH);
    if (answer != -ENOENT) return answer;
    // So it says without CAP_DAC_READ_SEARCH; through /proc everybody may, open(2).
    const std::string open_as = "/proc/self/fd/" + std::to_string(fd);
    return calls.link(AT_FDCWD, open_as.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW);
  }
  const int answer = calls.link(AT_FDCWD, own->path.c_str(), AT_FDCWD, path.c_str(), 0);
  if (answer != -EPERM && answer != -EOPNOTSUPP && answer != -ENOSYS) return answer;
  constexpr unsigned noreplace = 1;  // RENAME_NOREPLACE
  const int moved = calls.rename(AT_FDCWD, own->path.c_str(), AT_FDCWD, path.c_str(), noreplace);
  if (moved == 0) own->kept.store(true, std::memory_order_relaxed);
  return moved;
}

task<> link_temporary(job_subject s, std::shared_ptr<temporary_name> own,
                      std::filesystem::path path) {
  const detail::path_names names{path.native(), {}};
  if (has_nul(names)) fail(EINVAL, "link_to", path);
  auto link = [own, name = path.native()](kernel::file_calls& calls, const job_target& on) {
    return give_name(calls, on.fd.get(), own.get(), name);
  };
  const int answer = co_await in_a_job(s, "link_to", std::move(link));
  if (answer == 0) co_return;
  error e = path_error(-answer, "link_to", nullptr, names);
  if (answer == -EEXIST)
    e = error(EEXIST, "link_to", e.subject(),
              "the name is taken; link to another one and rename that over it");
  if (answer == -EXDEV)
    e = error(EXDEV, "link_to", e.subject(),
              "the name must be on the file system of the temporary file; make that in the "
              "directory of the name");
  throw io_error(std::move(e));
}

}  // namespace

struct temporary_maker {
  static temporary_file of(file f, std::shared_ptr<temporary_name> name) {
    return {std::move(f), std::move(name)};
  }
  static temporary_directory of(std::shared_ptr<temporary_name> name) {
    return temporary_directory(std::move(name));
  }
};

task<> temporary_file::link_to(std::filesystem::path path) {
  return link_temporary(job_subject(file_), name_, std::move(path));
}

task<temporary_file> create_temporary_file(std::filesystem::path directory) {
  if (directory.empty()) directory = ".";
  if (has_nul({directory.native(), {}})) fail(EINVAL, "create_temporary_file", directory);
  auto job = [&calls = file_calls_here(), real = machine_is_real(), in = directory.native()] {
    return make_file(calls, real, in);
  };
  made m = co_await blocking(std::move(job));
  if (m.number < 0) fail(-m.number, "create_temporary_file", directory);
  const auto shown = m.name != nullptr ? std::filesystem::path(m.name->path)
                                       : directory / "(a file without a name)";
  file f = adopt_descriptor(m.fd.release(), shown,
                            {.access = access::read_write, .creation = creation::must_be_new});
  co_return temporary_maker::of(std::move(f), std::move(m.name));
}

const std::filesystem::path& temporary_directory::path() const noexcept {
  static const std::filesystem::path none;
  return name_ == nullptr ? none : name_->shown;
}

std::filesystem::path temporary_directory::keep() && {
  if (name_ == nullptr) return {};
  name_->kept.store(true, std::memory_order_relaxed);
  return std::exchange(name_, nullptr)->shown;
}

namespace {

task<> remove_now(std::shared_ptr<temporary_name> name) {
  if (name == nullptr) co_return;
  // From here on the job has it; should that not begin, the name goes as if it was dropped.
  auto job = [name] {
    name->kept.store(true, std::memory_order_relaxed);
    return erase_tree(name->calls, name->path);
  };
  const int answer = co_await blocking(std::move(job));
  if (answer < 0) fail(-answer, "remove", name->shown);
}

}  // namespace

task<> temporary_directory::remove() && { return remove_now(std::move(name_)); }

task<temporary_directory> create_temporary_directory(std::filesystem::path parent,
                                                     std::string prefix) {
  if (parent.empty()) parent = ".";
  const std::filesystem::path begin = parent / prefix;
  if (has_nul({begin.native(), {}})) fail(EINVAL, "create_temporary_directory", begin);
  auto job = [&calls = file_calls_here(), real = machine_is_real(), as = begin.native()] {
    return make_directory(calls, real, as);
  };
  made m = co_await blocking(std::move(job));
  if (m.number < 0) fail(-m.number, "create_temporary_directory", parent);
  co_return temporary_maker::of(std::move(m.name));
}

}  // namespace parkring::fs
