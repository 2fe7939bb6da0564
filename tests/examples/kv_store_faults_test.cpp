// examples/kv_store on a disk with faults: Linux, with requests changed on their way to it.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <string>
#include <vector>

#include "exec/core.hpp"
#include "kernel/kernel.hpp"
#include "kv_store_testing.hpp"
#include "ring/choice.hpp"

namespace pr = parkring;
using namespace kv::testing;
using parkring::testing::scratch;

namespace {

namespace abi = parkring::kernel::abi;

// Shows every request to `change` before Linux gets it.
class changing_kernel final : public pr::kernel::kernel {
 public:
  std::function<void(abi::sqe&)> change;

  [[nodiscard]] const char* name() const noexcept override { return "changing"; }
  [[nodiscard]] int setup(unsigned entries, abi::params& p,
                          pr::kernel::ring_memory& out) noexcept override {
    seen_ = 0;
    return below_.setup(entries, p, out);
  }
  int enter(const pr::kernel::ring_memory& ring, unsigned to_submit, unsigned min_complete,
            unsigned flags, const void* arg, std::size_t size) noexcept override {
    const std::uint32_t head = *ring.sq_head;
    for (std::uint32_t i = std::max(seen_, head); i < head + to_submit; ++i)
      if (change) change(ring.sqes[i & ring.sq_mask]);
    seen_ = std::max(seen_, head + to_submit);
    return below_.enter(ring, to_submit, min_complete, flags, arg, size);
  }
  int reg(const pr::kernel::ring_memory& ring, unsigned opcode, const void* arg,
          unsigned count) noexcept override {
    return below_.reg(ring, opcode, arg, count);
  }
  void release(pr::kernel::ring_memory& ring) noexcept override { below_.release(ring); }

 private:
  pr::kernel::kernel& below_ = *pr::ring::try_kernel(pr::ring::wanted_kernel::any).served_by;
  std::uint32_t seen_ = 0;  // entries shown, counted as the queue counts
};

bool is_write(const abi::sqe& e) {
  return e.opcode == abi::op_write || e.opcode == abi::op_write_fixed;
}
bool is_datasync(const abi::sqe& e) {
  return e.opcode == abi::op_fsync && (e.fsync_flags & abi::fsync_datasync) != 0;
}

// Makes a request fail, whatever it is, without doing anything.
void let_fail(abi::sqe& e) {
  const auto user_data = e.user_data;
  e = {};
  e.opcode = abi::op_fsync;
  e.fd = -1;
  e.user_data = user_data;
}

std::string words_of(const abi::sqe& e) {
  const auto name = [](std::uint64_t path) {
    const std::filesystem::path whole(reinterpret_cast<const char*>(path));
    return " " + whole.filename().native();
  };
  std::string s = abi::op_name(e.opcode);
  if (e.opcode == abi::op_openat || e.opcode == abi::op_renameat) s += name(e.addr);
  if (e.opcode == abi::op_renameat) s += name(e.addr2);
  return s;
}

class KvStoreFaults : public ::testing::Test {
 protected:
  // As `with_store`, on the kernel with faults; does not close.
  template <class Use>
  void use(Use fn, kv::store_flaws flaws = {}) {
    pr::runtime rt = pr::exec::runtime_access::make(kernel);
    auto body = [&]() -> pr::task<> {
      const auto s = co_await kv::store::open(db, flaws);
      co_await fn(*s);
    };
    rt.run(body());
    kernel.change = nullptr;
  }

