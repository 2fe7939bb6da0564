// What the guide's chapter on paths and metadata quotes beside the examples.
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <string_view>

#include <parkring/parkring.hpp>

#include "support/scratch.hpp"

namespace pr = parkring;
namespace fs = parkring::fs;

namespace {

pr::task<bool> newer(std::filesystem::path a, std::filesystem::path b) {
  const fs::metadata one = co_await fs::stat(a);
  const auto other = co_await pr::as_result(fs::stat(b));
  co_return !other || one.modified > other->modified;
}

TEST(GuidePaths, files_are_compared_by_their_times) {
  const parkring::testing::scratch dir;
  auto body = [](std::filesystem::path a, std::filesystem::path b) -> pr::task<> {
    fs::file_times then;
    then.modified = fs::file_time(std::chrono::seconds(1));
    co_await fs::set_times(a, then);
    EXPECT_FALSE(co_await newer(a, b));
    EXPECT_TRUE(co_await newer(b, a));
    EXPECT_TRUE(co_await newer(a, b / "none"));
  };
  pr::run(body(dir.file("a", "x"), dir.file("b", "x")));
}

pr::task<> publish(fs::directory& inbox, std::string name, std::string message) {
  fs::temporary_file draft = co_await fs::create_temporary_file(inbox.path());
  (void)co_await draft->write_at(std::move(message), 0);
  co_await draft->sync();
  co_await draft.link_to(inbox.path() / name);  // there as a whole, or not at all
  co_await inbox.sync();
}

TEST(GuidePaths, a_message_appears_as_a_whole) {
  const parkring::testing::scratch dir;
  auto body = [](std::filesystem::path p) -> pr::task<> {
    fs::directory inbox = co_await fs::open_directory(p);
    co_await publish(inbox, "one", "hello");
    EXPECT_EQ(co_await fs::read_file(p / "one"), "hello");
  };
  pr::run(body(dir.root()));
}

pr::task<std::string> serve(const fs::directory& documents, std::string asked_for) {
  auto f = co_await pr::as_result(documents.open(asked_for, {}, fs::within::beneath));
  if (!f) co_return f.error().number() == EXDEV ? "forbidden" : "not found";
  const fs::mapping content = co_await fs::map(*f);
  co_return std::string(content.text());
}

TEST(GuidePaths, what_is_served_lies_beneath_a_directory) {
  const parkring::testing::scratch dir;
  (void)dir.file("page", "text");
  auto body = [](std::filesystem::path p) -> pr::task<> {
    const fs::directory documents = co_await fs::open_directory(p);
    EXPECT_EQ(co_await serve(documents, "page"), "text");
    EXPECT_EQ(co_await serve(documents, "../page"), "forbidden");
    EXPECT_EQ(co_await serve(documents, "none"), "not found");
  };
  pr::run(body(dir.root()));
}

pr::task<bool> discard(const fs::confined_directory& uploads, std::string asked_for) {
  const auto gone = co_await pr::as_result(uploads.remove_all(asked_for));
  co_return gone && gone->files + gone->directories != 0;
}

TEST(GuidePaths, what_is_discarded_lies_beneath_a_directory) {
  const parkring::testing::scratch dir;
  (void)dir.file("page", "text");
  auto body = [](std::filesystem::path p) -> pr::task<> {
    co_await fs::create_directories(p / "uploads/one");
    co_await fs::write_file(p / "uploads/one/f", "text");
    const fs::confined_directory uploads(co_await fs::open_directory(p / "uploads"));
    EXPECT_TRUE(co_await discard(uploads, "one"));
    EXPECT_FALSE(co_await discard(uploads, "one"));
    EXPECT_FALSE(co_await discard(uploads, "../page"));
    EXPECT_EQ(co_await fs::read_file(p / "page"), "text");
  };
  pr::run(body(dir.root()));
}

pr::task<std::string> append_durably(fs::file& log, std::string record, std::uint64_t end) {
  auto [wrote, synced] =
      co_await pr::link(log.write_at(std::move(record), end), log.datasync()).each();
  if (!wrote) co_return "nothing is there: " + wrote.error().message();
  if (wrote->count != wrote->memory.size()) co_return "only a part is there, and not durable";
  if (!synced) co_return "all is there, and nobody knows what is durable";
  co_return "durable";
}

TEST(GuidePaths, a_chain_tells_of_each_part) {
  const parkring::testing::scratch dir;
  auto body = [](std::filesystem::path p) -> pr::task<> {
    fs::file log = co_await fs::open(p, {.access = fs::access::write});
    EXPECT_EQ(co_await append_durably(log, "record", 0), "durable");
    fs::file full = co_await fs::open("/dev/full", {.access = fs::access::write});
    const std::string told = co_await append_durably(full, "record", 0);
    EXPECT_TRUE(told.starts_with("nothing is there: ")) << told;
  };
  pr::run(body(dir.file("log", "")));
}

}  // namespace
