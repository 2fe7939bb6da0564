#include "json.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

namespace lab {
namespace {

constexpr std::string_view sample =
    R"({ "name" : "a \"b\", {", "empty" : {}, "none" : [ ], "on" : true,
         "list" : [ 1, { "x" : -2.5e3 }, [3, 4] ], "last" : 7 })";

TEST(Json, a_number_is_found_by_names_and_indexes) {
  EXPECT_EQ(json_number(sample, {"last"}), 7);
  EXPECT_EQ(json_number(sample, {"list", "0"}), 1);
  EXPECT_EQ(json_number(sample, {"list", "1", "x"}), -2500);
  EXPECT_EQ(json_number(sample, {"list", "2", "1"}), 4);
}

TEST(Json, what_is_missing_or_no_number_is_unknown) {
  EXPECT_TRUE(std::isnan(json_number(sample, {"nosuch"})));
  EXPECT_TRUE(std::isnan(json_number(sample, {"name"})));
  EXPECT_TRUE(std::isnan(json_number(sample, {"list"})));
  EXPECT_TRUE(std::isnan(json_number(sample, {"none", "0"})));
  EXPECT_TRUE(std::isnan(json_number(sample, {"empty", "x"})));
  EXPECT_TRUE(std::isnan(json_number(sample, {"list", "3"})));
  EXPECT_TRUE(std::isnan(json_number(sample, {"list", "x"})));
  EXPECT_TRUE(std::isnan(json_number(sample, {"last", "x"})));
  EXPECT_TRUE(std::isnan(json_number(R"({"a": nan, "b": 12monkeys})", {"b"})));
}

TEST(Json, a_text_that_is_cut_off_anywhere_is_unknown) {
  const std::string_view up_to_number = sample.substr(0, sample.rfind('7') + 1);
  for (std::size_t length = 0; length <= up_to_number.size(); ++length)
    EXPECT_TRUE(std::isnan(json_number(sample.substr(0, length), {"last"}))) << length;
}

TEST(Json, a_text_that_nests_without_end_is_unknown) {
  const std::string deep = "{\"a\": " + std::string(1'000'000, '[');
  EXPECT_TRUE(std::isnan(json_number(deep, {"b"})));
}

}  // namespace
}  // namespace lab
