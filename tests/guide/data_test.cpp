// What the guide's chapter on reading and writing data quotes beside the example.
#include <gtest/gtest.h>

#include <iostream>

#include <string>
#include <vector>

#include <parkring/parkring.hpp>

#include "support/scratch.hpp"

namespace pr = parkring;
using namespace parkring::testing;
using namespace pr::literals;

namespace {

class GuideData : public ::testing::Test {
 protected:
  scratch dir_;
  std::filesystem::path path = dir_.file("data", std::string(64_KiB, 'd'));
};

TEST_F(GuideData, parts_of_a_list_come_in_its_order_and_fail_alone) {
  auto body = [&]() -> pr::task<> {
    auto index = co_await pr::fs::open(path);
    auto values = co_await pr::fs::open(path);
    std::size_t good = 0;
    std::vector<pr::fs::file_range> ranges{{index, {0, 16}}, {values, {4096, 100}}};
    auto parts = pr::fs::read_many(
        ranges, {.order = pr::fs::part_order::as_requested, .stop_at_error = false});
    while (auto part = co_await parts.next()) {
      if (part->failure() != nullptr)
        std::cerr << part->failure()->message() << '\n';  // the others come all the same
      else if (part->complete())
        ++good;
    }
    EXPECT_EQ(good, 2u);
  };
  pr::run(body());
}

TEST_F(GuideData, several_pieces_are_written_at_once) {
  auto body = [&]() -> pr::task<> {
    auto file = co_await pr::fs::open(path, {.access = pr::fs::access::read_write});
    pr::buffer header(16), content(4096);
    std::size_t n = co_await pr::fs::writev_at(file, pr::fs::parts(header, content), 0);
    EXPECT_EQ(n, 4112u);

    std::vector<std::string> lines(3000, "line\n");  // more than one request takes
    auto written = co_await pr::fs::writev_all_at(file, std::move(lines), 0);
    lines = std::move(written.memory);
    EXPECT_EQ(lines.size(), 3000u);
  };
  pr::run(body());
}

TEST_F(GuideData, a_write_has_options) {
  auto body = [&]() -> pr::task<> {
    auto file = co_await pr::fs::open(path, {.access = pr::fs::access::read_write});
    co_await pr::fs::append(file, std::string("one line\n"), {.dsync = true});

    const pr::buffer page(4096);
    co_await pr::fs::write_at(file, page, 0,
                              {.dontcache = true, .priority = {pr::fs::io_priority_class::idle}});
    const auto size = co_await file.size();
    EXPECT_EQ(size, 64_KiB + 9);
  };
  pr::run(body());
}

TEST_F(GuideData, space_is_given_and_taken) {
  auto body = [&]() -> pr::task<> {
    auto file = co_await pr::fs::open(path, {.access = pr::fs::access::read_write});
    co_await pr::fs::allocate(file, 0, 1_MiB, pr::fs::allocate_size::keep);  // or ENOSPC, now
    co_await pr::fs::punch_hole(file, 0, 4_KiB);
    co_await pr::fs::advise(file, 0, 0, pr::fs::advice::sequential);
    const auto size = co_await file.size();
    EXPECT_EQ(size, 64_KiB);
  };
  pr::run(body());
}

TEST_F(GuideData, a_direct_file_takes_any_range) {
  auto body = [&]() -> pr::task<> {
    pr::fs::direct_file file = co_await pr::fs::open_direct(path);
    pr::buffer page(16_KiB, pr::aligned(file.memory_alignment()));
    co_await file.read_at(page, 16_KiB);   // straight
    co_await file.read_at(page, 100, 17);  // by way of a block in between
    if (file.is_direct()) {
      EXPECT_EQ(file.counts().straight, 1u);
      EXPECT_EQ(file.counts().bounced, 1u);
    }
  };
  pr::run(body());
}

}  // namespace
