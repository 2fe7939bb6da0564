#include "conformance/fuzz/waits.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace parkring::conformance::fuzz {

namespace {

constexpr std::uint64_t nobody = 987'654'321;
constexpr std::uint32_t most_in_pipe = 16'384;  // far below the 64 KiB of a pipe
constexpr abi::timespec64 hour{.tv_sec = 3600, .tv_nsec = 0};
constexpr abi::timespec64 moment{.tv_sec = 0, .tv_nsec = 200'000};

const std::string left_out = "left out";

std::string told(std::int32_t result, const char* bytes = nullptr) {
  std::string text = std::to_string(result);
  if (bytes == nullptr || result <= 0) return text;
  std::uint64_t sum = 0;
  for (std::int32_t i = 0; i < result; ++i)
    sum = sum * 31 + static_cast<unsigned char>(bytes[static_cast<std::size_t>(i)]);
  return text + ", hash " + std::to_string(sum);
}

}  // namespace

waits::waits(client& io) : io_(io), memory_(io.memory(most_in_pipe)) {
  for (one_pipe& p : all_) {
    p.memory = io.memory(most_in_pipe);
    open(p);
  }
}

void waits::open(one_pipe& p) {
  EXPECT_EQ(io_.make_pipe(p.ends), 0);
  p.bytes = 0;
}

void waits::wait_on(one_pipe& p, const abi::sqe& e, bool is_poll) {
  const std::uint64_t name = io_.start(e);
  EXPECT_TRUE(io_.silent(name)) << "it has nothing to tell yet";
  p.waits = waiting{name, is_poll};
}

std::string waits::ended(one_pipe& p) {
  if (!p.waits) return "";
  const waiting w = *std::exchange(p.waits, std::nullopt);
  const std::int32_t result = io_.next(w.name).res;
  if (!w.is_poll && result > 0) p.bytes -= static_cast<std::uint32_t>(result);
  return "; ended one with " + told(result, w.is_poll ? nullptr : p.memory);
}

std::string waits::read_one(one_pipe& p, std::uint32_t length) {
  if (p.waits) return left_out;
  if (p.bytes == 0 && length != 0) {
    wait_on(p, read(p.ends[0], p.memory, length, at_position), false);
    return "waits";
  }
  const std::int32_t result = io_.run(read(p.ends[0], memory_, length, at_position));
  if (result > 0) p.bytes -= static_cast<std::uint32_t>(result);
  return told(result, memory_);
}

std::string waits::write_one(one_pipe& p, const operation& o) {
  if (p.bytes + o.length > most_in_pipe) return left_out;
  for (std::uint32_t i = 0; i < o.length; ++i)
    memory_[i] = static_cast<char>(o.pattern + i * 7 + i / 256);
  const std::int32_t result = io_.run(write(p.ends[1], memory_, o.length, at_position));
  if (result <= 0) return told(result);  // nothing came, so nobody ends
  p.bytes += static_cast<std::uint32_t>(result);
  return told(result) + ended(p);
}

std::string waits::poll_one(one_pipe& p) {
  if (p.waits) return left_out;
  const abi::sqe e = poll(p.ends[0], POLLIN);
  if (p.bytes != 0) return told(io_.run(e));
  wait_on(p, e, true);
  return "waits";
}

std::string waits::read_in_time(one_pipe& p, std::uint32_t length) {
  if (p.waits || length == 0) return left_out;
  const bool in_time = p.bytes != 0;
  const std::vector<std::int32_t> results =
      io_.run_all({linked(read(p.ends[0], memory_, length, at_position)),
                   link_timeout(in_time ? &hour : &moment)});
  if (results[0] > 0) p.bytes -= static_cast<std::uint32_t>(results[0]);
  // Interrupted at work or cancelled as it waits: a machine may do either.
  const std::int32_t result = results[0] == -EINTR ? -ECANCELED : results[0];
  return told(result, memory_) + ", its timeout " + told(results[1]);
}

std::string waits::cancel_one(one_pipe& p, std::uint32_t how) {
  const std::uint64_t name = p.waits ? p.waits->name : nobody;
  const std::uint32_t flags = (how & 1) != 0 ? abi::async_cancel_all : 0;
  const abi::sqe e = (how & 2) != 0 ? cancel_fd(p.ends[0], flags) : cancel(name, flags);
  const std::string text = told(io_.run(e));
  return text + ended(p);
}

std::string waits::remove_poll(one_pipe& p) {
  if (p.waits && !p.waits->is_poll) return left_out;
  const std::string text = told(io_.run(poll_remove(p.waits ? p.waits->name : nobody)));
  return text + ended(p);
}

std::string waits::close_both(one_pipe& p) {
  std::string text = told(io_.close(p.ends[1]));
  text += ended(p);
  text += ", " + told(io_.close(p.ends[0]));
  open(p);
  return text;
}

std::string waits::start_timer(bool long_one) {
  if (!long_one) return told(io_.run(timeout(&moment)));
  if (timer_) return left_out;
  timer_ = io_.start(timeout(&hour));
  EXPECT_TRUE(io_.silent(*timer_));
  return "waits";
}

std::string waits::end_timer(bool by_cancel) {
  const std::uint64_t name = timer_.value_or(nobody);
  std::string text = told(io_.run(by_cancel ? cancel(name) : timeout_remove(name)));
  if (timer_)
    text += "; ended one with " + told(io_.next(*std::exchange(timer_, std::nullopt)).res);
  return text;
}

std::string waits::run(const operation& o) {
  one_pipe& p = all_[o.place % pipes];
  switch (o.opcode) {
    case abi::op_read:
      return read_one(p, o.length);
    case abi::op_write:
      return write_one(p, o);
    case abi::op_poll_add:
      return poll_one(p);
    case abi::op_link_timeout:
      return read_in_time(p, o.length);
    case abi::op_async_cancel:
      return cancel_one(p, o.flags);
    case abi::op_poll_remove:
      return remove_poll(p);
    case abi::op_close:
      return close_both(p);
    case abi::op_timeout:
      return start_timer(o.flags % 2 != 0);
    case abi::op_timeout_remove:
      return end_timer(o.flags % 2 != 0);
    default:
      return told(io_.run(nop()));
  }
}

std::string waits::end() {
  std::string text;
  for (one_pipe& p : all_) {
    if (p.waits) text += cancel_one(p, 0) + "; ";
    text += std::to_string(p.bytes) + " bytes, ";
    if (p.bytes != 0) text += read_one(p, most_in_pipe);
    close_both(p);
  }
  if (timer_) text += end_timer(false);
  return text;
}

}  // namespace parkring::conformance::fuzz
