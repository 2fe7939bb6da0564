// What a power cut leaves, over many seeds: what must hold in all, and what must be seen in some.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdio.h>

#include <cerrno>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "kernel/sim/file_system.hpp"
#include "kernel/sim/random.hpp"

namespace parkring::kernel::sim {
namespace {

constexpr std::uint64_t seeds = 1000;

// A file system, and calls on it that must succeed.
struct disk {
  explicit disk(std::uint64_t seed, const disk_options& options = {}) : draws(seed) {
    fs.emplace(options, seed * 7919);
  }
  open_ref open(const char* path, int flags = O_RDWR | O_CREAT) {
    open_ref file;
    EXPECT_EQ(fs->open(nullptr, path, flags, 0644, file), 0) << path;
    return file;
  }
  void write(const open_ref& file, const std::string& text, std::int64_t offset,
             write_fate fate = {}) {
    const auto data = std::as_bytes(std::span(text.data(), text.size()));
    EXPECT_EQ(fs->write(*file, data, offset, fate), static_cast<std::int64_t>(text.size()));
  }
  void sync(const open_ref& file) { EXPECT_EQ(fs->sync(*file), 0); }
  void sync_directory(const char* path) { sync(open(path, O_RDONLY | O_DIRECTORY)); }
  std::string read(const char* path) {
    const open_ref file = open(path, O_RDONLY);
    std::string text(100'000, '?');
    const std::int64_t n = fs->read(*file, std::as_writable_bytes(std::span(text)), 0);
    EXPECT_GE(n, 0);
    text.resize(n < 0 ? 0 : static_cast<std::size_t>(n));
    return text;
  }
  bool there(const char* path) {
    struct statx s;
    return fs->stat(nullptr, path, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, s) == 0;
  }
  // A file whose name and content are durable.
  open_ref durable(const char* path, const std::string& text) {
    const open_ref file = open(path);
    write(file, text, 0);
    sync(file);
    sync_directory("/");
    return file;
  }
  void cut() { fs->power_cut(draws); }

  random draws;
  std::optional<file_system> fs;
};

// How often each outcome was seen.
using outcomes = std::map<std::string, int>;
outcomes over_all_seeds(const std::function<std::string(disk&)>& scenario,
                        const disk_options& options = {}) {
  outcomes seen;
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    disk d(seed, options);
    ++seen[scenario(d)];
    if (testing::Test::HasFailure()) {
      ADD_FAILURE() << "seed " << seed;
      break;
    }
  }
  return seen;
}
std::set<std::string> names(const outcomes& seen) {
  std::set<std::string> result;
  for (const auto& [name, count] : seen) result.insert(name);
  return result;
}
using set = std::set<std::string>;

TEST(Durability, synced_data_survives_a_power_cut) {
  const std::string text = std::string(10'000, 'a') + "end";
  const auto seen = over_all_seeds([&](disk& d) {
    d.durable("f", text);
    d.cut();
    return d.read("f") == text ? "whole" : "damaged";
  });
  EXPECT_EQ(names(seen), set{"whole"});
}

TEST(Durability, an_overwrite_without_sync_is_torn_between_sectors_only) {
  bool mixed = false;
  over_all_seeds([&](disk& d) {
    const open_ref f = d.durable("f", std::string(8192, 'a'));
    d.write(f, std::string(8192, 'b'), 0);
    d.cut();
    const std::string text = d.read("f");
    EXPECT_EQ(text.size(), 8192u);
    set kinds;
    for (std::size_t at = 0; at < text.size(); at += 512) {
      const std::string sector = text.substr(at, 512);
      EXPECT_TRUE(sector == std::string(512, 'a') || sector == std::string(512, 'b'));
      kinds.insert(sector.substr(0, 1));
    }
    mixed |= kinds.size() == 2;
    return *kinds.begin();
  });
  EXPECT_TRUE(mixed);
}

TEST(Durability, an_append_without_sync_is_missing_or_short_or_zeros_or_there) {
  set seen;
  over_all_seeds([&](disk& d) {
    const open_ref f = d.durable("f", std::string(1000, 'a'));
    d.write(f, std::string(3000, 'b'), 1000);
    d.cut();
    const std::string text = d.read("f");
    EXPECT_GE(text.size(), 1000u);
    EXPECT_LE(text.size(), 4000u);
    EXPECT_EQ(text.substr(0, 1000), std::string(1000, 'a'));
    EXPECT_EQ(text.find_first_not_of(std::string("b\0", 2), 1000), text.npos);
    const bool zeros = text.find('\0') != text.npos;
    seen.insert(text.size() == 1000  ? "nothing"
                : text.size() < 4000 ? "short"
                : zeros              ? "zeros"
                                     : "whole");
    return "";
  });
  EXPECT_EQ(seen, (set{"nothing", "short", "zeros", "whole"}));
}

TEST(Durability, stale_data_shows_garbage_behind_the_old_end_only) {
  disk_options options;
  options.stale_data = true;
  bool garbage = false;
  over_all_seeds(
      [&](disk& d) {
        const open_ref f = d.durable("f", std::string(512, 'a'));
        d.write(f, std::string(2048, 'b'), 512);
        d.cut();
        const std::string text = d.read("f");
        EXPECT_EQ(text.substr(0, 512), std::string(512, 'a'));
        garbage |= text.find_first_not_of(std::string("ab\0", 3)) != text.npos;
        return "";
      },
      options);
  EXPECT_TRUE(garbage);
}

TEST(Durability, a_synced_append_survives_with_its_size) {
  const auto seen = over_all_seeds([](disk& d) {
    const open_ref f = d.durable("f", "one");
    d.write(f, "two", 3);
    d.sync(f);
    d.write(f, "three", 6);
    d.cut();
    return d.read("f").substr(0, 6);
  });
  EXPECT_EQ(names(seen), set{"onetwo"});
}

TEST(Durability, a_new_file_may_vanish_until_its_directory_is_synced) {
  const auto scenario = [](disk& d) {
    const open_ref f = d.open("f");
    d.write(f, "text", 0);
    d.sync(f);
    d.cut();
    return d.there("f") ? d.read("f") : "vanished";
  };
  const outcomes seen = over_all_seeds(scenario);
  EXPECT_EQ(names(seen), (set{"text", "vanished"}));
  for (const auto& [name, count] : seen) EXPECT_GT(count, 250) << name;
  disk_options lenient;
  lenient.strict_directories = false;
  EXPECT_EQ(names(over_all_seeds(scenario, lenient)), set{"text"});
}

TEST(Durability, a_synced_directory_keeps_names_but_not_what_lies_in_the_files) {
  const auto seen = over_all_seeds([](disk& d) {
    d.write(d.open("f"), "text", 0);
    d.sync_directory("/");
    d.cut();
    return d.there("f") ? d.read("f") : "vanished";
  });
  EXPECT_EQ(names(seen), (set{"", "text", std::string(4, '\0')}));
}

TEST(Durability, changes_of_one_directory_survive_in_order) {
  const auto seen = over_all_seeds([](disk& d) {
    for (const char* name : {"a", "b", "c"}) d.open(name);
    d.cut();
    std::string left;
    for (const char* name : {"a", "b", "c"})
      if (d.there(name)) left += name;
    return left;
  });
  EXPECT_EQ(names(seen), (set{"", "a", "ab", "abc"}));
}

TEST(Durability, changes_of_different_directories_are_reordered_only_if_allowed) {
  const auto scenario = [](disk& d) {
    EXPECT_EQ(d.fs->mkdir(nullptr, "x", 0755), 0);
    EXPECT_EQ(d.fs->mkdir(nullptr, "y", 0755), 0);
    d.sync_directory("/");
    d.open("x/a");
    d.open("y/b");
    d.cut();
    return std::string(d.there("x/a") ? "a" : "") + (d.there("y/b") ? "b" : "");
  };
  EXPECT_EQ(names(over_all_seeds(scenario)), (set{"", "a", "b", "ab"}));
  disk_options ordered;
  ordered.reorder_metadata = false;
  EXPECT_EQ(names(over_all_seeds(scenario, ordered)), (set{"", "a", "ab"}));
}

TEST(Durability, a_rename_is_never_half_done) {
  const auto seen = over_all_seeds([](disk& d) {
    EXPECT_EQ(d.fs->mkdir(nullptr, "x", 0755), 0);
    d.durable("f", "old");
    d.sync(d.open("x/n"));
    const open_ref n = d.open("x/n");
    d.write(n, "new", 0);
    d.sync(n);
    d.sync_directory("x");
    EXPECT_EQ(d.fs->rename(nullptr, "x/n", nullptr, "f"), 0);
    d.cut();
    return d.read("f") + (d.there("x/n") ? "+n" : "");
  });
  EXPECT_EQ(names(seen), (set{"old+n", "new"}));
}

TEST(Durability, an_exchange_is_never_half_done) {
  const auto seen = over_all_seeds([](disk& d) {
    d.durable("a", "1");
    d.durable("b", "2");
    EXPECT_EQ(d.fs->rename(nullptr, "a", nullptr, "b", RENAME_EXCHANGE), 0);
    d.cut();
    return d.read("a") + d.read("b");
  });
  EXPECT_EQ(names(seen), (set{"12", "21"}));
}

TEST(Durability, a_rename_may_come_before_the_data_of_the_file) {
  const auto seen = over_all_seeds([](disk& d) {
    d.durable("f", "old");
    d.write(d.open("n"), "new", 0);
    EXPECT_EQ(d.fs->rename(nullptr, "n", nullptr, "f"), 0);
    d.cut();
    return d.read("f");
  });
  EXPECT_TRUE(seen.contains("old"));
  EXPECT_TRUE(seen.contains("new"));
  EXPECT_TRUE(seen.contains(""));
}

TEST(Durability, a_file_linked_elsewhere_before_its_removal_has_a_name) {
  const auto run = [](bool synced) {
    return names(over_all_seeds([synced](disk& d) {
      EXPECT_EQ(d.fs->mkdir(nullptr, "x", 0755), 0);
      EXPECT_EQ(d.fs->mkdir(nullptr, "y", 0755), 0);
      d.durable("x/f", "text");
      d.sync_directory("x");
      EXPECT_EQ(d.fs->link(nullptr, "x/f", nullptr, "y/g"), 0);
      EXPECT_EQ(d.fs->unlink(nullptr, "x/f"), 0);
      if (synced) d.sync_directory("x");
      d.cut();
      return std::string(d.there("x/f") ? "f" : "") + (d.there("y/g") ? "g" : "");
    }));
  };
  EXPECT_EQ(run(false), (set{"f", "fg", "g"}));
  EXPECT_EQ(run(true), set{"g"});
}

// Surviving alone, the first and the last would put each directory into the other, out of reach.
TEST(Durability, directories_that_were_moved_are_never_lost) {
  const auto seen = over_all_seeds([](disk& d) {
    for (const char* path : {"p", "q", "p/a", "q/b"})
      EXPECT_EQ(d.fs->mkdir(nullptr, path, 0755), 0);
    for (const char* path : {"/", "p", "q"}) d.sync_directory(path);
    EXPECT_EQ(d.fs->rename(nullptr, "p/a", nullptr, "q/b/a"), 0);
    EXPECT_EQ(d.fs->rename(nullptr, "q/b/a", nullptr, "p/a"), 0);
    EXPECT_EQ(d.fs->rename(nullptr, "q/b", nullptr, "p/a/b"), 0);
    d.cut();
    std::string left;
    for (const char* path : {"p/a", "q/b", "q/b/a", "p/a/b"})
      if (d.there(path)) left += std::string(path) + " ";
    return left;
  });
  EXPECT_EQ(names(seen), (set{"p/a q/b ", "q/b q/b/a ", "p/a p/a/b "}));
}

TEST(Durability, a_removal_may_be_undone_until_its_directory_is_synced) {
  const auto removed = [](bool synced) {
    return names(over_all_seeds([synced](disk& d) {
      const open_ref f = d.durable("f", "text");
      EXPECT_EQ(d.fs->unlink(nullptr, "f"), 0);
      if (synced) d.sync_directory("/");
      d.cut();
      EXPECT_EQ(d.fs->space_used(), d.there("f") ? 4096u : 0u);
      return d.there("f") ? d.read("f") : "gone";
    }));
  };
  EXPECT_EQ(removed(false), (set{"text", "gone"}));
  EXPECT_EQ(removed(true), set{"gone"});
}

TEST(Durability, data_written_after_a_truncation_is_not_seen_without_it) {
  const auto seen = over_all_seeds([](disk& d) {
    const open_ref f = d.durable("f", std::string(2000, 'a'));
    EXPECT_EQ(d.fs->truncate(*f, 0), 0);
    d.write(f, std::string(1000, 'b'), 0);
    d.cut();
    const std::string text = d.read("f");
    const bool a = text.find('a') != text.npos, b = text.find('b') != text.npos;
    EXPECT_EQ(text.size() == 2000, a);
    return a && b ? "both" : a ? "old" : b ? "new" : "nothing";
  });
  EXPECT_EQ(names(seen), (set{"old", "new", "nothing"}));
}

TEST(Durability, a_hole_survives_whole_or_not_at_all) {
  const auto seen = over_all_seeds([](disk& d) {
    const open_ref f = d.durable("f", std::string(12288, 'a'));
    EXPECT_EQ(d.fs->fallocate(*f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 100, 9000), 0);
    d.cut();
    const std::string text = d.read("f");
    const std::string all(12288, 'a');
    std::string punched = all;
    punched.replace(100, 9000, 9000, '\0');
    return text == all ? "all" : text == punched ? "punched" : "other";
  });
  EXPECT_EQ(names(seen), (set{"all", "punched"}));
}

TEST(Durability, a_synchronous_write_is_durable_and_its_neighbours_are_not) {
  const auto seen = over_all_seeds([](disk& d) {
    const open_ref f = d.durable("f", std::string(8192, 'a'));
    d.write(f, "x", 0);
    d.write(d.open("f", O_WRONLY | O_DSYNC), "y", 4096);
    d.cut();
    return d.read("f").substr(0, 1) + d.read("f").substr(4096, 1);
  });
  EXPECT_EQ(names(seen), (set{"ay", "xy"}));
}

TEST(Durability, open_files_are_dead_after_a_power_cut) {
  disk d(1);
  const open_ref f = d.durable("f", "text");
  d.cut();
  std::byte b{};
  EXPECT_EQ(d.fs->read(*f, {&b, 1}, 0), -EIO);
  EXPECT_EQ(d.fs->write(*f, {&b, 1}, 0), -EIO);
  EXPECT_EQ(d.fs->sync(*f), -EIO);
  EXPECT_EQ(d.fs->truncate(*f, 0), -EIO);
  EXPECT_EQ(d.read("f"), "text");
}

TEST(Durability, what_is_made_durable_from_outside_leaves_other_data_alone) {
  const auto seen = over_all_seeds([](disk& d) {
    EXPECT_EQ(d.fs->mkdir(nullptr, "x", 0755), 0);
    EXPECT_EQ(d.fs->mkdir(nullptr, "x/y", 0755), 0);
    EXPECT_EQ(d.fs->mkdir(nullptr, "z", 0755), 0);
    const open_ref f = d.open("x/y/f"), other = d.open("x/y/other");
    d.write(f, "text", 0);
    d.write(other, "loose", 0);
    EXPECT_EQ(d.fs->mkdir(nullptr, "z/loose", 0755), 0);
    EXPECT_EQ(d.fs->persist("/x/y/f"), 0);
    d.cut();
    struct statx s {};
    const bool name = d.fs->stat(nullptr, "z/loose", 0, STATX_TYPE, s) == 0;
    return d.read("x/y/f") + " " + d.read("x/y/other") + (name ? " z" : "");
  });
  const set all = names(seen);
  for (const char* possible : {"text ", "text loose", "text  z", "text loose z"})
    EXPECT_TRUE(all.contains(possible)) << possible;
  for (const std::string& one : all) EXPECT_TRUE(one.starts_with("text ")) << one;
}

TEST(Durability, an_older_version_may_be_what_survives) {
  const auto seen = over_all_seeds([](disk& d) {
    const open_ref f = d.durable("f", "0");
    for (const char* version : {"1", "2", "3"}) d.write(f, version, 0);
    d.cut();
    return d.read("f");
  });
  EXPECT_EQ(names(seen), (set{"0", "1", "2", "3"}));
}

}  // namespace
}  // namespace parkring::kernel::sim
