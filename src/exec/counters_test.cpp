#include <parkring/counters.hpp>

#include <gtest/gtest.h>

#include <sstream>

#include <parkring/parkring.hpp>

namespace parkring {
namespace {

TEST(Counters, the_text_names_what_is_not_zero) {
  EXPECT_EQ(to_string(runtime_counters{}), "nothing yet");
  runtime_counters c;
  c.turns = 12;
  c.refused_enters = 3;
  c.buffers = 1;
  EXPECT_EQ(to_string(c), "turns 12, refused_enters 3, buffers 1");
  std::ostringstream out;
  out << c;
  EXPECT_EQ(out.str(), to_string(c));
}

TEST(Counters, a_run_shows_in_them) {
  runtime rt;
  rt.run([]() -> task<> {
    for (int i = 0; i < 10; ++i) co_await nop();
  });
  const auto c = rt.counters();
  EXPECT_GE(c.submissions, 10u);
  EXPECT_EQ(c.stalls, 0u);
  EXPECT_NE(to_string(c).find("submissions "), std::string::npos);
}

}  // namespace
}  // namespace parkring
