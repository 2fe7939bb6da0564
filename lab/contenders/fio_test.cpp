#include "fio.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>

#include "../contender.hpp"
#include "../process.hpp"

namespace lab {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;

// Printed by fio 3.33; sections that nobody reads are cut out.
constexpr const char* recorded = R"({
  "fio version" : "fio-3.33",
  "timestamp" : 1795392310,
  "timestamp_ms" : 1795392310310,
  "time" : "Mon Nov 23 00:05:10 2026",
  "jobs" : [
    {
      "jobname" : "read",
      "groupid" : 0,
      "error" : 0,
      "eta" : 2147483647,
      "elapsed" : 1,
      "job options" : {
        "name" : "read",
        "filename" : "/data/lab-1GiB.bin",
        "allow_file_create" : "0",
        "invalidate" : "0",
        "fadvise_hint" : "0",
        "size" : "1073741824",
        "rw" : "randread",
        "norandommap" : "1",
        "direct" : "1",
        "bs" : "4096",
        "ioengine" : "io_uring",
        "fixedbufs" : "1",
        "registerfiles" : "1",
        "iodepth" : "32",
        "iodepth_batch" : "32",
        "iodepth_batch_complete_min" : "1",
        "iodepth_batch_complete_max" : "32",
        "disable_slat" : "1",
        "disable_lat" : "1",
        "percentile_list" : "50:99",
        "runtime" : "300ms",
        "time_based" : "1",
        "ramp_time" : "10ms"
      },
      "read" : {
        "io_bytes" : 51806208,
        "io_kbytes" : 50592,
        "bw_bytes" : 171543735,
        "bw" : 167523,
        "iops" : 41778.145695,
        "runtime" : 302,
        "total_ios" : 12617,
        "short_ios" : 0,
        "drop_ios" : 0,
        "slat_ns" : {
          "min" : 0,
          "max" : 0,
          "mean" : 0.000000,
          "stddev" : 0.000000,
          "N" : 0
        },
        "clat_ns" : {
          "min" : 16361,
          "max" : 5606504,
          "mean" : 663429.848039,
          "stddev" : 675988.180247,
          "N" : 12648,
          "percentile" : {
            "50.000000" : 552960,
            "99.000000" : 4423680
          }
        },
        "lat_ns" : {
          "min" : 0,
          "max" : 0,
          "mean" : 0.000000,
          "stddev" : 0.000000,
          "N" : 0
        },
        "bw_samples" : 0,
        "iops_samples" : 0
      },
      "write" : {
        "io_bytes" : 0,
        "io_kbytes" : 0,
        "bw_bytes" : 0,
        "bw" : 0,
        "iops" : 0.000000,
        "runtime" : 0,
        "total_ios" : 0,
        "short_ios" : 0,
        "drop_ios" : 0,
        "slat_ns" : {
          "min" : 0,
          "max" : 0,
          "mean" : 0.000000,
          "stddev" : 0.000000,
          "N" : 0
        },
        "clat_ns" : {
          "min" : 0,
          "max" : 0,
          "mean" : 0.000000,
          "stddev" : 0.000000,
          "N" : 0
        },
        "lat_ns" : {
          "min" : 0,
          "max" : 0,
          "mean" : 0.000000,
          "stddev" : 0.000000,
          "N" : 0
        },
        "bw_samples" : 0,
        "iops_samples" : 0
      },
      "job_runtime" : 301,
      "usr_cpu" : 1.328904,
      "sys_cpu" : 25.249169,
      "ctx" : 386,
      "majf" : 0,
      "minf" : 0,
      "latency_depth" : 32,
      "latency_target" : 0,
      "latency_percentile" : 100.000000,
      "latency_window" : 0
    }
  ],
  "disk_util" : [
    {
      "name" : "vda",
      "read_ios" : 12659,
      "write_ios" : 0,
      "read_merges" : 0,
      "write_merges" : 0,
      "read_ticks" : 7301,
      "write_ticks" : 0,
      "in_queue" : 7301,
      "util" : 72.022161
    }
  ]
}
)";