  scratch dir;
  const std::filesystem::path db = dir / "db";
  changing_kernel kernel;
};

// Whether a change was acknowledged.
pr::task<bool> acknowledged(pr::task<> change) {
  try {
    co_await std::move(change);
    co_return true;
  } catch (const kv::store_failed&) {
  }
  co_return false;
}

TEST_F(KvStoreFaults, short_writes_are_completed) {
  int halved = 0;
  kernel.change = [&](abi::sqe& e) {
    if (!is_write(e) || e.len < 2) return;
    e.len /= 2;
    ++halved;
  };
  use([](kv::store& s) -> pr::task<> {
    for (int i = 0; i < 10; ++i) co_await s.put("k" + std::to_string(i), std::string(500, 'v'));
    co_await s.compact();
    for (int i = 10; i < 20; ++i) co_await s.put("k" + std::to_string(i), std::string(500, 'v'));
  });
  EXPECT_GT(halved, 60);
  EXPECT_EQ(reopened(db).size(), 20u);
}

TEST_F(KvStoreFaults, ignoring_short_writes_would_lose_acknowledged_changes) {
  kernel.change = [](abi::sqe& e) {
    if (is_write(e) && e.len > 1) e.len /= 2;
  };
  use([](kv::store& s) -> pr::task<> { co_await s.put("k", "v"); }, {.ignore_short_writes = true});
  EXPECT_EQ(reopened(db).size(), 0u);
}

TEST_F(KvStoreFaults, a_full_disk_fails_the_store_for_good_and_loses_nothing) {
  const int full = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
  use([&](kv::store& s) -> pr::task<> {
    co_await s.put("a", "1");
    kernel.change = [full](abi::sqe& e) {
      if (!is_write(e)) return;
      e.fd = full;
      e.flags = 0;
    };
    pr::task_group group;
    int told = 0;
    auto writer = [&](int i) -> pr::task<> {
      told += !co_await acknowledged(s.put("lost" + std::to_string(i), "v"));
    };
    for (int i = 0; i < 10; ++i) group.spawn(writer, i);
    co_await group.join();
    EXPECT_EQ(told, 10);
    kernel.change = nullptr;  // there is room again, but nobody knows what was written
    std::string why;
    try {
      co_await s.put("later", "v");
    } catch (const kv::store_failed& e) {
      why = e.what();
    }
    EXPECT_NE(why.find("ENOSPC"), std::string::npos) << why;
    EXPECT_NE(why.find("open it again"), std::string::npos) << why;
    EXPECT_FALSE(co_await acknowledged(s.compact()));
    EXPECT_EQ(s.get("a"), "1");
    EXPECT_EQ(s.get("lost0"), std::nullopt);
    EXPECT_FALSE(co_await acknowledged(s.close())) << "the end of a failed store says so";
  });
  ::close(full);
  EXPECT_EQ(reopened(db), (contents{{"a", "1"}}));
}

TEST_F(KvStoreFaults, a_failed_sync_is_not_tried_again) {
  int syncs = 0;
  use([&](kv::store& s) -> pr::task<> {
    co_await s.put("a", "1");
    kernel.change = [&](abi::sqe& e) {
      if (is_datasync(e) && ++syncs == 1) let_fail(e);
    };
    EXPECT_FALSE(co_await acknowledged(s.put("b", "2")));
    EXPECT_FALSE(co_await acknowledged(s.put("c", "3")));
    EXPECT_EQ(s.get("b"), std::nullopt);
  });
  EXPECT_EQ(syncs, 1);
  const auto all = reopened(db);
  EXPECT_EQ(all.at("a"), "1");
  EXPECT_EQ(all.count("c"), 0u);
}

TEST_F(KvStoreFaults, a_compaction_that_cannot_write_leaves_the_store_as_it_was) {
  use([&](kv::store& s) -> pr::task<> {
    co_await s.put("a", "1");
    kernel.change = [](abi::sqe& e) {
      if (e.opcode == abi::op_fsync && !is_datasync(e)) let_fail(e);
    };
    const auto failed = co_await pr::as_result(s.compact());
    EXPECT_FALSE(failed.has_value());
    kernel.change = nullptr;
    EXPECT_FALSE(std::filesystem::exists(db / "snapshot.new"));
    co_await s.put("b", "2");
    co_await s.compact();
    co_await s.put("c", "3");
  });
  EXPECT_EQ(reopened(db).size(), 3u);
}

// From some request on everything fails, as if the process had ended there; for each request.
TEST_F(KvStoreFaults, stopped_at_any_request_nothing_acknowledged_is_lost_and_nothing_comes_back) {
  pr::runtime healthy;
  int last = 0;
  for (int stop = 1; stop <= 200; ++stop) {
    std::filesystem::remove_all(db);
    contents told;
    bool begun_to_delete = false, opened = false;
    int requests = 0;
    kernel.change = [&](abi::sqe& e) {
      if (e.opcode == abi::op_close || e.opcode == abi::op_async_cancel) return;
      if (++requests >= stop) let_fail(e);
    };
    auto scenario = [&](kv::store& s) -> pr::task<> {
      opened = true;
      for (const char* key : {"a", "b"}) {
        co_await s.put(key, "1");
        told[key] = "1";
      }
      begun_to_delete = true;
      co_await s.del("b");
      told.erase("b");
      co_await s.compact();
      co_await s.put("c", "3");
      told["c"] = "3";
      co_await s.compact();
    };
    try {
      use(scenario);
    } catch (const std::exception&) {
    }
    kernel.change = nullptr;
    last = requests;
    if (requests < stop) break;
    auto all = reopened(healthy, db);
    for (const auto& [key, value] : told) {
      if (key == "b" && begun_to_delete) continue;  // either way
      EXPECT_EQ(all[key], value) << key << ", stopped at request " << stop;
    }
    if (begun_to_delete && told.count("b") == 0) {
      EXPECT_EQ(all.count("b"), 0u) << "deleted and came back, stopped at request " << stop;
    }
  }
  EXPECT_GT(last, 30);
  EXPECT_LT(last, 200) << "the whole scenario was not reached";
}

// ---- the order of requests, which is what durability rests on ----

TEST_F(KvStoreFaults, a_compaction_makes_each_step_durable_before_the_next) {
  std::vector<std::string> trace;
  use([&](kv::store& s) -> pr::task<> {
    co_await s.put("a", "1");
    kernel.change = [&](abi::sqe& e) {
      if (e.opcode != abi::op_close && e.opcode != abi::op_files_update)
        trace.push_back(words_of(e));
    };
    co_await s.compact();
    kernel.change = nullptr;
  });
  const std::vector<std::string> expected = {"OPENAT snapshot.new",
                                             "WRITE",
                                             "FSYNC",
                                             "RENAMEAT snapshot.new snapshot",
                                             "OPENAT db",
                                             "FSYNC",
                                             "OPENAT wal.new",
                                             "FSYNC",
                                             "RENAMEAT wal.new wal",
                                             "OPENAT db",
                                             "FSYNC",
                                             "OPENAT wal"};
  EXPECT_EQ(trace, expected);
}

TEST_F(KvStoreFaults, an_acknowledgement_comes_after_the_sync_unless_told_to_make_that_mistake) {
  for (const bool flawed : {false, true}) {
    int syncs = 0, syncs_when_told = -1;
    use(
        [&](kv::store& s) -> pr::task<> {
          kernel.change = [&](abi::sqe& e) { syncs += is_datasync(e); };
          co_await s.put("a", "1");
          syncs_when_told = syncs;
          co_await s.close();
        },
        {.acknowledge_before_sync = flawed});
    EXPECT_EQ(syncs_when_told, flawed ? 0 : 1);
    EXPECT_EQ(syncs, 1);
  }
}

TEST_F(KvStoreFaults, directories_are_synced_unless_told_to_make_that_mistake) {
  for (const bool flawed : {false, true}) {
    int directories = 0;
    kernel.change = [&](abi::sqe& e) {
      directories += e.opcode == abi::op_openat && (e.open_flags & O_DIRECTORY) != 0;
    };
    use([](kv::store& s) -> pr::task<> { co_await s.compact(); }, {.skip_directory_sync = flawed});
    EXPECT_EQ(directories, flawed ? 0 : 5);
  }
}

}  // namespace
