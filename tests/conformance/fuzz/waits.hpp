// The part of a program that waits: reads and polls of pipes, timeouts, and what ends them.
//
// Outcomes are determined since a pipe has one waiting request at most, has begun to wait before
// anything else happens, and never gets full; the operations run one after the other, and those
// that would break this rule are left out. The rule is kept here and not by who makes programs, so
// that any part of a program is a program.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "conformance/client.hpp"
#include "conformance/fuzz/program.hpp"

namespace parkring::conformance::fuzz {

class waits {
 public:
  explicit waits(client& io);

  /// Runs it, and says what it answered and whom it ended.
  [[nodiscard]] std::string run(const operation& o);
  /// Ends what still waits and starts again with empty pipes; says what was left.
  [[nodiscard]] std::string end();

 private:
  struct waiting {
    std::uint64_t name;
    bool is_poll;
  };
  struct one_pipe {
    int ends[2] = {-1, -1};
    std::uint32_t bytes = 0;  // in it
    std::optional<waiting> waits;
    char* memory = nullptr;  // of the request that waits
  };

  std::string read_one(one_pipe& p, std::uint32_t length);
  std::string write_one(one_pipe& p, const operation& o);
  std::string poll_one(one_pipe& p);
  std::string read_in_time(one_pipe& p, std::uint32_t length);
  std::string cancel_one(one_pipe& p, std::uint32_t how);
  std::string remove_poll(one_pipe& p);
  std::string close_both(one_pipe& p);
  std::string start_timer(bool long_one);
  std::string end_timer(bool by_cancel);
  /// Starts to wait on the pipe.
  void wait_on(one_pipe& p, const abi::sqe& e, bool is_poll);
  /// What the waiting request has answered, if there is one.
  std::string ended(one_pipe& p);
  void open(one_pipe& p);

  client& io_;
  std::array<one_pipe, pipes> all_;
  std::optional<std::uint64_t> timer_;
  char* memory_;  // of what does not wait
};

}  // namespace parkring::conformance::fuzz
