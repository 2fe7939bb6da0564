// Reads and writes of the simulated file system, beside the same calls on the real one.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "kernel/sim/file_system.hpp"
#include "kernel/sim/random.hpp"

namespace parkring::kernel::sim {
namespace {

std::span<const std::byte> bytes(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}
std::int64_t put(file_system& fs, const open_ref& file, const std::string& text,
                 std::int64_t offset) {
  return fs.write(*file, bytes(text), offset);
}
std::string get(file_system& fs, const open_ref& file, std::int64_t offset, std::size_t length) {
  std::string text(length, '?');
  const std::int64_t n = fs.read(*file, std::as_writable_bytes(std::span(text)), offset);
  text.resize(n < 0 ? 0 : static_cast<std::size_t>(n));
  return text;
}
open_ref opened(file_system& fs, const char* path, int flags) {
  open_ref file;
  EXPECT_EQ(fs.open(nullptr, path, flags, 0644, file), 0) << path;
  return file;
}

TEST(FileIo, what_is_written_is_read_and_holes_are_zeros) {
  file_system fs;
  const open_ref f = opened(fs, "f", O_RDWR | O_CREAT);
  EXPECT_EQ(put(fs, f, "hello", 3), 5);
  EXPECT_EQ(get(fs, f, 0, 100), std::string("\0\0\0hello", 8));
  EXPECT_EQ(get(fs, f, 8, 1), "");
  EXPECT_EQ(put(fs, f, "far", std::int64_t{5} << 30), 3);
  EXPECT_EQ(get(fs, f, (std::int64_t{5} << 30) - 2, 100), std::string("\0\0far", 5));
  EXPECT_EQ(fs.space_used(), 2 * file_data::page_size);
  EXPECT_EQ(get(fs, f, 4, 4), "ello");
}

TEST(FileIo, the_access_mode_decides_what_is_a_bad_descriptor) {
  file_system fs;
  const open_ref w = opened(fs, "f", O_WRONLY | O_CREAT), r = opened(fs, "f", O_RDONLY);
  std::byte b{};
  EXPECT_EQ(fs.read(*w, {&b, 1}, 0), -EBADF);
  EXPECT_EQ(fs.write(*r, {&b, 1}, 0), -EBADF);
  EXPECT_EQ(fs.truncate(*r, 0), -EINVAL);
  EXPECT_EQ(fs.fallocate(*r, 0, 0, 1), -EBADF);
  EXPECT_EQ(fs.read(*opened(fs, "/", O_RDONLY), {&b, 1}, 0), -EISDIR);
  EXPECT_EQ(fs.read(*opened(fs, "f", O_PATH), {&b, 1}, 0), -EBADF);
  EXPECT_EQ(fs.sync(*opened(fs, "f", O_PATH)), -EBADF);
  EXPECT_EQ(fs.sync(*r), 0);
}

TEST(FileIo, positions_move_and_are_shared_by_references) {
  file_system fs;
  const open_ref f = opened(fs, "f", O_RDWR | O_CREAT), same = f;
  EXPECT_EQ(put(fs, f, "abc", -1), 3);
  EXPECT_EQ(put(fs, same, "def", -1), 3);
  f->position = 0;
  EXPECT_EQ(get(fs, same, -1, 4), "abcd");
  EXPECT_EQ(get(fs, f, -1, 4), "ef");
}

TEST(FileIo, appending_ignores_the_offset) {
  file_system fs;
  const open_ref f = opened(fs, "f", O_RDWR | O_CREAT | O_APPEND);
  EXPECT_EQ(put(fs, f, "abc", 0), 3);
  EXPECT_EQ(put(fs, f, "def", 0), 3);
  EXPECT_EQ(get(fs, f, 0, 9), "abcdef");
}

TEST(FileIo, direct_access_wants_whole_sectors) {
  file_system fs;
  const open_ref f = opened(fs, "f", O_RDWR | O_CREAT | O_DIRECT);
  EXPECT_EQ(put(fs, f, std::string(512, 'a'), 512), 512);
  EXPECT_EQ(put(fs, f, std::string(512, 'a'), 100), -EINVAL);
  EXPECT_EQ(put(fs, f, std::string(100, 'a'), 0), -EINVAL);
  EXPECT_EQ(get(fs, f, 512, 1024), std::string(512, 'a'));
}

TEST(FileIo, a_full_disk_takes_what_fits_and_then_nothing) {
  disk_options options;
  options.capacity = 3 * file_data::page_size;
  file_system fs(options);
  const open_ref f = opened(fs, "f", O_RDWR | O_CREAT);
  EXPECT_EQ(put(fs, f, std::string(20000, 'x'), 100), 3 * 4096 - 100);
  EXPECT_EQ(put(fs, f, "y", 3 * 4096), -ENOSPC);
  EXPECT_EQ(put(fs, f, "y", 0), 1);
  EXPECT_EQ(fs.fallocate(*f, 0, 0, 4 * 4096), -ENOSPC);
  EXPECT_EQ(fs.fallocate(*f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 4096), 0);
  const open_ref g = opened(fs, "g", O_RDWR | O_CREAT);
  EXPECT_EQ(put(fs, g, std::string(5000, 'z'), 0), 4096);
  EXPECT_EQ(fs.unlink(nullptr, "f"), 0);
  EXPECT_EQ(put(fs, g, "z", 4096), -ENOSPC);  // f is still open
  f->position = 0;
  EXPECT_EQ(get(fs, f, 0, 1), "y");
}

TEST(FileIo, the_last_close_of_a_removed_file_returns_its_space) {
  file_system fs;
  open_ref f = opened(fs, "f", O_RDWR | O_CREAT);
  EXPECT_EQ(put(fs, f, std::string(5000, 'x'), 0), 5000);
  EXPECT_EQ(fs.unlink(nullptr, "f"), 0);
  EXPECT_EQ(fs.space_used(), 8192u);
  EXPECT_EQ(fs.inode_count(), 2u);
  f.reset();
  EXPECT_EQ(fs.space_used(), 0u);
  EXPECT_EQ(fs.inode_count(), 1u);
}

TEST(FileIo, limits_of_inodes_and_of_file_size_hold) {
  disk_options options;
  options.inodes = 2;
  options.max_file_size = 1000;
  file_system fs(options);
  const open_ref f = opened(fs, "f", O_RDWR | O_CREAT);
  EXPECT_EQ(fs.mkdir(nullptr, "d", 0755), -ENOSPC);
  EXPECT_EQ(put(fs, f, std::string(200, 'x'), 900), 100);
  EXPECT_EQ(put(fs, f, "x", 1000), -EFBIG);
  EXPECT_EQ(fs.truncate(*f, 1001), -EFBIG);
  EXPECT_EQ(fs.truncate(*f, 1000), 0);
  EXPECT_EQ(fs.fallocate(*f, 0, 500, 501), -EFBIG);
}

TEST(FileIo, an_open_file_outlives_its_file_system) {
  open_ref f;
  {
    file_system fs;
    f = opened(fs, "f", O_RDWR | O_CREAT);
  }
  EXPECT_FALSE(f->alive());
}

// Reads, writes, sizes and holes at random, on one file of each system.
TEST(FileIo, random_calls_give_what_linux_gives) {
  std::string pattern = testing::TempDir() + "sim_io_" + std::string(6, 'X');
  const int real = ::mkstemp(pattern.data());
  ASSERT_GE(real, 0);
  ::unlink(pattern.c_str());
  file_system fs;
  const open_ref f = opened(fs, "f", O_RDWR | O_CREAT);
  random r(3);
  const auto answer = [](std::int64_t n) { return n < 0 ? -std::int64_t{errno} : n; };
  for (int i = 0; i < 8000 && !::testing::Test::HasFailure(); ++i) {
    const auto offset = static_cast<std::int64_t>(r.below(40000));
    const std::size_t length = r.chance(0.1) ? 0 : r.below(r.chance(0.5) ? 300 : 15000);
    const auto signed_length = static_cast<std::int64_t>(length);
    std::string text(length, static_cast<char>('a' + r.below(26)));
    const std::uint64_t call = r.below(8);
    static constexpr int modes[] = {0,
                                    FALLOC_FL_KEEP_SIZE,
                                    FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                    FALLOC_FL_PUNCH_HOLE,
                                    FALLOC_FL_ZERO_RANGE,
                                    FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE};
    if (call < 3) {
      EXPECT_EQ(put(fs, f, text, offset), answer(::pwrite(real, text.data(), length, offset)));
    } else if (call < 6) {
      const std::int64_t n = ::pread(real, text.data(), length, offset);
      EXPECT_EQ(get(fs, f, offset, length), text.substr(0, static_cast<std::size_t>(n))) << i;
    } else if (call == 6) {
      EXPECT_EQ(fs.truncate(*f, offset), answer(::ftruncate(real, offset)));
    } else {
      const int mode = modes[r.below(6)];
      const std::int64_t expected = answer(::fallocate(real, mode, offset, signed_length));
      const bool supported = expected != -EOPNOTSUPP || mode == FALLOC_FL_PUNCH_HOLE;
      if (supported) {
        EXPECT_EQ(fs.fallocate(*f, mode, offset, signed_length), expected) << mode;
      }
    }
    if (r.chance(0.1)) {
      EXPECT_EQ(fs.sync(*f), 0);
    }
    struct stat s;
    struct statx x;
    ::fstat(real, &s);
    EXPECT_EQ(fs.stat(*f, x), 0);
    EXPECT_EQ(static_cast<std::uint64_t>(s.st_size), x.stx_size) << i;
  }
  ::close(real);
}

TEST(FileIo, bad_arguments_get_the_numbers_of_linux) {
  std::string pattern = testing::TempDir() + "sim_io_" + std::string(6, 'X');
  const int real = ::mkstemp(pattern.data());
  ASSERT_GE(real, 0);
  ::unlink(pattern.c_str());
  file_system fs;
  const open_ref f = opened(fs, "f", O_RDWR | O_CREAT);
  char c = 'x';
  const auto error = [](std::int64_t n) { return n < 0 ? -std::int64_t{errno} : n; };
  EXPECT_EQ(fs.read(*f, std::as_writable_bytes(std::span(&c, 1)), -2),
            error(::pread(real, &c, 1, -2)));
  EXPECT_EQ(fs.write(*f, std::as_bytes(std::span(&c, 1)), INT64_MAX),
            error(::pwrite(real, &c, 1, INT64_MAX)));
  EXPECT_EQ(fs.truncate(*f, -1), error(::ftruncate(real, -1)));
  EXPECT_EQ(fs.fallocate(*f, 0, -1, 1), error(::fallocate(real, 0, -1, 1)));
  EXPECT_EQ(fs.fallocate(*f, 0, 0, 0), error(::fallocate(real, 0, 0, 0)));
  EXPECT_EQ(fs.fallocate(*f, 0, INT64_MAX, 1), error(::fallocate(real, 0, INT64_MAX, 1)));
  EXPECT_EQ(fs.fallocate(*f, 0x8000, 0, 1), error(::fallocate(real, 0x8000, 0, 1)));
  ::close(real);
}

}  // namespace
}  // namespace parkring::kernel::sim