constexpr const char* recorded_failure =
    "fio: engine nosuch not loadable\n"
    "fio: failed to load engine\n"
    "fio: file:ioengines.c:134, func=dlopen, error=nosuch: cannot open shared object file\n";

block_table table_of(std::size_t units) {
  return block_table(std::vector<std::byte>(units * unit_bytes));
}

row direct_reads(unsigned depth) {
  row what{.name = "test", .kind = work::read, .depth = depth, .part = extent::whole_file};
  what.direct = true;
  return what;
}

// Stands in for the folders in which programs are looked for, and puts them back.
class FioInPath : public testing::Test {
 protected:
  FioInPath() {
    std::string name = testing::TempDir() + "fio-XXXXXX";
    folder_ = ::mkdtemp(name.data());
    ::setenv("PATH", folder_.c_str(), 1);
  }
  ~FioInPath() override {
    ::setenv("PATH", before_.c_str(), 1);
    std::filesystem::remove_all(folder_);
  }

  // A program of the name fio that prints this.
  void install(const std::string& printed) {
    std::ofstream(folder_ + "/printed") << printed;
    std::ofstream(folder_ + "/fio") << "#!/bin/sh\nexec /bin/cat '" << folder_ << "/printed'\n";
    ::chmod((folder_ + "/fio").c_str(), 0755);
  }

  outcome measured() {
    roster everybody;
    add_fio(everybody);
    contender who = everybody.present.at(0);
    who.all_cpus = true;
    const row what = direct_reads(32);
    const block_table table = table_of(1);
    const session_plan plan{
        .what = &what, .table = &table, .path = "/nosuch", .nanoseconds = 1'000'000};
    return measure_in_child(who, plan, 0, std::chrono::seconds(30));
  }

  std::string folder_;

 private:
  std::string before_ = std::getenv("PATH") != nullptr ? std::getenv("PATH") : "";
};

TEST(Fio, the_figures_are_those_that_it_recorded) {
  const measurement found = fio_figures(recorded);
  EXPECT_DOUBLE_EQ(found.ops_per_s, 41778.145695);
  EXPECT_DOUBLE_EQ(found.p50_ns, 552960);
  EXPECT_DOUBLE_EQ(found.p99_ns, 4423680);
  EXPECT_NEAR(found.cpu_ns_per_op, 6340.65, 0.1);
  EXPECT_NEAR(found.user_ns_per_op, 317.03, 0.1);
}

TEST(Fio, what_it_does_not_count_is_unknown_and_not_zero) {
  const measurement found = fio_figures(recorded);
  EXPECT_TRUE(std::isnan(found.syscalls_per_op));
  EXPECT_TRUE(std::isnan(found.allocs_per_op));
}

TEST(Fio, lines_before_the_report_do_no_harm) {
  EXPECT_DOUBLE_EQ(fio_figures(std::string("note: something {\n") + recorded).ops_per_s,
                   fio_figures(recorded).ops_per_s);
}

TEST(Fio, without_a_report_its_own_words_are_the_error) {
  try {
    (void)fio_figures(recorded_failure);
    FAIL() << "no error";
  } catch (const std::runtime_error& error) {
    EXPECT_THAT(error.what(), HasSubstr("fio: engine nosuch not loadable"));
    EXPECT_THAT(error.what(), Not(HasSubstr("failed to load")));
  }
  EXPECT_THROW((void)fio_figures(""), std::runtime_error);
  EXPECT_THROW((void)fio_figures("{}"), std::runtime_error);
}

