#include "report.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lab {
namespace {

using testing::HasSubstr;
using testing::Not;

result line_of(const char* row, const char* contender) {
  result line;
  line.row = row;
  line.contender = contender;
  line.figures.ops_per_s = 1'730'000;
  line.figures.p50_ns = 412;
  line.figures.p99_ns = 20'000;
  line.figures.cpu_ns_per_op = 505.5;
  line.figures.syscalls_per_op = 0.03125;
  line.figures.switches_per_op = 0.5;
  line.figures.allocs_per_op = 0;
  line.ratio = 0.97;
  line.rounds = 5;
  line.spread = 0.25;
  return line;
}

TEST(Report, json_has_exactly_the_promised_keys_in_their_order) {
  EXPECT_EQ(as_json({line_of("read-cached/32", "parkring/owned")}),
            "[\n  {\"row\": \"read-cached/32\", \"contender\": \"parkring/owned\", "
            "\"ops_per_s\": 1.73e+06, \"p50_ns\": 412, \"p99_ns\": 20000, "
            "\"cpu_ns_per_op\": 505.5, \"user_ns_per_op\": null, \"syscalls_per_op\": 0.03125, "
            "\"switches_per_op\": 0.5, \"allocs_per_op\": 0, "
            "\"ratio\": 0.97, \"rounds\": 5, \"spread\": 0.25}\n]\n");
}

TEST(Report, json_separates_objects_by_commas) {
  const std::string text = as_json({line_of("a", "limit"), line_of("b", "limit")});
  EXPECT_THAT(text, HasSubstr("},\n  {\"row\": \"b\""));
}

TEST(Report, json_writes_null_for_what_is_unknown) {
  result line = line_of("timer", "parkring");
  line.ratio = unknown;
  EXPECT_THAT(as_json({line}), HasSubstr("\"ratio\": null"));
}

TEST(Report, json_leaves_failed_contenders_out) {
  result line = line_of("timer", "parkring");
  line.failure = "wrong bytes";
  EXPECT_EQ(as_json({line}), "[\n]\n");
}

TEST(Report, json_escapes_quotes_and_control_characters) {
  EXPECT_THAT(as_json({line_of("a\"b\n", "x\\y")}), HasSubstr("\"a\\\"b\\u000a\""));
}

TEST(Report, each_row_has_one_heading) {
  results all;
  all.lines = {line_of("nop/1", "limit"), line_of("nop/1", "parkring"), line_of("nop/32", "limit")};
  const std::string text = as_text(all);
  EXPECT_EQ(text.find("nop/1"), text.rfind("nop/1"));
  EXPECT_THAT(text, HasSubstr("nop/32"));
}

TEST(Report, a_failed_contender_is_shown_with_its_reason_and_without_figures) {
  results all;
  all.lines = {line_of("nop/1", "parkring")};
  all.lines[0].failure = "wrong bytes were read at offset 4096";
  const std::string text = as_text(all);
  EXPECT_THAT(text, HasSubstr("failed: wrong bytes were read at offset 4096"));
  EXPECT_THAT(text, Not(HasSubstr("1.73 M")));
}

TEST(Report, remarks_follow_the_tables) {
  results all;
  all.lines = {line_of("nop/1", "limit")};
  all.remarks = {"left out: asio"};
  EXPECT_THAT(as_text(all), testing::EndsWith("* left out: asio\n"));
}

TEST(Report, numbers_have_a_unit_and_three_digits) {
  EXPECT_EQ(with_unit(1'734'000, false), "1.73 M");
  EXPECT_EQ(with_unit(17'340, false), "17.3 k");
  EXPECT_EQ(with_unit(999.9, false), "1.00 k");
  EXPECT_EQ(with_unit(412, true), "412 ns");
  EXPECT_EQ(with_unit(3116, true), "3116 ns");
  EXPECT_EQ(with_unit(6.73, true), "6.73 ns");
  EXPECT_EQ(with_unit(5'400'000, true), "5.40 ms");
  EXPECT_EQ(with_unit(unknown, true), "-");
}

}  // namespace
}  // namespace lab
