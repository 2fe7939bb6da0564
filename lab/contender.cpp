#include "contender.hpp"

namespace lab {

const roster& all_contenders() {
  static const roster everybody = [] {
    roster result;
#if PARKRING_LAB_HAS_LIBURING
    add_limit_ring(result);
    add_limit_calls(result);
    add_limit_log(result);
#else
    result.left_out.emplace_back(
        "limit of the ring rows: no liburing headers at build time (Debian: liburing-dev)");
#endif
    add_limit_tasks(result);
    add_limit_sync(result);
    add_pread(result);
    add_write_fdatasync(result);
    add_thread_pool(result);
#if PARKRING_LAB_HAS_ASIO
    add_asio_pool(result);
    add_asio_reads(result);
    add_asio_tasks(result);
    add_asio_sync(result);
    add_asio_workers(result);
#else
    result.left_out.emplace_back(
        "asio: no Boost.Asio 1.78 or newer, or no liburing, at build time (Debian: "
        "libboost-dev liburing-dev)");
#endif
    add_fio(result);
    add_tree_programs(result);
    add_grep_programs(result);
#if PARKRING_LAB_HAS_PARKRING
    add_parkring_reads(result);
    add_parkring_files(result);
    add_parkring_readers(result);
    add_parkring_tasks(result);
    add_parkring_timers(result);
    add_parkring_sync(result);
    add_parkring_calls(result);
    add_parkring_drops(result);
    add_parkring_log(result);
    add_parkring_scheduler(result);
    add_parkring_sim(result);
    add_parkring_visible(result);
    add_parkring_workers(result);
    add_parkring_trees(result);
#else
    result.left_out.emplace_back("parkring: built with PARKRING_LAB_PARKRING=OFF");
#endif
    return result;
  }();
  return everybody;
}

}  // namespace lab