TEST(Fio, a_report_of_an_error_or_of_no_reads_is_an_error) {
  for (const auto& [right, wrong] : {std::pair("\"error\" : 0", "\"error\" : 5"),
                                     std::pair("\"total_ios\" : 12617", "\"total_ios\" : 0")}) {
    std::string text = recorded;
    ASSERT_NE(text.find(right), std::string::npos);
    text.replace(text.find(right), std::string(right).size(), wrong);
    EXPECT_THROW((void)fio_figures(text), std::runtime_error) << wrong;
  }
}

TEST(Fio, it_is_told_the_file_the_block_the_depth_and_the_time_of_the_row) {
  const row what = direct_reads(128);
  const block_table table = table_of(64);
  const auto command = fio_command(
      {.what = &what, .table = &table, .path = "/data/a:b", .nanoseconds = 250'900'000});
  for (const char* option : {"--filename=/data/a\\:b", "--size=262144", "--bs=4096", "--direct=1",
                             "--iodepth=128", "--runtime=250ms", "--time_based=1", "--readonly"})
    EXPECT_THAT(command, Contains(option));
}

TEST(Fio, it_reads_in_order_where_the_row_does) {
  row what = direct_reads(16);
  const block_table table = table_of(64);
  const session_plan plan{.what = &what, .table = &table, .path = "/data/a"};
  EXPECT_THAT(fio_command(plan), Contains("--rw=randread"));
  what.in_order = true;
  EXPECT_THAT(fio_command(plan), Contains("--rw=read"));
}

TEST(Fio, a_number_of_operations_is_told_in_bytes_and_has_no_end_in_time) {
  const row what = direct_reads(1);
  const block_table table = table_of(64);
  const auto command =
      fio_command({.what = &what, .table = &table, .path = "/data/file", .operations = 1000});
  EXPECT_THAT(command, Contains("--io_size=4096000"));
  EXPECT_THAT(command, Not(Contains(HasSubstr("time"))));
}

TEST_F(FioInPath, when_it_is_not_installed_it_is_named_as_left_out) {
  roster everybody;
  add_fio(everybody);
  EXPECT_TRUE(everybody.present.empty());
  EXPECT_THAT(everybody.left_out, testing::ElementsAre(HasSubstr("Debian: fio")));
}

TEST_F(FioInPath, a_file_that_is_no_program_is_not_it) {
  std::ofstream(folder_ + "/fio") << "text";
  ::chmod((folder_ + "/fio").c_str(), 0644);
  std::filesystem::create_directory(folder_ + "/more");
  std::filesystem::create_directory(folder_ + "/more/fio");
  ::setenv("PATH", (folder_ + ":" + folder_ + "/more").c_str(), 1);
  roster everybody;
  add_fio(everybody);
  EXPECT_TRUE(everybody.present.empty());
  EXPECT_EQ(everybody.left_out.size(), 1U);
}

TEST_F(FioInPath, when_it_is_installed_it_does_the_rows_of_direct_reads_that_sum_nothing) {
  install("");
  roster everybody;
  add_fio(everybody);
  EXPECT_TRUE(everybody.left_out.empty());
  std::vector<std::string> names;
  for (const contender& fio : everybody.present) {
    EXPECT_FALSE(fio.quick);
    for (const row& one : all_rows())
      if (fio.does(one)) names.emplace_back(one.name);
  }
  EXPECT_THAT(names, testing::ElementsAre("read-direct/1", "read-direct/32", "read-direct/128",
                                          "read-sequential"));
}

TEST_F(FioInPath, its_figures_arrive_as_those_of_a_measurement) {
  install(recorded);
  const outcome came = measured();
  EXPECT_EQ(came.failure, "");
  EXPECT_DOUBLE_EQ(came.figures.ops_per_s, fio_figures(recorded).ops_per_s);
}

TEST_F(FioInPath, its_failure_is_that_of_the_measurement) {
  install(recorded_failure);
  EXPECT_THAT(measured().failure, HasSubstr("engine nosuch not loadable"));
}

}  // namespace
}  // namespace lab
