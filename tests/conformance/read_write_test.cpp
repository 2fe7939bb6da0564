// Reading and writing files: positions, ends, vectors, wrong descriptors.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>

#include "conformance/machine.hpp"

namespace parkring::conformance {
namespace {

class ReadWrite : public on_machine {
 protected:
  int file(const std::string& content, int flags = O_RDWR) {
    EXPECT_EQ(io().make_file(path("f"), content), 0);
    const int fd = io().open(path("f"), flags | O_CLOEXEC);
    EXPECT_GE(fd, 0);
    return fd;
  }
};
PARKRING_ON_EVERY_MACHINE(ReadWrite);

TEST_P(ReadWrite, what_is_written_at_an_offset_is_read_there) {
  const int fd = file("");
  EXPECT_EQ(io().write(fd, "hello", 10), 5);
  EXPECT_EQ(io().read(fd, 5, 10), "hello");
  EXPECT_EQ(io().read(fd, 100, 0), std::string(10, '\0') + "hello");
  EXPECT_EQ(io().close(fd), 0);
}

TEST_P(ReadWrite, an_overwrite_changes_only_its_range) {
  const int fd = file("abcdefgh");
  EXPECT_EQ(io().write(fd, "XY", 3), 2);
  EXPECT_EQ(io().read(fd, 100, 0), "abcXYfgh");
  EXPECT_EQ(io().write(fd, "123456", 6), 6);
  EXPECT_EQ(io().read(fd, 100, 0), "abcXYf123456");
}

TEST_P(ReadWrite, a_read_is_short_at_the_end_and_empty_beyond_it) {
  const int fd = file("abc");
  EXPECT_EQ(io().read(fd, 100, 1), "bc");
  EXPECT_EQ(io().read(fd, 100, 3), "");
  EXPECT_EQ(io().read(fd, 100, 1u << 30), "");
}

TEST_P(ReadWrite, a_read_touches_no_memory_beyond_what_it_answers) {
  const int fd = file("abc");
  char* at = io().memory(16);
  std::memset(at, '#', 16);
  EXPECT_EQ(io().run(read(fd, at, 16, 0)), 3);
  EXPECT_EQ(std::string(at, 16), "abc#############");
}

TEST_P(ReadWrite, nothing_can_be_read_and_written) {
  const int fd = file("abc");
  char none = 0;
  EXPECT_EQ(io().run(read(fd, &none, 0, 0)), 0);
  EXPECT_EQ(io().run(write(fd, &none, 0, 50)), 0);
  EXPECT_EQ(io().content(path("f")), "abc");
}

TEST_P(ReadWrite, offset_minus_one_uses_and_moves_the_position) {
  const int fd = file("abcdef");
  EXPECT_EQ(io().read(fd, 2, at_position), "ab");
  EXPECT_EQ(io().read(fd, 2, at_position), "cd");
  EXPECT_EQ(io().read(fd, 2, 0), "ab");  // leaves the position alone
  EXPECT_EQ(io().write(fd, "XYZ", at_position), 3);
  EXPECT_EQ(io().read(fd, 9, at_position), "");
  EXPECT_EQ(io().read(fd, 9, 0), "abcdXYZ");
}

TEST_P(ReadWrite, a_descriptor_opened_for_appending_writes_at_the_end_whatever_the_offset) {
  const int fd = file("abc", O_RDWR | O_APPEND);
  EXPECT_EQ(io().write(fd, "12", 0), 2);
  EXPECT_EQ(io().write(fd, "34", at_position), 2);
  EXPECT_EQ(io().read(fd, 100, 0), "abc1234");
}

TEST_P(ReadWrite, two_descriptors_of_a_file_see_each_others_writes) {
  const int one = file("abc");
  const int two = io().open(path("f"), O_RDWR);
  EXPECT_EQ(io().write(one, "XYZ123", 0), 6);
  EXPECT_EQ(io().read(two, 100, 0), "XYZ123");
  EXPECT_EQ(io().read(two, 3, at_position), "XYZ");
  EXPECT_EQ(io().read(one, 3, at_position), "XYZ");  // each has a position of its own
}

TEST_P(ReadWrite, descriptors_that_are_not_open_are_refused) {
  char byte = 0;
  for (const int fd : {-1, 1'000'000}) {
    EXPECT_EQ(io().run(read(fd, &byte, 1, 0)), -EBADF) << fd;
    EXPECT_EQ(io().run(write(fd, &byte, 1, 0)), -EBADF) << fd;
    EXPECT_EQ(io().run(fsync(fd)), -EBADF) << fd;
    EXPECT_EQ(io().close(fd), -EBADF) << fd;
    EXPECT_EQ(io().run(fallocate(fd, 0, 0, 1)), -EBADF) << fd;
  }
}

TEST_P(ReadWrite, a_descriptor_is_used_only_as_it_was_opened) {
  const int reader = file("abc", O_RDONLY);
  const int writer = io().open(path("f"), O_WRONLY);
  char byte = 'x';
  EXPECT_EQ(io().run(write(reader, &byte, 1, 0)), -EBADF);
  EXPECT_EQ(io().run(read(writer, &byte, 1, 0)), -EBADF);
  EXPECT_EQ(io().content(path("f")), "abc");
}

TEST_P(ReadWrite, a_directory_is_neither_read_nor_written) {
  const int fd = io().open(root(), O_RDONLY | O_DIRECTORY);
  ASSERT_GE(fd, 0);
  char byte = 0;
  EXPECT_EQ(io().run(read(fd, &byte, 1, 0)), -EISDIR);
  EXPECT_EQ(io().run(write(fd, &byte, 1, 0)), -EBADF);
}

TEST_P(ReadWrite, an_offset_below_zero_is_refused) {
  const int fd = file("abc");
  char byte = 0;
  EXPECT_EQ(io().run(read(fd, &byte, 1, ~std::uint64_t{0} - 1)), -EINVAL);
  EXPECT_EQ(io().run(write(fd, &byte, 1, std::uint64_t{1} << 63)), -EINVAL);
}

TEST_P(ReadWrite, memory_that_is_not_there_is_a_fault) {
  if (!served_by().real()) GTEST_SKIP() << "a simulated machine shares the program's memory";
  const int fd = file("abc");
  void* nowhere = reinterpret_cast<void*>(std::uintptr_t{16});
  EXPECT_EQ(io().run(read(fd, nowhere, 3, 0)), -EFAULT);
  EXPECT_EQ(io().run(write(fd, nowhere, 3, 0)), -EFAULT);
  EXPECT_EQ(io().content(path("f")), "abc");
}

TEST_P(ReadWrite, vectors_scatter_and_gather_in_order) {
  const int fd = file("");
  char a[3] = {'a', 'b', 'c'}, b[2] = {'d', 'e'}, none = 0;
  const iovec out[] = {{a, 3}, {&none, 0}, {b, 2}};
  EXPECT_EQ(io().run(writev(fd, out, 3, 1)), 5);
  char first[1], second[4], third[10] = {};
  const iovec in[] = {{first, 1}, {second, 4}, {third, 10}};
  EXPECT_EQ(io().run(readv(fd, in, 3, 0)), 6);
  EXPECT_EQ(first[0], '\0');
  EXPECT_EQ(std::string(second, 4), "abcd");
  EXPECT_EQ(third[0], 'e');
  EXPECT_EQ(third[1], '\0');
  EXPECT_EQ(io().run(readv(fd, in, 0, 0)), 0);
}

TEST_P(ReadWrite, vectors_move_the_position_too) {
  const int fd = file("abcdef");
  char first[1], second[2];
  const iovec in[] = {{first, 1}, {second, 2}};
  EXPECT_EQ(io().run(readv(fd, in, 2, at_position)), 3);
  EXPECT_EQ(io().read(fd, 9, at_position), "def");
}

TEST_P(ReadWrite, a_vector_of_too_many_parts_is_refused) {
  const int fd = file("abc");
  const iovec part{io().memory(1), 1};
  std::vector<iovec> parts(1025, part);
  EXPECT_EQ(io().run(readv(fd, parts.data(), 1025, 0)), -EINVAL);
  EXPECT_EQ(io().run(readv(fd, parts.data(), 1024, 0)), 3);
}

TEST_P(ReadWrite, half_a_mebibyte_goes_in_one_piece) {
  const int fd = file("");
  std::string all(512 * 1024, '\0');
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<char>(i * 7 + i / 4096);
  EXPECT_EQ(io().write(fd, all, 0), 512 * 1024);
  EXPECT_TRUE(io().read(fd, all.size() + 1, 0) == all);
}

TEST_P(ReadWrite, many_requests_at_once_do_not_mix_up) {
  constexpr unsigned count = 48;
  const int fd = file("");
  std::vector<abi::sqe> batch;
  char* out = io().memory(count * 100);
  for (unsigned i = 0; i < count; ++i) {
    std::memset(out + i * 100, static_cast<int>('A' + i), 100);
    batch.push_back(write(fd, out + i * 100, 100, i * 100));
  }
  EXPECT_EQ(io().run_all(batch), std::vector<std::int32_t>(count, 100));
  char* in = io().memory(count * 100);
  for (unsigned i = 0; i < count; ++i) batch[i] = read(fd, in + i * 100, 100, i * 100);
  EXPECT_EQ(io().run_all(batch), std::vector<std::int32_t>(count, 100));
  EXPECT_EQ(std::memcmp(in, out, count * 100), 0);
}

TEST_P(ReadWrite, synced_files_and_directories_answer_zero) {
  const int fd = file("abc");
  EXPECT_EQ(io().run(fsync(fd)), 0);
  EXPECT_EQ(io().run(fsync(fd, abi::fsync_datasync)), 0);
  const int reader = io().open(path("f"), O_RDONLY);
  EXPECT_EQ(io().run(fsync(reader)), 0);
  const int directory = io().open(root(), O_RDONLY | O_DIRECTORY);
  EXPECT_EQ(io().run(fsync(directory)), 0);
  EXPECT_EQ(io().run(fsync(fd, 0x80)), -EINVAL);
}

TEST_P(ReadWrite, truncating_cuts_and_extends_with_zeros) {
  PARKRING_NEEDS(abi::op_ftruncate);
  const int fd = file("abcdef");
  EXPECT_EQ(io().run(ftruncate(fd, 2)), 0);
  EXPECT_EQ(io().read(fd, 100, 0), "ab");
  EXPECT_EQ(io().run(ftruncate(fd, 5)), 0);
  EXPECT_EQ(io().read(fd, 100, 0), std::string("ab\0\0\0", 5));
  EXPECT_EQ(io().write(fd, "z", 8), 1);
  EXPECT_EQ(io().read(fd, 100, 0), std::string("ab\0\0\0\0\0\0z", 9));
}

TEST_P(ReadWrite, a_cut_across_a_page_leaves_no_old_bytes) {
  PARKRING_NEEDS(abi::op_ftruncate);
  const int fd = file(std::string(10'000, 'x'));
  EXPECT_EQ(io().run(ftruncate(fd, 4100)), 0);
  EXPECT_EQ(io().run(ftruncate(fd, 9000)), 0);
  EXPECT_TRUE(io().read(fd, 10'000, 0) == std::string(4100, 'x') + std::string(4900, '\0'));
}

TEST_P(ReadWrite, truncating_needs_a_file_that_is_written_and_a_length) {
  PARKRING_NEEDS(abi::op_ftruncate);
  const int reader = file("abc", O_RDONLY);
  EXPECT_EQ(io().run(ftruncate(reader, 1)), -EINVAL);
  const int directory = io().open(root(), O_RDONLY | O_DIRECTORY);
  EXPECT_EQ(io().run(ftruncate(directory, 1)), -EINVAL);
  const int writer = io().open(path("f"), O_WRONLY);
  EXPECT_EQ(io().run(ftruncate(writer, std::uint64_t{1} << 63)), -EINVAL);
  EXPECT_EQ(io().run(ftruncate(-1, 1)), -EBADF);
  EXPECT_EQ(io().content(path("f")), "abc");
}

TEST_P(ReadWrite, allocating_extends_the_file_unless_told_to_keep_its_size) {
  const int fd = file("abc");
  EXPECT_EQ(io().run(fallocate(fd, 0x01 /* KEEP_SIZE */, 0, 8192)), 0);
  EXPECT_EQ(io().content(path("f")), "abc");
  EXPECT_EQ(io().run(fallocate(fd, 0, 1, 6)), 0);
  EXPECT_EQ(io().content(path("f")), std::string("abc\0\0\0\0", 7));
  EXPECT_EQ(io().run(fallocate(fd, 0, 0, 2)), 0);  // never makes it shorter
  EXPECT_EQ(io().content(path("f")), std::string("abc\0\0\0\0", 7));
}

TEST_P(ReadWrite, allocating_refuses_empty_ranges_and_readers) {
  const int fd = file("abc");
  EXPECT_EQ(io().run(fallocate(fd, 0, 0, 0)), -EINVAL);
  EXPECT_EQ(io().run(fallocate(fd, 0, ~std::uint64_t{0}, 5)), -EINVAL);
  const int reader = io().open(path("f"), O_RDONLY);
  EXPECT_EQ(io().run(fallocate(reader, 0, 0, 10)), -EBADF);
  EXPECT_EQ(io().content(path("f")), "abc");
}

TEST_P(ReadWrite, unknown_flags_of_a_transfer_are_refused) {
  const int fd = file("abc");
  char byte = 0;
  abi::sqe e = read(fd, &byte, 1, 0);
  e.rw_flags = 1u << 30;
  EXPECT_EQ(io().run(e), -EOPNOTSUPP);
}

TEST_P(ReadWrite, a_close_leaves_what_is_queued_behind_it_without_a_file) {
  const int fd = file("abc");
  char byte = 0;
  const auto results = io().run_chain({close(fd), read(fd, &byte, 1, 0)});
  EXPECT_EQ(results, (std::vector<std::int32_t>{0, -EBADF}));
  EXPECT_EQ(io().close(fd), -EBADF);
}

}  // namespace
}  // namespace parkring::conformance
