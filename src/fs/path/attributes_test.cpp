#include <parkring/fs/attributes.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <vector>

#include <parkring/fs/extended_attributes.hpp>
#include <parkring/fs/paths.hpp>

#include "support/on_machines.hpp"

namespace parkring::fs {
namespace {

using namespace std::chrono_literals;
using path_t = std::filesystem::path;

TEST(Attributes, permissions_and_owners_are_set_by_name_and_by_handle) {
  on_both_machines([](path_t dir) -> task<> {
    co_await fs::write_file(dir / "a", "x");
    co_await fs::symlink("a", dir / "l");
    co_await fs::set_permissions(dir / "l", 0751);
    EXPECT_EQ((co_await fs::stat(dir / "a")).permissions, 0751u);
    file f = co_await open(dir / "a");
    co_await fs::set_permissions(f, 04700);
    const metadata now = co_await f.metadata();
    EXPECT_EQ(now.permissions, 04700u);
    const error link = co_await error_of(fs::set_permissions(dir / "l", 0700, links::no_follow));
    EXPECT_EQ(link.number(), EOPNOTSUPP);
    EXPECT_NE(link.advice().find("no permissions of its own"), std::string::npos);
    const owner same{now.user, now.group}, as_it_is;
    co_await fs::set_owner(f, same);
    co_await fs::set_owner(dir / "l", as_it_is, links::no_follow);
    EXPECT_EQ((co_await error_of(fs::set_owner(dir / "none", same))).number(), ENOENT);
    EXPECT_EQ((co_await error_of(fs::set_permissions("", 0700))).number(), ENOENT);
  });
}

TEST(Attributes, times_are_set_to_the_nanosecond_or_left) {
  on_both_machines([](path_t dir) -> task<> {
    co_await fs::write_file(dir / "a", "x");
    co_await fs::symlink("a", dir / "l");
    const file_time then(1'000'000'000s + 123'456'789ns), before_1970(-1ns);
    file_times both;
    both.accessed = then;
    both.modified = before_1970;
    co_await fs::set_times(dir / "l", both);
    metadata m = co_await fs::stat(dir / "a");
    EXPECT_EQ(m.accessed, then);
    EXPECT_EQ(m.modified, before_1970);
    file f = co_await open(dir / "a");
    const file_times one{.modified = then};
    co_await fs::set_times(f, one);
    m = co_await f.metadata();
    EXPECT_EQ(m.accessed, then);
    EXPECT_EQ(m.modified, then);
    co_await fs::set_times(dir / "l", both, links::no_follow);
    EXPECT_EQ((co_await fs::stat(dir / "l", links::no_follow)).modified, before_1970);
    EXPECT_EQ((co_await f.metadata()).modified, then);
    co_await fs::touch(f);
    m = co_await f.metadata();
    EXPECT_NE(m.modified, then);
    EXPECT_EQ(m.modified, m.accessed);
    co_await fs::set_times(f, one);
    co_await fs::touch(dir / "a");
    EXPECT_NE((co_await f.metadata()).modified, then);
  });
}

TEST(Attributes, names_with_a_nul_are_refused) {
  on_both_machines([](path_t dir) -> task<> {
    co_await fs::write_file(dir / "a", "x");
    const path_t nul = dir / std::string("a\0b", 3);
    std::vector<error> all;
    all.push_back(co_await error_of(fs::set_permissions(nul, 0700)));
    all.push_back(co_await error_of(fs::touch(nul)));
    all.push_back(co_await error_of(fs::space(nul)));
    all.push_back(co_await error_of(fs::list_attributes(nul)));
    for (const error& e : all) {
      EXPECT_EQ(e.number(), EINVAL);
      EXPECT_NE(e.message().find("a\\0b"), std::string::npos) << e.message();
    }
  });
}

TEST(Attributes, a_file_system_tells_of_its_room) {
  on_both_machines([](path_t dir) -> task<> {
    const space_info s = co_await fs::space(dir);
    EXPECT_GT(s.capacity, 0u);
    EXPECT_GE(s.capacity, s.free);
    EXPECT_EQ(s.longest_name, 255u);
    EXPECT_FALSE(s.read_only);
    co_await fs::write_file(dir / "a", "x");
    file f = co_await open(dir / "a");
    EXPECT_EQ((co_await fs::space(f)).capacity, s.capacity);
    EXPECT_EQ((co_await error_of(fs::space(dir / "none"))).number(), ENOENT);
  });
}

TEST(Attributes, a_fifo_is_made) {
  on_both_machines([](path_t dir) -> task<> {
    co_await fs::create_fifo(dir / "p", 0600);
    EXPECT_EQ((co_await fs::stat(dir / "p")).type, file_type::fifo);
    EXPECT_EQ((co_await error_of(fs::create_fifo(dir / "p"))).number(), EEXIST);
  });
}

TEST(ExtendedAttributes, are_set_read_listed_and_removed) {
  on_both_machines([](path_t dir) -> task<> {
    co_await fs::write_file(dir / "a", "x");
    co_await fs::symlink("a", dir / "l");
    const error refused = co_await error_of(fs::set_attribute(dir / "a", "user.one", "value"));
    if (refused.number() == EOPNOTSUPP) {
      EXPECT_NE(refused.advice().find("no such attributes"), std::string::npos);
      co_return;  // the file system has none
    }
    EXPECT_EQ(refused.number(), 0) << refused.message();
    file f = co_await open(dir / "l");
    EXPECT_EQ(co_await fs::get_attribute(f, "user.one"), "value");
    EXPECT_EQ(co_await fs::get_attribute(dir / "l", "user.none"), std::nullopt);
    const std::string binary("\0\xff\0", 3);
    co_await fs::set_attribute(f, "user.two", binary, attribute_mode::must_be_new);
    EXPECT_EQ(co_await fs::get_attribute(dir / "l", "user.two"), binary);
    co_await fs::set_attribute(f, "user.empty", "");
    EXPECT_EQ(co_await fs::get_attribute(f, "user.empty"), "");
    auto names = co_await fs::list_attributes(f);
    std::erase_if(names, [](const std::string& n) { return !n.starts_with("user."); });
    std::ranges::sort(names);
    EXPECT_EQ(names, (std::vector<std::string>{"user.empty", "user.one", "user.two"}));
    EXPECT_EQ((co_await fs::list_attributes(dir / "l")).size(),
              (co_await fs::list_attributes(f)).size());
    EXPECT_TRUE(co_await fs::remove_attribute(dir / "a", "user.one"));
    EXPECT_FALSE(co_await fs::remove_attribute(f, "user.one"));

    const auto must = attribute_mode::must_exist, fresh = attribute_mode::must_be_new;
    EXPECT_EQ((co_await error_of(fs::set_attribute(f, "user.x", "", must))).number(), ENODATA);
    const error there = co_await error_of(fs::set_attribute(f, "user.two", "", fresh));
    EXPECT_EQ(there.number(), EEXIST);
    EXPECT_EQ(there.subject(), (dir / "l").native() + ", user.two");
    EXPECT_EQ((co_await error_of(fs::get_attribute(dir / "none", "user.x"))).number(), ENOENT);
    const std::string nul("user.\0x", 7), long_name = "user." + std::string(300, 'n');
    EXPECT_EQ((co_await error_of(fs::get_attribute(f, nul))).number(), EINVAL);
    EXPECT_EQ((co_await error_of(fs::set_attribute(f, long_name, ""))).number(), ERANGE);
  });
}

}  // namespace
}  // namespace parkring::fs
