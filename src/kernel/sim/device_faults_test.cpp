// What a device that lies, forgets or fails does to files.
#include <fcntl.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <optional>
#include <string>

#include "kernel/sim/file_system.hpp"
#include "kernel/sim/random.hpp"

namespace parkring::kernel::sim {
namespace {

struct DeviceFaults : testing::Test {
  void start(const disk_options& options) {
    fs.emplace(options);
    f = open("f", O_RDWR | O_CREAT);
  }
  void SetUp() override { start({}); }
  open_ref open(const char* path, int flags = O_RDWR) {
    open_ref file;
    EXPECT_EQ(fs->open(nullptr, path, flags, 0644, file), 0);
    return file;
  }
  std::int64_t write(const open_ref& file, const std::string& text, std::int64_t offset,
                     write_fate fate = {}) {
    return fs->write(*file, std::as_bytes(std::span(text.data(), text.size())), offset, fate);
  }
  std::string read(const open_ref& file, std::int64_t offset, std::size_t length,
                   read_fate fate = {}) {
    std::string text(length, '?');
    const std::int64_t n = fs->read(*file, std::as_writable_bytes(std::span(text)), offset, fate);
    if (n < 0) return "error " + std::to_string(-n);
    text.resize(static_cast<std::size_t>(n));
    return text;
  }
  // Everything durable; then the power goes, and `f` is opened again.
  void sync_and_cut() {
    EXPECT_EQ(fs->sync(*f), 0);
    EXPECT_EQ(fs->sync(*open("/", O_RDONLY)), 0);
    random draws(1);
    fs->power_cut(draws);
    f = open("f");
  }

