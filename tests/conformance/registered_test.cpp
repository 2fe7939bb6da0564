// Registered files with direct descriptors, and registered buffers with their bounds.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "conformance/machine.hpp"
#include "conformance/sockets.hpp"

namespace parkring::conformance {
namespace {

constexpr std::int32_t no_file = -1;

class Registered : public on_machine {
 protected:
  void SetUp() override {
    on_machine::SetUp();
    if (IsSkipped()) return;
    ASSERT_EQ(io().make_file(path("f"), "content"), 0);
    file_ = io().open(path("f"), O_RDWR);
    ASSERT_GE(file_, 0);
  }
  int reg(unsigned opcode, const void* arg, unsigned count) {
    return io().queue().reg(opcode, arg, count);
  }
  /// A table of `count` empty slots.
  int sparse_files(unsigned count) {
    abi::rsrc_register how{};
    how.nr = count;
    how.flags = abi::rsrc_register_sparse;
    return reg(abi::register_files2, &how, sizeof how);
  }
  std::string read_slot(int slot) {
    std::string text(100, '\0');
    const int n = io().run(on_slot(read(0, text.data(), text.size(), 0), slot));
    return n < 0 ? "<" + std::to_string(n) + ">" : text.substr(0, static_cast<std::size_t>(n));
  }
  static abi::sqe into_slot(abi::sqe e, std::uint32_t slot) {
    e.file_index = slot == abi::file_index_alloc ? slot : slot + 1;
    return e;
  }

