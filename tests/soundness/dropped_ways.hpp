// One read and one write for every way to hand memory over.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <parkring/parkring.hpp>

#include "support/watched_memory.hpp"

namespace parkring::testing {

/// A user's type whose bytes lie in itself, so they move when it moves. Counts itself.
struct page {
  std::array<std::byte, 64> bytes{};
  page() noexcept { ++alive; }
  page(page&& other) noexcept : bytes(other.bytes) { ++alive; }
  page& operator=(page&&) = default;
  ~page() {
    bytes.fill(std::byte{0xDD});
    --alive;
  }
  static inline int alive = 0;
};

}  // namespace parkring::testing

template <>
struct parkring::owned_memory<parkring::testing::page> {
  static std::byte* data(parkring::testing::page& p) noexcept { return p.bytes.data(); }
  static std::size_t size(const parkring::testing::page& p) noexcept { return p.bytes.size(); }
};

namespace parkring::testing {

/// A read or write of 16 bytes or so at offset 0, in one of the ways.
struct way {
  const char* name;
  task<> (*read)(fs::file&);
  task<> (*write)(fs::file&);
};

inline const way ways[] = {
    {"a buffer",
     [](fs::file& f) -> task<> {
       buffer b(16);
       (void)co_await f.read_at(b, 0);
     },
     [](fs::file& f) -> task<> {
       const buffer b(16);
       (void)co_await f.write_at(b, 0);
     }},
    {"a part of a buffer",
     [](fs::file& f) -> task<> {
       buffer b(600);
       buffer rest = b.split_off(520);
       (void)co_await f.read_at(rest, 0, 16);
     },
     [](fs::file& f) -> task<> {
       buffer b(600);
       const buffer rest = b.split_off(520);
       (void)co_await f.write_at(rest, 0, 16);
     }},
    {"a vector", [](fs::file& f) -> task<> { (void)co_await f.read_at(watched_bytes(16), 0); },
     [](fs::file& f) -> task<> { (void)co_await f.write_at(watched_bytes(16, 'v'), 0); }},
    {"a short string",
     [](fs::file& f) -> task<> { (void)co_await f.read_at(std::string(12, ' '), 0); },
     [](fs::file& f) -> task<> { (void)co_await f.write_at(std::string(12, 's'), 0); }},
    {"a long string",
     [](fs::file& f) -> task<> { (void)co_await f.read_at(std::string(64, ' '), 0); },
     [](fs::file& f) -> task<> { (void)co_await f.write_at(std::string(64, 's'), 0); }},
    {"an array",
     [](fs::file& f) -> task<> { (void)co_await f.read_at(std::make_unique<int[]>(4), 4, 0); },
     [](fs::file& f) -> task<> { (void)co_await f.write_at(std::make_unique<int[]>(4), 4, 0); }},
    {"a type of the user", [](fs::file& f) -> task<> { (void)co_await f.read_at(page(), 0); },
     [](fs::file& f) -> task<> { (void)co_await f.write_at(page(), 0); }},
    {"a copied span",
     [](fs::file& f) -> task<> {
       std::array<char, 16> bytes{};
       (void)co_await f.read_at(copying(bytes), 0);
     },
     [](fs::file& f) -> task<> {
       const std::array<char, 16> bytes{};
       (void)co_await f.write_at(copying(bytes), 0);
     }},
    {"a borrowed span",
     [](fs::file& f) -> task<> {
       std::array<char, 16> bytes{};
       (void)co_await f.read_at(borrowed(bytes), 0);
     },
     [](fs::file& f) -> task<> {
       const std::array<char, 16> bytes{};
       (void)co_await f.write_at(borrowed(bytes), 0);
     }},
    {"as_result",
     [](fs::file& f) -> task<> { (void)co_await as_result(f.read_at(watched_bytes(16), 0)); },
     [](fs::file& f) -> task<> { (void)co_await as_result(f.write_at(watched_bytes(16), 0)); }},
    {"described only",
     [](fs::file& f) -> task<> {
       buffer b(16);
       auto never_awaited = f.read_at(b, 0);
       co_await yield();
     },
     [](fs::file& f) -> task<> {
       auto never_awaited = f.write_at(watched_bytes(16), 0);
       co_await yield();
     }},
};

/// Checks what no counter of a runtime shows: memory freed and then written to, objects left over.
/// True when all is well; forgets what was freed.
[[nodiscard]] inline bool memory_is_in_order() {
  graveyard& g = graveyard::instance();
  const bool good = g.disturbed() == 0 && g.alive == 0 && page::alive == 0;
  g.clear();
  return good;
}

}  // namespace parkring::testing