  std::optional<file_system> fs;
  open_ref f;
};

TEST_F(DeviceFaults, a_lost_write_is_seen_until_the_power_goes) {
  EXPECT_EQ(write(f, std::string(1024, 'a'), 0), 1024);
  EXPECT_EQ(fs->sync(*f), 0);
  EXPECT_EQ(write(f, std::string(512, 'b'), 512, {write_fate::lost, 0}), 512);
  EXPECT_EQ(read(f, 0, 2000), std::string(512, 'a') + std::string(512, 'b'));
  sync_and_cut();
  EXPECT_EQ(read(f, 0, 2000), std::string(1024, 'a'));
}

TEST_F(DeviceFaults, a_lost_write_is_seen_by_direct_reads_at_once) {
  EXPECT_EQ(write(f, std::string(512, 'a'), 0), 512);
  EXPECT_EQ(fs->sync(*f), 0);
  EXPECT_EQ(write(f, std::string(512, 'b'), 0, {write_fate::lost, 0}), 512);
  EXPECT_EQ(read(open("f", O_RDONLY | O_DIRECT), 0, 512), std::string(512, 'a'));
  fs->drop_caches();
  EXPECT_EQ(read(f, 0, 512), std::string(512, 'a'));
}

TEST_F(DeviceFaults, a_torn_write_keeps_its_first_sectors_only) {
  EXPECT_EQ(write(f, std::string(2048, 'b'), 0, {write_fate::torn, 3}), 2048);
  sync_and_cut();
  EXPECT_EQ(read(f, 0, 3000), std::string(1536, 'b') + std::string(512, '\0'));
}

TEST_F(DeviceFaults, a_misdirected_write_damages_another_place_and_misses_its_own) {
  const open_ref g = open("g", O_RDWR | O_CREAT);
  EXPECT_EQ(write(f, std::string(1024, 'a'), 0), 1024);
  EXPECT_EQ(write(g, std::string(1024, 'g'), 0), 1024);
  EXPECT_EQ(fs->sync(*f), 0);
  EXPECT_EQ(fs->sync(*g), 0);
  bool damaged_other = false, damaged_own = false;
  for (std::uint64_t where = 0; where < 8; ++where) {
    EXPECT_EQ(write(f, std::string(512, 'x'), 0, {write_fate::misdirected, where}), 512);
    fs->drop_caches();
    EXPECT_EQ(read(f, 0, 512), std::string(512, 'a'));
    const bool own = read(f, 512, 512) == std::string(512, 'x');
    const bool other = read(g, 0, 1024).find(std::string(512, 'x')) != std::string::npos;
    EXPECT_TRUE(own || other);
    damaged_own |= own;
    damaged_other |= other;
    EXPECT_EQ(write(f, std::string(512, 'a'), 512), 512);
    EXPECT_EQ(write(g, std::string(1024, 'g'), 0), 1024);
    EXPECT_EQ(fs->sync(*f), 0);
    EXPECT_EQ(fs->sync(*g), 0);
  }
  EXPECT_TRUE(damaged_own);
  EXPECT_TRUE(damaged_other);
}

TEST_F(DeviceFaults, a_flipped_bit_is_gone_at_the_next_read_and_rot_stays) {
  const std::string text(100, 'a');
  EXPECT_EQ(write(f, text, 0), 100);
  EXPECT_EQ(fs->sync(*f), 0);
  std::string flipped = text;
  flipped[3] = static_cast<char>('a' ^ 4);
  EXPECT_EQ(read(f, 0, 100, {read_fate::flipped, 3 * 8 + 2}), flipped);
  EXPECT_EQ(read(f, 0, 100), text);
  EXPECT_EQ(read(f, 0, 100, {read_fate::rotten, 3 * 8 + 2}), flipped);
  EXPECT_EQ(read(f, 0, 100), flipped);
  sync_and_cut();
  EXPECT_EQ(read(f, 0, 100), flipped);
  EXPECT_EQ(write(f, text, 0), 100);  // what is written anew is sound
  sync_and_cut();
  EXPECT_EQ(read(f, 0, 100), text);
}

TEST_F(DeviceFaults, a_bad_sector_fails_reads_and_the_sync_of_what_is_written_to_it) {
  EXPECT_EQ(write(f, std::string(12288, 'a'), 0), 12288);
  EXPECT_EQ(fs->sync(*f), 0);
  fs->mark_bad(*f, 4096 + 600, 1);
  EXPECT_EQ(read(f, 0, 12288), std::string(4096, 'a'));  // up to the page
  EXPECT_EQ(read(f, 4096, 8192), "error 5");
  EXPECT_EQ(read(f, 8192, 10), std::string(10, 'a'));
  EXPECT_EQ(read(f, 4096, 512), std::string(512, 'a'));
  EXPECT_EQ(write(f, std::string(12288, 'b'), 0), 12288);
  EXPECT_EQ(read(f, 4096, 8192), std::string(8192, 'b'));  // still in the cache
  EXPECT_EQ(fs->sync(*f), -EIO);
  EXPECT_EQ(fs->sync(*f), 0);
  EXPECT_EQ(read(f, 4096, 8192), "error 5");
  sync_and_cut();
  EXPECT_EQ(read(f, 4096, 8192), "error 5");
  EXPECT_EQ(read(f, 8192, 10), std::string(10, 'b'));
}

TEST_F(DeviceFaults, a_failed_sync_drops_what_was_dirty_and_the_next_one_succeeds) {
  for (const bool keeps : {true, false}) {
    disk_options options;
    options.failed_sync_keeps_cache = keeps;
    start(options);
    EXPECT_EQ(write(f, "old", 0), 3);
    EXPECT_EQ(fs->sync(*f), 0);
    EXPECT_EQ(write(f, "new", 0), 3);
    EXPECT_EQ(fs->sync(*f, sync_fate::refused), -EIO);
    EXPECT_EQ(fs->sync(*f), 0);
    EXPECT_EQ(read(f, 0, 9), keeps ? "new" : "old");
    sync_and_cut();
    EXPECT_EQ(read(f, 0, 9), "old");
  }
}

TEST_F(DeviceFaults, each_open_file_hears_once_of_a_failed_sync) {
  const open_ref other = open("f");
  EXPECT_EQ(write(f, "text", 0), 4);
  EXPECT_EQ(fs->sync(*f, sync_fate::refused), -EIO);
  EXPECT_EQ(fs->sync(*f), 0);
  EXPECT_EQ(fs->sync(*other), -EIO);
  EXPECT_EQ(fs->sync(*other), 0);
  EXPECT_EQ(fs->sync(*open("f")), 0);  // it was reported before this one was opened
}

TEST_F(DeviceFaults, a_failed_sync_of_a_directory_can_be_repeated) {
  EXPECT_EQ(fs->sync(*open("/", O_RDONLY), sync_fate::refused), -EIO);
  EXPECT_EQ(fs->sync(*open("/", O_RDONLY)), 0);
  random draws(3);
  fs->power_cut(draws);
  EXPECT_EQ(read(open("f"), 0, 1), "");
}

TEST_F(DeviceFaults, a_synchronous_write_reports_that_the_device_refused_it) {
  const open_ref s = open("f", O_WRONLY | O_DSYNC);
  const std::string text = "text";
  EXPECT_EQ(fs->write(*s, std::as_bytes(std::span(text)), 0, {}, sync_fate::refused), -EIO);
  EXPECT_EQ(write(s, text, 0), 4);
  EXPECT_EQ(fs->sync(*f), -EIO);  // this open file had not heard of it
  sync_and_cut();
  EXPECT_EQ(read(f, 0, 9), "text");
}

}  // namespace
}  // namespace parkring::kernel::sim