  const std::string bad_ = "<" + std::to_string(-EBADF) + ">";
  int file_ = -1;
};
PARKRING_ON_EVERY_MACHINE(Registered);

// ---- files ----

TEST_P(Registered, a_registered_file_is_used_by_its_slot) {
  const int fds[] = {no_file, file_};
  ASSERT_EQ(reg(abi::register_files, fds, 2), 0);
  EXPECT_EQ(read_slot(1), "content");
  EXPECT_EQ(io().run(on_slot(write(0, "CON", 3, 0), 1)), 3);
  EXPECT_EQ(io().content(path("f")), "CONtent");
  EXPECT_EQ(io().run(on_slot(fsync(0), 1)), 0);
}

TEST_P(Registered, empty_slots_and_those_beyond_the_table_are_bad) {
  EXPECT_EQ(read_slot(0), bad_);
  const int fds[] = {no_file, file_};
  ASSERT_EQ(reg(abi::register_files, fds, 2), 0);
  EXPECT_EQ(read_slot(0), bad_);
  EXPECT_EQ(read_slot(2), bad_);
  EXPECT_EQ(read_slot(-1), bad_);
}

TEST_P(Registered, a_registered_file_outlives_its_descriptor) {
  ASSERT_EQ(reg(abi::register_files, &file_, 1), 0);
  EXPECT_EQ(io().close(file_), 0);
  EXPECT_EQ(read_slot(0), "content");
  EXPECT_EQ(reg(abi::unregister_files, nullptr, 0), 0);
  EXPECT_EQ(read_slot(0), bad_);
}

TEST_P(Registered, there_is_one_table) {
  EXPECT_EQ(reg(abi::unregister_files, nullptr, 0), -ENXIO);
  ASSERT_EQ(reg(abi::register_files, &file_, 1), 0);
  EXPECT_EQ(reg(abi::register_files, &file_, 1), -EBUSY);
  const int closed = 1'000'000;
  EXPECT_EQ(reg(abi::unregister_files, nullptr, 0), 0);
  EXPECT_EQ(reg(abi::register_files, &closed, 1), -EBADF);
}

TEST_P(Registered, slots_are_filled_and_emptied_by_requests) {
  ASSERT_EQ(sparse_files(4), 0);
  const int fds[] = {file_, file_};
  EXPECT_EQ(io().run(files_update(fds, 2, 1)), 2);
  EXPECT_EQ(read_slot(0), bad_);
  EXPECT_EQ(read_slot(1), "content");
  EXPECT_EQ(read_slot(2), "content");
  const int change[] = {no_file, abi::register_files_skip};
  EXPECT_EQ(io().run(files_update(change, 2, 1)), 2);
  EXPECT_EQ(read_slot(1), bad_);
  EXPECT_EQ(read_slot(2), "content");
  EXPECT_EQ(io().run(files_update(fds, 2, 3)), -EINVAL);
}

TEST_P(Registered, a_slot_can_be_chosen_by_the_machine) {
  ASSERT_EQ(sparse_files(2), 0);
  int fds[] = {file_};
  EXPECT_EQ(io().run(files_update(fds, 1, abi::file_index_alloc)), 1);
  EXPECT_EQ(fds[0], 0);
  fds[0] = file_;
  EXPECT_EQ(io().run(files_update(fds, 1, abi::file_index_alloc)), 1);
  EXPECT_EQ(fds[0], 1);
  fds[0] = file_;
  EXPECT_EQ(io().run(files_update(fds, 1, abi::file_index_alloc)), -ENFILE);
}

TEST_P(Registered, slots_are_filled_by_the_call_too) {
  ASSERT_EQ(sparse_files(4), 0);
  const int fds[] = {file_, no_file};
  abi::files_update how{};
  how.offset = 2;
  how.fds = address(fds);
  EXPECT_EQ(reg(abi::register_files_update, &how, 2), 2);
  EXPECT_EQ(read_slot(2), "content");
  EXPECT_EQ(read_slot(3), bad_);
  how.offset = 3;
  EXPECT_EQ(reg(abi::register_files_update, &how, 2), -EINVAL);
}

TEST_P(Registered, a_file_is_opened_into_a_slot_and_closed_there) {
  ASSERT_EQ(sparse_files(2), 0);
  const std::string name = path("f");
  EXPECT_EQ(io().run(into_slot(openat(name.c_str(), O_RDONLY), 1)), 0);
  EXPECT_EQ(read_slot(1), "content");
  EXPECT_EQ(io().run(close_slot(1)), 0);
  EXPECT_EQ(read_slot(1), bad_);
  EXPECT_EQ(io().run(close_slot(1)), -EBADF);
  EXPECT_EQ(io().run(close_slot(99)), -EINVAL);
}

TEST_P(Registered, a_file_is_opened_into_a_slot_of_the_machines_choice) {
  ASSERT_EQ(sparse_files(2), 0);
  const std::string name = path("f");
  const abi::sqe opening = into_slot(openat(name.c_str(), O_RDONLY), abi::file_index_alloc);
  EXPECT_EQ(io().run(opening), 0);
  EXPECT_EQ(io().run(opening), 1);
  EXPECT_EQ(io().run(opening), -ENFILE);
  EXPECT_EQ(io().run(close_slot(0)), 0);
  EXPECT_EQ(io().run(opening), 0);
  EXPECT_EQ(read_slot(0), "content");
}

TEST_P(Registered, opening_into_a_slot_replaces_what_was_there) {
  ASSERT_EQ(reg(abi::register_files, &file_, 1), 0);
  ASSERT_EQ(io().make_file(path("g"), "other"), 0);
  const std::string name = path("g");
  EXPECT_EQ(io().run(into_slot(openat(name.c_str(), O_RDONLY), 0)), 0);
  EXPECT_EQ(read_slot(0), "other");
}

TEST_P(Registered, opening_into_no_table_or_beyond_it_fails) {
  const std::string name = path("f");
  EXPECT_EQ(io().run(into_slot(openat(name.c_str(), O_RDONLY), 0)), -ENXIO);
  ASSERT_EQ(sparse_files(1), 0);
  EXPECT_EQ(io().run(into_slot(openat(name.c_str(), O_RDONLY), 5)), -EINVAL);
  EXPECT_EQ(io().run(into_slot(openat(name.c_str(), O_RDONLY | O_CLOEXEC), 0)), -EINVAL);
}

TEST_P(Registered, a_chain_opens_reads_and_closes_a_slot) {
  ASSERT_EQ(sparse_files(1), 0);
  const std::string name = path("f");
  char* at = io().memory(7);
  EXPECT_EQ(io().run_chain({into_slot(openat(name.c_str(), O_RDONLY), 0),
                            on_slot(read(0, at, 7, 0), 0), close_slot(0)}),
            (std::vector<std::int32_t>{0, 7, 0}));
  EXPECT_EQ(std::string(at, 7), "content");
  EXPECT_EQ(read_slot(0), bad_);
}

TEST_P(Registered, a_read_in_flight_outlives_its_slot) {
  ASSERT_EQ(sparse_files(1), 0);
  int ends[2];
  ASSERT_EQ(io().make_pipe(ends), 0);
  EXPECT_EQ(io().run(files_update(&ends[0], 1, 0)), 1);
  EXPECT_EQ(io().close(ends[0]), 0);
  const std::uint64_t waiting = io().start(on_slot(read(0, io().memory(8), 8, at_position), 0));
  EXPECT_EQ(io().run(close_slot(0)), 0);
  EXPECT_TRUE(io().silent(waiting));
  EXPECT_EQ(io().write(ends[1], "abc", at_position), 3);
  EXPECT_EQ(io().next(waiting).res, 3);
}

TEST_P(Registered, waiting_requests_are_cancelled_by_their_slot) {
  ASSERT_EQ(sparse_files(1), 0);
  int ends[2];
  ASSERT_EQ(io().make_pipe(ends), 0);
  EXPECT_EQ(io().run(files_update(&ends[0], 1, 0)), 1);
  const std::uint64_t waiting = io().start(on_slot(read(0, io().memory(8), 8, at_position), 0));
  EXPECT_TRUE(io().silent(waiting));
  EXPECT_EQ(io().run(cancel_fd(0, abi::async_cancel_fd_fixed)), 0);
  EXPECT_EQ(io().next(waiting).res, -ECANCELED);
}

TEST_P(Registered, a_cancel_by_file_finds_the_file_and_not_the_number) {
  ASSERT_EQ(sparse_files(1), 0);
  int ends[2], others[2];
  ASSERT_EQ(io().make_pipe(ends), 0);
  ASSERT_EQ(io().make_pipe(others), 0);
  EXPECT_EQ(io().run(files_update(&ends[0], 1, 0)), 1);
  const std::uint64_t waiting = io().start(on_slot(read(0, io().memory(8), 8, at_position), 0));
  EXPECT_TRUE(io().silent(waiting));
  EXPECT_EQ(io().run(cancel_fd(others[0])), -ENOENT);
  EXPECT_EQ(io().run(cancel_fd(ends[1])), -ENOENT);
  // Another file in the slot, and at any number that a machine may have used for it.
  EXPECT_EQ(io().run(files_update(&others[0], 1, 0)), 1);
  EXPECT_EQ(io().run(cancel_fd(0, abi::async_cancel_fd_fixed)), -ENOENT);
  for (int i = 0; i < 8; ++i)
    EXPECT_EQ(io().run(cancel_fd(io().open(path("f"), O_RDONLY))), -ENOENT);
  // A number that has another file by now.
  const std::uint64_t reading = io().start(read(others[0], io().memory(8), 8, at_position));
  EXPECT_TRUE(io().silent(reading));
  EXPECT_EQ(io().close(others[0]), 0);
  int reused = -1;
  for (int i = 0; i < 64 && reused != others[0]; ++i) reused = io().open(path("f"), O_RDONLY);
  if (reused == others[0]) {
    EXPECT_EQ(io().run(cancel_fd(others[0])), -ENOENT);
  }
  EXPECT_TRUE(io().silent(reading));
  EXPECT_TRUE(io().silent(waiting));
  EXPECT_EQ(io().run(cancel_fd(0, abi::async_cancel_fd_fixed)), 0);
  EXPECT_EQ(io().next(reading).res, -ECANCELED);
}

TEST_P(Registered, an_accept_of_many_ends_with_the_slots) {
  PARKRING_NEEDS(abi::op_socket);
  ASSERT_EQ(sparse_files(1), 0);
  loopback where;
  const int listener = bound_socket(io(), SOCK_STREAM, 8, where);
  ASSERT_GE(listener, 0);
  abi::sqe e = into_slot(accept_on(listener), abi::file_index_alloc);
  e.ioprio = abi::accept_multishot;
  const std::uint64_t accepting = io().start(e);
  for (int i = 0; i < 2; ++i) {
    const int out = io().run(make_socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC));
    EXPECT_EQ(io().run(connect_to(out, where.at(), loopback::size)), 0);
    const answer a = io().next(accepting);
    EXPECT_EQ(a.res, i == 0 ? 0 : -ENFILE);
    EXPECT_EQ(a.more(), i == 0);
  }
}

TEST_P(Registered, sockets_live_in_slots_too) {
  PARKRING_NEEDS(abi::op_socket);
  ASSERT_EQ(sparse_files(4), 0);
  loopback where;
  const int listener = bound_socket(io(), SOCK_STREAM, 8, where);
  ASSERT_GE(listener, 0);
  EXPECT_EQ(io().run(into_slot(make_socket(AF_INET, SOCK_STREAM), 2)), 0);
  const std::uint64_t accepting = io().start(into_slot(accept_on(listener), abi::file_index_alloc));
  EXPECT_EQ(io().run(on_slot(connect_to(0, where.at(), loopback::size), 2)), 0);
  const std::int32_t slot = io().next(accepting).res;  // any that was free
  EXPECT_TRUE(slot == 0 || slot == 1 || slot == 3) << slot;
  EXPECT_EQ(io().run(on_slot(send(0, "abc", 3), 2)), 3);
  char* at = io().memory(8);
  EXPECT_EQ(io().run(on_slot(receive(0, at, 8), slot)), 3);
  EXPECT_EQ(io().run(on_slot(shut_down(0, SHUT_WR), 2)), 0);
  EXPECT_EQ(io().run(on_slot(receive(0, at, 8), slot)), 0);
}

TEST_P(Registered, a_slot_becomes_a_descriptor) {
  PARKRING_NEEDS(abi::op_fixed_fd_install);
  ASSERT_EQ(sparse_files(1), 0);
  const std::string name = path("f");
  EXPECT_EQ(io().run(into_slot(openat(name.c_str(), O_RDONLY), 0)), 0);
  const int fd = io().run(on_slot(entry(abi::op_fixed_fd_install), 0));
  ASSERT_GE(fd, 0);
  EXPECT_EQ(io().run(close_slot(0)), 0);
  EXPECT_EQ(io().read(fd, 100, 0), "content");
  EXPECT_EQ(io().close(fd), 0);
}

TEST_P(Registered, allocation_keeps_to_the_range_it_was_given) {
  ASSERT_EQ(sparse_files(4), 0);
  abi::file_index_range range{};
  range.off = 2;
  range.len = 2;
  ASSERT_EQ(reg(abi::register_file_alloc_range, &range, 0), 0);
  const std::string name = path("f");
  const abi::sqe opening = into_slot(openat(name.c_str(), O_RDONLY), abi::file_index_alloc);
  EXPECT_EQ(io().run(opening), 2);
  EXPECT_EQ(io().run(opening), 3);
  EXPECT_EQ(io().run(opening), -ENFILE);
}

// ---- buffers ----

TEST_P(Registered, a_registered_buffer_is_read_and_written_within_its_bounds) {
  char* at = io().memory(8192);
  const iovec region{at, 8192};
  ASSERT_EQ(reg(abi::register_buffers, &region, 1), 0);
  EXPECT_EQ(io().run(read_fixed(file_, at + 100, 7, 0, 0)), 7);
  EXPECT_EQ(std::string(at + 100, 7), "content");
  std::memcpy(at + 5000, "CON", 3);
  EXPECT_EQ(io().run(write_fixed(file_, at + 5000, 3, 0, 0)), 3);
  EXPECT_EQ(io().content(path("f")), "CONtent");
  EXPECT_EQ(io().run(read_fixed(file_, at + 8192 - 3, 3, 0, 0)), 3);
}

TEST_P(Registered, what_is_outside_of_the_registered_buffer_is_a_fault) {
  char* at = io().memory(8192);
  const iovec region{at + 100, 4096};
  ASSERT_EQ(reg(abi::register_buffers, &region, 1), 0);
  EXPECT_EQ(io().run(read_fixed(file_, at + 99, 1, 0, 0)), -EFAULT);
  EXPECT_EQ(io().run(read_fixed(file_, at + 100 + 4096, 1, 0, 0)), -EFAULT);
  EXPECT_EQ(io().run(read_fixed(file_, at + 100 + 4090, 7, 0, 0)), -EFAULT);
  EXPECT_EQ(io().run(write_fixed(file_, at + 99, 1, 0, 0)), -EFAULT);
  EXPECT_EQ(io().run(read_fixed(file_, at + 100, 7, 0, 1)), -EFAULT);
  EXPECT_EQ(io().content(path("f")), "content");
}

TEST_P(Registered, without_registered_buffers_there_are_no_fixed_transfers) {
  char* at = io().memory(8);
  EXPECT_EQ(io().run(read_fixed(file_, at, 7, 0, 0)), -EFAULT);
  EXPECT_EQ(reg(abi::unregister_buffers, nullptr, 0), -ENXIO);
}

TEST_P(Registered, there_is_one_table_of_buffers) {
  const iovec region{io().memory(4096), 4096};
  ASSERT_EQ(reg(abi::register_buffers, &region, 1), 0);
  EXPECT_EQ(reg(abi::register_buffers, &region, 1), -EBUSY);
  EXPECT_EQ(reg(abi::unregister_buffers, nullptr, 0), 0);
  EXPECT_EQ(io().run(read_fixed(file_, region.iov_base, 7, 0, 0)), -EFAULT);
  EXPECT_EQ(reg(abi::register_buffers, &region, 1), 0);
}

TEST_P(Registered, buffers_are_put_into_a_sparse_table_later) {
  abi::rsrc_register how{};
  how.nr = 2;
  how.flags = abi::rsrc_register_sparse;
  ASSERT_EQ(reg(abi::register_buffers2, &how, sizeof how), 0);
  char* at = io().memory(4096);
  EXPECT_EQ(io().run(read_fixed(file_, at, 7, 0, 1)), -EFAULT);
  const iovec region{at, 4096};
  abi::rsrc_update2 update{};
  update.offset = 1;
  update.data = address(&region);
  update.nr = 1;
  EXPECT_EQ(reg(abi::register_buffers_update, &update, sizeof update), 1);
  EXPECT_EQ(io().run(read_fixed(file_, at, 7, 0, 1)), 7);
  EXPECT_EQ(io().run(read_fixed(file_, at, 7, 0, 0)), -EFAULT);
}

TEST_P(Registered, a_short_fixed_read_breaks_its_chain) {
  char* at = io().memory(4096);
  const iovec region{at, 4096};
  ASSERT_EQ(reg(abi::register_buffers, &region, 1), 0);
  EXPECT_EQ(io().run_chain({read_fixed(file_, at, 100, 0, 0), nop()}),
            (std::vector<std::int32_t>{7, -ECANCELED}));
}

TEST_P(Registered, registered_files_and_buffers_go_together) {
  char* at = io().memory(4096);
  const iovec region{at, 4096};
  ASSERT_EQ(reg(abi::register_buffers, &region, 1), 0);
  ASSERT_EQ(reg(abi::register_files, &file_, 1), 0);
  EXPECT_EQ(io().run(on_slot(read_fixed(0, at, 7, 0, 0), 0)), 7);
  EXPECT_EQ(std::string(at, 7), "content");
  EXPECT_EQ(io().run(on_slot(read_fixed(0, at, 3, at_position, 0), 0)), 3);
  EXPECT_EQ(io().run(on_slot(read_fixed(0, at, 9, at_position, 0), 0)), 4);
}

}  // namespace
}  // namespace parkring::conformance
