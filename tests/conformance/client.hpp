// A ring, and the waiting for what it answers: what every conformance test speaks through.
//
// Requests are told apart by `user_data`, which push() gives out unless the entry has one. Waiting
// is bounded in turns and in time of the machine: a completion that does not come fails the test
// instead of hanging it. The destructor ends what is in flight before memory() is freed.
//
// Thread: the one that made it.
#pragma once

#include <bitset>
#include <cstdint>
#include <deque>
#include <initializer_list>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "conformance/entries.hpp"
#include "kernel/kernel.hpp"
#include "ring/ring.hpp"

namespace parkring::conformance {

struct answer {
  std::int32_t res;
  std::uint32_t flags;
  std::uint64_t user_data;

  [[nodiscard]] bool more() const noexcept { return (flags & abi::cqe_f_more) != 0; }
  [[nodiscard]] bool chose_buffer() const noexcept { return (flags & abi::cqe_f_buffer) != 0; }
  [[nodiscard]] unsigned buffer() const noexcept { return flags >> abi::cqe_buffer_shift; }
};

/// The result of a wait that failed; no request answers it.
inline constexpr std::int32_t no_answer = std::numeric_limits<std::int32_t>::min();

class client {
 public:
  explicit client(kernel::kernel& k, ring::options o = {.entries = 64, .cq_entries = 256});
  ~client();
  client(const client&) = delete;
  client& operator=(const client&) = delete;

  [[nodiscard]] ring::ring& queue() noexcept { return ring_; }
  [[nodiscard]] kernel::kernel& served_by() noexcept { return ring_.served_by(); }
  [[nodiscard]] bool supports(unsigned opcode) const noexcept { return opcodes_[opcode]; }

  // ---- requests ----

  /// Queues one; its user_data.
  std::uint64_t push(abi::sqe e);
  /// Lets the machine take all that is queued, without waiting.
  void submit();
  /// Queues and submits one.
  std::uint64_t start(const abi::sqe& e);
  /// Waits for the next completion of `user_data`.
  answer next(std::uint64_t user_data);
  /// Starts one and waits for it: its result.
  std::int32_t run(const abi::sqe& e);
  /// Submits all at once, each linked to the next, and waits for all; the results in order.
  std::vector<std::int32_t> run_chain(std::vector<abi::sqe> chain);
  /// Submits all at once and waits for all; the results in order of the entries.
  std::vector<std::int32_t> run_all(const std::vector<abi::sqe>& batch);
  /// Whether the request has no completion after some turns in which others go round; it then
  /// waits for something, and is no longer about to begin.
  bool silent(std::uint64_t user_data);
  /// Takes whatever completions there are, without waiting.
  void collect();
  /// The user_data of all completions in the order in which they came.
  [[nodiscard]] const std::vector<std::uint64_t>& order() const noexcept { return order_; }
  /// The place of the first completion of `user_data` in that order.
  [[nodiscard]] std::size_t place(std::uint64_t user_data) const noexcept;
  void forget_order() noexcept { order_.clear(); }

  // ---- what tests need all the time, done and waited for; results as of the system calls ----

  /// Zeroed memory that outlives every request.
  char* memory(std::size_t size);
  int open(const std::string& path, int flags, unsigned mode = 0600);
  int close(int fd) { return run(conformance::close(fd)); }
  int write(int fd, std::string_view bytes, std::uint64_t offset);
  /// What is there, up to `size` bytes; a failed read is a text that says so.
  std::string read(int fd, std::size_t size, std::uint64_t offset);
  int mkdir(const std::string& path) { return run(mkdirat(path.c_str())); }
  int unlink(const std::string& path, unsigned flags = 0) {
    return run(unlinkat(path.c_str(), flags));
  }
  int rename(const std::string& from, const std::string& to, unsigned flags = 0) {
    return run(renameat(from.c_str(), to.c_str(), flags));
  }
  int link(const std::string& from, const std::string& to, unsigned flags = 0) {
    return run(linkat(from.c_str(), to.c_str(), flags));
  }
  int symlink(const std::string& target, const std::string& path) {
    return run(symlinkat(target.c_str(), path.c_str()));
  }
  int stat(const std::string& path, struct statx& out, int flags = 0);
  int stat(int fd, struct statx& out);
  /// By the opcode, or beside the ring where the machine is real and too old for it.
  int truncate(int fd, std::uint64_t size);
  int make_pipe(int (&ends)[2]);
  int bind_and_listen(int fd, const sockaddr* where, socklen_t size, int backlog);

  // ---- files as a whole ----

  int make_file(const std::string& path, std::string_view content);
  /// The content, or a text that says why it cannot be read.
  std::string content(const std::string& path);

 private:
  bool turn(unsigned wait_for, unsigned extra);
  void drain();

  ring::ring ring_;
  std::bitset<256> opcodes_;
  std::uint64_t last_user_data_ = 0;
  std::deque<answer> arrived_;
  std::vector<std::uint64_t> order_;
  std::map<std::uint64_t, int> in_flight_;
  std::vector<std::unique_ptr<char[]>> memory_;
};

}  // namespace parkring::conformance
