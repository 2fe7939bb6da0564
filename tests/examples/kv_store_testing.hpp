// What the tests of examples/kv_store share.
#pragma once

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include <parkring/parkring.hpp>

#include "kv_store/store.hpp"
#include "support/scratch.hpp"

namespace kv::testing {

using contents = std::map<std::string, std::string>;

inline contents contents_of(const store& s) {
  contents all;
  s.for_each([&](const std::string& key, const std::string& value) { all[key] = value; });
  return all;
}

inline void write_bytes(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

/// Opens the store in `directory`, runs `use(store&)` on it, which gives a task, and closes it.
template <class Use>
void with_store(parkring::runtime& rt, const std::filesystem::path& directory, Use use,
                store_flaws flaws = {}) {
  auto body = [&]() -> parkring::task<> {
    const auto s = co_await store::open(directory, flaws);
    co_await use(*s);
    co_await s->close();
  };
  rt.run(body());
}
template <class Use>
void with_store(const std::filesystem::path& directory, Use use, store_flaws flaws = {}) {
  parkring::runtime rt;
  with_store(rt, directory, std::move(use), flaws);
}

/// What a store that is opened now contains.
inline contents reopened(parkring::runtime& rt, const std::filesystem::path& directory) {
  contents all;
  with_store(rt, directory, [&](store& s) -> parkring::task<> {
    all = contents_of(s);
    co_return;
  });
  return all;
}
inline contents reopened(const std::filesystem::path& directory) {
  parkring::runtime rt;
  return reopened(rt, directory);
}

}  // namespace kv::testing
