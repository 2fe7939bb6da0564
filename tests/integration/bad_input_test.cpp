// What users and machines do wrong: every message names the operation, the object, the errno and
// what to do, and nothing that was written before is lost.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/mount.h>
#include <sys/stat.h>

#include <sched.h>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include <parkring/parkring.hpp>

#include "support/child_process.hpp"
#include "support/privileges.hpp"
#include "support/scale.hpp"
#include "support/scratch.hpp"

namespace pr = parkring;
using namespace parkring::testing;
using namespace parkring::literals;
using ::testing::AllOf;
using ::testing::HasSubstr;

namespace {

// The error that an awaitable ends with; a test fails if it does not.
template <class A>
pr::error error_of(A&& awaitable) {
  try {
    (void)pr::run(std::forward<A>(awaitable));
  } catch (const pr::io_error& e) {
    EXPECT_EQ(std::string(e.what()), e.error().message());
    return e.error();
  }
  ADD_FAILURE() << "no error";
  return {0, "", ""};
}

// Runs `use(file)` on a file.
template <class Use>
pr::error error_with(std::filesystem::path path, pr::fs::open_options options, Use use) {
  return error_of([](std::filesystem::path p, pr::fs::open_options o, Use u) -> pr::task<> {
    auto f = co_await pr::fs::open(p, o);
    co_await u(f);
  }(std::move(path), options, std::move(use)));
}

auto names(const std::string& operation, const std::string& object, const std::string& errno_name,
           const std::string& remedy) {
  return AllOf(HasSubstr(operation + "("), HasSubstr(object), HasSubstr(errno_name),
               HasSubstr(remedy));
}

class BadInput : public ::testing::Test {
 protected:
  scratch dir_{std::filesystem::current_path()};
  std::filesystem::path file_ = dir_.file("file", std::string(8192, 'x'));
};

constexpr pr::fs::open_options to_write{.access = pr::fs::access::read_write};

// ---- paths ----

TEST_F(BadInput, a_missing_file) {
  const auto e = error_of(pr::fs::open(dir_ / "missing"));
  EXPECT_EQ(e.code(), std::errc::no_such_file_or_directory);
  EXPECT_THAT(e.message(), names("open", "missing", "ENOENT", "creation::if_missing"));
  EXPECT_THAT(error_of(pr::fs::read_file(dir_ / "missing")).message(), HasSubstr("ENOENT"));
  EXPECT_THAT(error_of(pr::fs::open(file_ / "below")).message(),
              names("open", "file/below", "ENOTDIR", "not a directory"));
}

TEST_F(BadInput, a_directory_as_a_file) {
  const auto remedy = "this is a directory; open a file inside it";
  EXPECT_THAT(error_of(pr::fs::open(dir_.root())).message(),
              names("open", dir_.root().native(), "EISDIR", remedy));
  EXPECT_THAT(error_of(pr::fs::open(dir_.root(), to_write)).message(),
              names("open", dir_.root().native(), "EISDIR", remedy));
}

TEST_F(BadInput, a_path_with_a_nul) {
  const std::filesystem::path path(dir_.root().native() + std::string("/a\0b", 4));
  EXPECT_THAT(error_of(pr::fs::open(path)).message(),
              names("open", "/a\\0b", "EINVAL", "NUL character"));
}

TEST_F(BadInput, paths_that_are_too_long_empty_or_already_there) {
  EXPECT_THAT(error_of(pr::fs::open(dir_.root() / std::string(300, 'n'))).message(),
              names("open", "nnn", "ENAMETOOLONG", "255 bytes"));
  EXPECT_THAT(error_of(pr::fs::open("")).message(), names("open", "", "ENOENT", "check the path"));
  EXPECT_THAT(error_of(pr::fs::open(file_, {.access = pr::fs::access::write,
                                            .creation = pr::fs::creation::must_be_new}))
                  .message(),
              names("open", "file", "EEXIST", "creation::if_missing"));
  std::filesystem::create_symlink(file_, dir_ / "link");
  EXPECT_THAT(error_of(pr::fs::open(dir_ / "link", {.follow_link = false})).message(),
              names("open", "link", "ELOOP", "symbolic link"));
}

TEST_F(BadInput, no_permission) {
  ::chmod(file_.c_str(), 0);
  ::chmod(dir_.root().c_str(), 0755);
  const auto r = in_child([&] {
    if (!drop_privileges()) return 77;
    const auto e = error_of(pr::fs::open(file_));
    std::fprintf(stderr, "%s\n", e.message().c_str());
    return e.code() == std::errc::permission_denied ? 0 : 1;
  });
  if (r.status == 77) GTEST_SKIP() << "cannot become an ordinary user";
  EXPECT_EQ(r.status, 0) << r;
  EXPECT_THAT(r.output, names("open", "", "EACCES", "the user lacks permission"));
}

// ---- offsets, sizes, alignment, access ----

TEST_F(BadInput, negative_and_huge_offsets_and_sizes) {
  const auto minus_one = static_cast<std::uint64_t>(-1);
  for (const auto mode : {pr::fs::inline_mode::never, pr::fs::inline_mode::always}) {
    auto options = to_write;
    options.inline_first = mode;
    for (const auto offset : {minus_one, std::uint64_t{1} << 63}) {
      EXPECT_THAT(
          error_with(file_, options,
                     [&](pr::fs::file& f) { return f.read_at(std::string(10, ' '), offset); })
              .message(),
          names("read_at", "file, offset " + std::to_string(offset) + ", 10 bytes", "EINVAL",
                "was it negative?"));
      EXPECT_THAT(
          error_with(file_, options,
                     [&](pr::fs::file& f) { return f.write_at(std::string(10, ' '), offset); })
              .message(),
          names("write_at", "file, offset", "EINVAL", "was it negative?"));
    }
    const auto far = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    EXPECT_THAT(error_with(file_, options,
                           [&](pr::fs::file& f) { return f.write_at(std::string(10, ' '), far); })
                    .message(),
                AllOf(HasSubstr("write_at("), HasSubstr("file, offset"), HasSubstr("; ")));
  }
  EXPECT_THAT(
      error_with(file_, to_write, [&](pr::fs::file& f) { return f.truncate(minus_one); }).message(),
      names("truncate", "file", "EINVAL", "out of range"));
  EXPECT_THROW(pr::buffer(std::size_t{1} << 62), std::bad_alloc);
  EXPECT_EQ(content_of(file_), std::string(8192, 'x'));
}

TEST_F(BadInput, misaligned_direct_io) {
  auto options = to_write;
  options.direct = true;
  const bool opened = pr::run(pr::as_result(pr::fs::open(file_, options))).has_value();
  if (!opened) GTEST_SKIP() << "no direct I/O on this file system";
  const auto remedy = "use parkring::buffer(size, parkring::aligned(file))";
  EXPECT_THAT(
      error_with(file_, options,
                 [](pr::fs::file& f) -> pr::task<> {
                   pr::buffer b(4096, pr::aligned(f));
                   co_await f.read_at(b, 7);
                 })
          .message(),
      AllOf(names("read_at", "file, offset 7", "EINVAL", remedy), HasSubstr("the offset is")));
  EXPECT_THAT(error_with(file_, options,
                         [](pr::fs::file& f) -> pr::task<> {
                           pr::buffer b(100, pr::aligned(f));
                           co_await f.write_at(b, 0);
                         })
                  .message(),
              AllOf(names("write_at", "100 bytes", "EINVAL", remedy), HasSubstr("the size is")));
  EXPECT_EQ(content_of(file_), std::string(8192, 'x'));
}

TEST_F(BadInput, direct_io_where_there_is_none) {
  EXPECT_THAT(error_of(pr::fs::open("/proc/version", {.direct = true})).message(),
              names("open", "/proc/version", "EINVAL", "without `direct`"));
}

TEST_F(BadInput, a_file_opened_for_the_other_direction) {
  EXPECT_THAT(error_with(file_, {}, [](pr::fs::file& f) { return f.write_at(std::string("x"), 0); })
                  .message(),
              names("write_at", "file, offset 0, 1 bytes", "EBADF", "access::write"));
  EXPECT_THAT(error_with(file_, {.access = pr::fs::access::write},
                         [](pr::fs::file& f) { return f.read_at(std::string("x"), 0); })
                  .message(),
              names("read_at", "file, offset 0, 1 bytes", "EBADF", "access::read"));
}

TEST_F(BadInput, a_request_made_before_the_close_and_awaited_after) {
  EXPECT_THAT(error_with(file_, {},
                         [](pr::fs::file& f) -> pr::task<> {
                           auto late = f.read_at(std::string(10, ' '), 0);
                           auto closing = pr::spawn(std::move(f).close());
                           co_await pr::yield();
                           co_await std::move(late);
                         })
                  .message(),
              names("read_at", "file, offset 0", "EBADF", "the file was closed"));
}

// ---- space ----

TEST_F(BadInput, a_full_device) {
  for (const auto mode : {pr::fs::inline_mode::never, pr::fs::inline_mode::always}) {
    const pr::fs::open_options options{.access = pr::fs::access::write, .inline_first = mode};
    EXPECT_THAT(error_with("/dev/full", options,
                           [](pr::fs::file& f) { return f.write_at(std::string(100, 'x'), 0); })
                    .message(),
                names("write_at", "/dev/full", "ENOSPC", "free space and write it again"));
  }
  const auto e = error_of(pr::fs::write_file("/dev/full", "content"));
  EXPECT_THAT(e.message(), names("write_file", "/dev/full", "ENOSPC", "after 0 of 7 bytes"));
}

TEST_F(BadInput, a_full_file_system_keeps_and_reports_what_was_written) {
  const auto r = in_child([&] {
    if (::unshare(CLONE_NEWNS) != 0) return 77;
    ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
    if (::mount("none", dir_.root().c_str(), "tmpfs", 0, "size=256k") != 0) return 77;
    std::string content(1_MiB, ' ');
    for (std::size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>('a' + i % 23);
    const auto by_file = error_of(pr::fs::write_file(dir_ / "by_file", content));
    std::fprintf(stderr, "%s\n", by_file.message().c_str());
    const auto part = content_of(dir_ / "by_file");
    if (part != content.substr(0, part.size()) || part.size() < 100'000) return 2;
    if (by_file.transferred() != part.size()) return 3;
    std::filesystem::remove(dir_ / "by_file");

    pr::fs::open_options options{.access = pr::fs::access::write,
                                 .creation = pr::fs::creation::if_missing};
    for (const auto mode : {pr::fs::inline_mode::never, pr::fs::inline_mode::always}) {
      options.inline_first = mode;
      const auto e = error_with(dir_ / "all", options, [&](pr::fs::file& f) -> pr::task<> {
        pr::buffer b(content.size());
        std::memcpy(b.bytes().data(), content.data(), content.size());
        co_await f.write_all_at(b, 0);
      });
      std::fprintf(stderr, "%s\n", e.message().c_str());
      const auto kept = content_of(dir_ / "all");
      if (kept != content.substr(0, kept.size()) || kept.size() < 100'000) return 4;
      if (e.transferred() != kept.size()) return 5;
      std::filesystem::remove(dir_ / "all");
    }
    return 0;
  });
  if (r.status == 77) GTEST_SKIP() << "no right to mount a small file system";
  EXPECT_EQ(r.status, 0) << r;
  EXPECT_THAT(r.output, names("write_file", "by_file", "ENOSPC", "free space"));
  EXPECT_THAT(r.output, names("write_all_at", "all", "ENOSPC", "of 1048576 bytes"));
}

TEST_F(BadInput, a_file_beyond_the_limit_of_its_size) {
  const auto r = in_child([&] {
    ::signal(SIGXFSZ, SIG_IGN);
    if (!limit(RLIMIT_FSIZE, 100'000)) return 77;
    const auto e = error_with(file_, to_write, [](pr::fs::file& f) -> pr::task<> {
      pr::buffer b(200'000);
      co_await f.write_all_at(b, 0);
    });
    std::fprintf(stderr, "%s\n", e.message().c_str());
    return e.transferred() == std::filesystem::file_size(file_) ? 0 : 1;
  });
  EXPECT_EQ(r.status, 0) << r;
  EXPECT_THAT(r.output, names("write_all_at", "file", "EFBIG", "ulimit -f"));
}

// ---- limits of the process ----

TEST_F(BadInput, no_descriptor_left) {
  // The check of virtual tables opens a pipe to see whether memory is there, and fails without.
  if (pr::testing::under_asan) GTEST_SKIP() << "the sanitizer itself needs descriptors";
  const auto r = in_child([&] {
    pr::runtime rt;
    (void)limit(RLIMIT_NOFILE, static_cast<rlim_t>(open_descriptors()) + 1);
    try {
      rt.run([](std::filesystem::path p) -> pr::task<> {
        std::vector<pr::fs::file> files;
        for (int i = 0; i < 100; ++i) files.push_back(co_await pr::fs::open(p));
      }(file_));
      return 1;
    } catch (const pr::io_error& e) {
      std::fprintf(stderr, "%s\n", e.what());
    }
    // The runtime is well. A kernel may close those above at its leisure, but it closes them.
    std::optional<pr::fs::file> again;
    for (int tries = 0; tries < 1'000 && !again; ++tries) {
      if (auto opened = rt.run(pr::as_result(pr::fs::open(file_))))
        again = std::move(*opened);
      else if (opened.error().code() != std::errc::too_many_files_open)
        throw pr::io_error(opened.error());
      else
        rt.run(pr::sleep_for(std::chrono::milliseconds(1)));
    }
    if (!again) return 3;
    try {
      (void)limit(RLIMIT_NOFILE, 3);
      pr::runtime second;
      return 2;
    } catch (const std::system_error& e) {
      std::fprintf(stderr, "%s\n", e.what());
    }
    return 0;
  });
  EXPECT_EQ(r.status, 0) << r;
  EXPECT_THAT(r.output, names("open", "file", "EMFILE", "raise it (ulimit -n)"));
  EXPECT_THAT(r.output, AllOf(HasSubstr("io_uring_setup"), HasSubstr("ulimit -n")));
}

// What a runtime needs it has taken when it is made, so that a program may count on the rest.
TEST_F(BadInput, a_runtime_takes_no_descriptor_later) {
  pr::runtime rt;
  const int before = open_descriptors();
  rt.run(pr::sleep_for(std::chrono::milliseconds(1)));  // others may wake it from here on
  EXPECT_EQ(open_descriptors(), before);
  rt.run(pr::blocking([far = rt.remote()] { (void)far.post([] {}); }));
  EXPECT_EQ(open_descriptors(), before);
}

TEST_F(BadInput, no_memory_may_be_locked) {
  if (io_uring_is_refused()) GTEST_SKIP() << "a limit of io_uring, which is refused here";
  ::chmod(dir_.root().c_str(), 0755);
  ::chmod(file_.c_str(), 0644);
  const auto r = in_child([&] {
    if (!limit(RLIMIT_MEMLOCK, 0) || !drop_privileges()) return 77;
    std::optional<pr::runtime> rt;
    try {
      rt.emplace(pr::runtime_options{.kernel = pr::kernel_choice::io_uring});
    } catch (const std::system_error& e) {  // kernels that count the ring itself
      const std::string text = e.what();
      return text.find("ENOMEM") != std::string::npos && text.find("ulimit -l") != std::string::npos
                 ? 0
                 : 1;
    }
    const auto n = rt->run([](std::filesystem::path p) -> pr::task<std::size_t> {
      auto f = co_await pr::fs::open(p, {.inline_first = pr::fs::inline_mode::never});
      pr::buffer b(8192);
      co_return co_await f.read_at(b, 0);
    }(file_));
    if (n != 8192) return 2;
    return rt->counters().unregistered_buffers > 0 ? 0 : 3;  // slower, and not silently
  });
  if (r.status == 77) GTEST_SKIP() << "cannot become an ordinary user";
  EXPECT_EQ(r.status, 0) << r;
}

// Case 43 of the soundness rules: set-up refused, by a program that insists on it.
TEST_F(BadInput, io_uring_refused_by_a_filter_says_so_and_what_to_allow) {
  constexpr long setup = 425, enter = 426, reg = 427;  // the same on all machines
  for (const auto& [error, name] : {std::pair(EPERM, "EPERM"), std::pair(ENOSYS, "ENOSYS"),
                                    std::pair(ENOMEM, "ENOMEM"), std::pair(EACCES, "EACCES")}) {
    const auto r = in_child([&, number = error] {
      if (!deny_syscalls({setup, enter, reg}, number)) return 77;
      try {
        pr::run(pr::nop(), {.kernel = pr::kernel_choice::io_uring});
      } catch (const std::system_error& e) {
        std::fprintf(stderr, "%s\n", e.what());
        return e.code().value() == number ? 0 : 1;
      }
      return 2;
    });
    if (r.status == 77) GTEST_SKIP() << "cannot install a seccomp filter";
    EXPECT_EQ(r.status, 0) << r;
    EXPECT_THAT(r.output, AllOf(HasSubstr("io_uring_setup of 256 entries"), HasSubstr(name)));
    EXPECT_THAT(r.output, HasSubstr(error == ENOMEM ? "memory" : "seccomp profile")) << r;
  }
}

// Case 43: registering refused is only slower.
TEST_F(BadInput, refused_registration_falls_back_to_plain_requests) {
  scratch dir;
  const auto path = dir.file("f", "hello");
  pr::runtime rt({.register_buffers = false, .registered_files = 0});
  for (int i = 0; i < 10; ++i) {
    auto f = rt.run(pr::fs::open(path, {.inline_first = pr::fs::inline_mode::never}));
    EXPECT_EQ(rt.run(f.read_at(std::string(5, ' '), 0)).memory, "hello");
  }
  EXPECT_EQ(rt.counters().unregistered_files, 10u);
  EXPECT_EQ(rt.counters().unregistered_buffers, 10u);
}

}  // namespace
