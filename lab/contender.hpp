// Who is compared. Each file in contenders/ adds its own with one function, listed here.
//
// To add a contender: write a function that takes a session, give it a name and the kind of work it
// does, and add it in the file's add_…(). To add a library: one more file and one more add_…().
// What can only be had as a program hands its figures in instead of working off phases: see
// fio.cpp.
#pragma once

#include <string>
#include <vector>

#include "row.hpp"
#include "session.hpp"

namespace lab {

struct contender {
  std::string name;  // "limit", "parkring", "parkring/<variant>", or the library
  work kind;
  void (*run)(session&);
  bool quick = true;      // part of `parkring-lab quick`
  bool all_cpus = false;  // not pinned to the one cpu: it is about using several
  bool external = false;  // a program of its own, of which only what it reports can be known
  bool (*fits)(const row&) = nullptr;  // which rows of its kind it can do; null: all
  std::string remark = {};             // what a reader of its figures must know

  [[nodiscard]] bool does(const row& what) const {
    return kind == what.kind && (fits == nullptr || fits(what));
  }
};

struct roster {
  std::vector<contender> present;
  std::vector<std::string> left_out;  // "asio: no liburing headers when this was built"
};

/// Everybody that this program was built with, in the order of the tables.
const roster& all_contenders();

void add_limit_ring(roster& to);
void add_limit_log(roster& to);
void add_limit_sync(roster& to);
void add_limit_calls(roster& to);
void add_limit_tasks(roster& to);
void add_pread(roster& to);
void add_write_fdatasync(roster& to);
void add_thread_pool(roster& to);
void add_asio_pool(roster& to);
void add_asio_reads(roster& to);
void add_asio_sync(roster& to);
void add_asio_tasks(roster& to);
void add_asio_workers(roster& to);
void add_fio(roster& to);
void add_parkring_files(roster& to);
void add_tree_programs(roster& to);
void add_parkring_log(roster& to);
void add_grep_programs(roster& to);
void add_parkring_readers(roster& to);
void add_parkring_reads(roster& to);
void add_parkring_sync(roster& to);
void add_parkring_calls(roster& to);
void add_parkring_tasks(roster& to);
void add_parkring_timers(roster& to);
void add_parkring_drops(roster& to);
void add_parkring_scheduler(roster& to);
void add_parkring_sim(roster& to);
void add_parkring_visible(roster& to);
void add_parkring_trees(roster& to);
void add_parkring_workers(roster& to);

}  // namespace lab
