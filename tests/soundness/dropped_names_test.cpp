// Names and what lies beside content, in jobs and from open directories, dropped at every point.
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include <parkring/parkring.hpp>

#include "support/drop_everywhere.hpp"
#include "support/scratch.hpp"

namespace pr = parkring;
using namespace parkring::testing;

namespace {

// Two queue sizes: what these do beside the ring is the same in all.
drop_options some_queue_sizes() { return {.runtimes = {{}, {.entries = 1, .max_operations = 4}}}; }

class DroppedNames : public ::testing::Test {
 protected:
  scratch dir;
  const std::filesystem::path root = dir.root();

  [[nodiscard]] bool exists(const std::filesystem::path& p) const {
    if (pr::sim::world* const w = simulated()) return w->exists(p.native());
    return std::filesystem::exists(p);
  }
  [[nodiscard]] std::size_t names_in_root() const {
    if (pr::sim::world* const w = simulated()) return w->list(root.native()).size();
    std::size_t n = 0;
    for ([[maybe_unused]] const auto& e : std::filesystem::directory_iterator(root)) ++n;
    return n;
  }
};

TEST_F(DroppedNames, open_directories_and_what_starts_there_leave_no_descriptor) {
  (void)dir.file("a", "1234");
  EXPECT_GT(drop_everywhere(
                [&]() -> pr::task<> {
                  return [](std::filesystem::path p) -> pr::task<> {
                    pr::fs::directory d = co_await pr::fs::open_directory(p);
                    pr::fs::file f = co_await d.open("a");
                    EXPECT_EQ((co_await d.stat("a")).size, 4u);
                    EXPECT_EQ((co_await f.metadata()).size, 4u);
                    (void)co_await pr::as_result(d.create_directory("d"));
                    pr::fs::directory e = co_await d.open_directory("d", pr::fs::within::beneath);
                    (void)co_await pr::as_result(d.link("a", e, "b"));
                    (void)co_await pr::as_result(e.symlink("b", "l"));
                    (void)co_await pr::as_result(e.read_link("l"));
                    (void)co_await pr::as_result(pr::link(e.remove("l"), e.remove("b")));
                    (void)co_await pr::as_result(d.remove_directory("d"));
                    co_await std::move(d).close();
                  }(root);
                },
                some_queue_sizes()),
            100u);
}

TEST_F(DroppedNames, calls_beside_the_ring_leave_nothing) {
  const auto path = dir.file("a", "1234");
  EXPECT_GT(drop_everywhere(
                [&]() -> pr::task<> {
                  return [](std::filesystem::path p, std::filesystem::path parent) -> pr::task<> {
                    pr::fs::file f = co_await pr::fs::open(p);
                    co_await pr::fs::set_permissions(f, 0640);
                    co_await pr::fs::touch(p);
                    (void)co_await pr::as_result(pr::fs::set_attribute(f, "user.a", "1"));
                    (void)co_await pr::as_result(pr::fs::get_attribute(p, "user.a"));
                    (void)co_await pr::as_result(pr::fs::list_attributes(f));
                    EXPECT_EQ(co_await pr::fs::canonical(parent / "." / "a"), p);
                    (void)co_await pr::fs::space(f);
                    co_await pr::fs::create_directories(parent / "b" / "c");
                  }(path, root);
                },
                some_queue_sizes()),
            50u);
}

TEST_F(DroppedNames, locks_and_waits_for_locks_leave_no_lock) {
  const auto path = dir.file("a", "1234");
  const auto make = [&]() -> pr::task<> {
    return [](std::filesystem::path p) -> pr::task<> {
      constexpr auto exclusive = pr::fs::lock_kind::exclusive;
      const pr::fs::open_options both{.access = pr::fs::access::read_write};
      pr::fs::file f = co_await pr::fs::open(p, both);
      pr::fs::file_lock one = co_await pr::fs::lock(f, exclusive);
      auto other = pr::spawn(pr::fs::lock(f, exclusive));
      co_await pr::yield();
      co_await std::move(one).unlock();
      pr::fs::file_lock two = co_await std::move(other);
      (void)co_await pr::fs::try_lock(f, exclusive);
    }(path);
  };
  EXPECT_GT(drop_everywhere(make, some_queue_sizes()), 30u);
  pr::run(make());  // nobody is kept out
}

TEST_F(DroppedNames, mappings_are_unmapped) {
  const auto path = dir.file("a", std::string(2'000'000, 'x'));
  const std::size_t drops = drop_everywhere(
      [&]() -> pr::task<> {
        return [](std::filesystem::path p) -> pr::task<> {
          pr::fs::file f = co_await pr::fs::open(p);
          pr::fs::map_options o;
          o.offset = 4'000;
          const pr::fs::mapping m = co_await pr::fs::map(f, o);
          co_await m.load(0, 10'000);
          EXPECT_EQ(m.text()[5], 'x');
        }(path);
      },
      some_queue_sizes());
  EXPECT_GT(drops, 10u);
}

TEST_F(DroppedNames, temporary_files_and_directories_leave_no_name) {
  const std::size_t drops = drop_everywhere(
      [&]() -> pr::task<> {
        return [](std::filesystem::path p) -> pr::task<> {
          pr::fs::temporary_directory d = co_await pr::fs::create_temporary_directory(p);
          pr::fs::temporary_file f = co_await pr::fs::create_temporary_file(d.path());
          (void)co_await f->write_at(std::string("content"), 0);
          co_await f.link_to(d / "name");
          pr::fs::temporary_directory other = co_await pr::fs::create_temporary_directory(p);
          co_await std::move(other).remove();
        }(root);
      },
      some_queue_sizes());
  EXPECT_GT(drops, 20u);
  EXPECT_EQ(names_in_root(), 0u);
}

TEST_F(DroppedNames, a_file_that_is_replaced_is_the_old_or_the_new_and_nothing_is_left_beside_it) {
  const auto path = dir.file("a", "old");
  EXPECT_GT(drop_everywhere(
                [&]() -> pr::task<> {
                  return [](std::filesystem::path p) -> pr::task<> {
                    co_await pr::fs::write_file_durably(p, "new");
                  }(path);
                },
                some_queue_sizes()),
            40u);
  const std::string content = content_of(path);
  EXPECT_TRUE(content == "old" || content == "new") << content;
  EXPECT_EQ(names_in_root(), 1u);
  EXPECT_TRUE(exists(path));
}

}  // namespace
