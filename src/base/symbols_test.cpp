#include "base/symbols.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <string>

namespace parkring::base {
namespace {

[[gnu::noinline]] int a_function_with_a_name(int n) { return n + 1; }

TEST(Symbols, a_local_function_is_found_by_name) {
  symbols known;
  const symbol s = known.of(reinterpret_cast<const void*>(&a_function_with_a_name));
  EXPECT_NE(s.function.find("a_function_with_a_name(int)"), std::string::npos) << s.function;
  EXPECT_FALSE(s.module.empty());
  EXPECT_NE(s.offset, 0u);
}

TEST(Symbols, a_function_of_another_module_is_found) {
  symbols known;
  const symbol s = known.of(reinterpret_cast<const void*>(&std::fflush));
  EXPECT_FALSE(s.module.empty());
}

TEST(Symbols, what_is_no_code_has_no_name) {
  symbols known;
  const int here = 0;
  EXPECT_TRUE(known.of(&here).function.empty());
  EXPECT_TRUE(known.of(nullptr).module.empty());
}

TEST(Symbols, the_parts_of_a_coroutine_have_its_name) {
  EXPECT_EQ(readable_name("_ZN2ns5turnsEPZNS_5turnsEiE14_ZN2ns5turnsEi.Frame.actor"),
            "ns::turns(int)");
  EXPECT_EQ(readable_name("_ZN2ns5turnsEi.resume"), "ns::turns(int)");
  EXPECT_EQ(readable_name("_Z1fNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE"),
            "f(std::string)");
  EXPECT_EQ(readable_name("main"), "main");
  EXPECT_EQ(readable_name(""), "");
}

}  // namespace
}  // namespace parkring::base
