// Random operations and power cuts, judged by oracles that know only what must and what may remain.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdio.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "kernel/sim/file_system.hpp"
#include "kernel/sim/random.hpp"

namespace parkring::kernel::sim {
namespace {

constexpr std::size_t sector = 512;

open_ref opened(file_system& fs, const std::string& path, int flags = O_RDWR | O_CREAT) {
  open_ref file;
  EXPECT_EQ(fs.open(nullptr, path, flags, 0644, file), 0) << path;
  return file;
}
std::string content(file_system& fs, const std::string& path) {
  std::string text(64 * 1024, '?');
  const std::int64_t n =
      fs.read(*opened(fs, path, O_RDONLY), std::as_writable_bytes(std::span(text)), 0);
  EXPECT_GE(n, 0);
  text.resize(n < 0 ? 0 : static_cast<std::size_t>(n));
  return text;
}

// --- The contents of one file
// --------------------------------------------------------------------- Every write has a byte of
// its own; for each sector the oracle knows which may be there.
class content_model {
 public:
  explicit content_model(std::uint64_t seed) : draws_(seed) {
    fs_.emplace(disk_options(), seed);
    file_ = opened(*fs_, "f");
    EXPECT_EQ(fs_->sync(*opened(*fs_, "/", O_RDONLY)), 0);
    settle();
  }

  void run() {
    for (int round = 0; round < 3; ++round) {
      for (std::uint64_t i = draws_.below(25); i > 0; --i) step();
      fs_->power_cut(draws_);
      judge();
      file_ = opened(*fs_, "f", O_RDWR);
      seen_ = content(*fs_, "f");
      settle();
    }
  }

 private:
  // What is durable now is all that may be there.
  void settle() {
    smallest_ = largest_ = seen_.size();
    for (std::size_t s = 0; s < allowed_.size(); ++s) {
      allowed_[s].clear();
      allowed_[s].insert(s * sector < seen_.size() ? seen_[s * sector] : '\0');
    }
  }
  void step() {
    const std::size_t from = draws_.below(allowed_.size());
    const std::size_t count = 1 + draws_.below(std::min<std::size_t>(12, allowed_.size() - from));
    const std::size_t begin = from * sector, end = begin + count * sector;
    switch (draws_.below(8)) {
      case 0:
        EXPECT_EQ(fs_->sync(*file_), 0);
        settle();
        break;
      case 1:
        EXPECT_EQ(fs_->truncate(*file_, static_cast<std::int64_t>(begin)), 0);
        resize(begin);
        break;
      case 2:
        EXPECT_EQ(fs_->fallocate(*file_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                 static_cast<std::int64_t>(begin),
                                 static_cast<std::int64_t>(end - begin)),
                  0);
        fill(begin, std::min(end, seen_.size()), '\0');
        break;
      default:
        version_ = static_cast<char>(version_ == 126 ? 1 : version_ + 1);
        const std::string text(end - begin, version_);
        EXPECT_EQ(
            fs_->write(*file_, std::as_bytes(std::span(text)), static_cast<std::int64_t>(begin)),
            static_cast<std::int64_t>(text.size()));
        if (end > seen_.size()) resize(end);
        fill(begin, end, version_);
    }
    EXPECT_EQ(content(*fs_, "f"), seen_);
  }
  void resize(std::size_t size) {
    const std::size_t before = seen_.size();
    seen_.resize(size, '\0');
    smallest_ = std::min(smallest_, size);
    largest_ = std::max(largest_, size);
    for (std::size_t at = std::min(before, size); at < allowed_.size() * sector; at += sector)
      allowed_[at / sector].insert('\0');
  }
  void fill(std::size_t begin, std::size_t end, char value) {
    for (std::size_t at = begin; at < end; at += sector) {
      std::fill_n(seen_.begin() + static_cast<std::ptrdiff_t>(at), sector, value);
      allowed_[at / sector].insert(value);
    }
  }
  void judge() {
    const std::string left = content(*fs_, "f");
    EXPECT_GE(left.size(), smallest_);
    EXPECT_LE(left.size(), largest_);
    EXPECT_EQ(left.size() % sector, 0u);
    for (std::size_t at = 0; at + sector <= left.size(); at += sector) {
      EXPECT_EQ(left.substr(at, sector), std::string(sector, left[at])) << "torn inside a sector";
      EXPECT_TRUE(allowed_[at / sector].contains(left[at])) << "sector " << at / sector;
    }
  }

  random draws_;
  std::optional<file_system> fs_;
  open_ref file_;
  std::string seen_;
  std::array<std::set<char>, 40> allowed_;
  std::size_t smallest_ = 0, largest_ = 0;
  char version_ = 0;
};

TEST(DurabilityModel, contents_are_always_among_what_may_remain) {
  for (std::uint64_t seed = 1; seed <= 1000 && !testing::Test::HasFailure(); ++seed) {
    content_model(seed).run();
    if (testing::Test::HasFailure()) ADD_FAILURE() << "seed " << seed;
  }
}

// --- Names in several directories
// ----------------------------------------------------------------- Each directory must be as it
// was after some operation since it was synced last; and no file that was durable, and was only
// moved since, may be missing or have two names.
class name_model {
 public:
  using directory = std::map<std::string, int>;  // name -> the number that the file holds
  using tree = std::array<directory, 3>;

  name_model(std::uint64_t seed, bool reorder) : draws_(seed), reorder_(reorder) {
    disk_options options;
    options.reorder_metadata = reorder;
    fs_.emplace(options, seed);
    for (const char* d : directories_) EXPECT_EQ(fs_->mkdir(nullptr, d, 0755), 0);
    EXPECT_EQ(fs_->sync(*opened(*fs_, "/", O_RDONLY)), 0);
    settle();
  }

  void run() {
    for (int round = 0; round < 3; ++round) {
      for (std::uint64_t i = draws_.below(30); i > 0; --i) step();
      fs_->power_cut(draws_);
      judge();
      settle();
    }
  }

 private:
  static std::string path(std::size_t d, const std::string& name) {
    return std::string(directories_[d]) + "/" + name;
  }
  void settle() {
    durable_.clear();
    for (std::size_t d = 0; d < 3; ++d) {
      history_[d] = {now_[d]};
      for (const auto& [name, id] : now_[d]) durable_.insert(id);
    }
    trees_ = {now_};
  }
  void changed(std::size_t d) { history_[d].push_back(now_[d]); }

  void step() {
    const std::size_t a = draws_.below(3), b = draws_.below(3);
    const std::string from(1, static_cast<char>('p' + draws_.below(4)));
    const std::string to(1, static_cast<char>('p' + draws_.below(4)));
    const bool there = now_[a].contains(from);
    const auto other = now_[b].find(to);
    switch (draws_.below(6)) {
      case 0:
        EXPECT_EQ(fs_->sync(*opened(*fs_, directories_[a], O_RDONLY)), 0);
        history_[a] = {now_[a]};
        for (const auto& [name, id] : now_[a]) durable_.insert(id);
        return;
      case 1:
        EXPECT_EQ(fs_->unlink(nullptr, path(a, from)), there ? 0 : -ENOENT);
        if (!there) return;
        durable_.erase(now_[a][from]);
        now_[a].erase(from);
        break;
      case 2:
      case 3: {
        if (!there || (a == b && from == to)) return;
        const bool exchange = draws_.chance(0.3) && other != now_[b].end();
        EXPECT_EQ(fs_->rename(nullptr, path(a, from), nullptr, path(b, to),
                              exchange ? RENAME_EXCHANGE : 0u),
                  0);
        const int id = now_[a][from];
        if (exchange) {
          now_[a][from] = other->second;
        } else {
          if (other != now_[b].end()) durable_.erase(other->second);
          now_[a].erase(from);
        }
        now_[b][to] = id;
        if (a != b) changed(b);
        break;
      }
      default: {
        if (there) return;
        const open_ref file = opened(*fs_, path(a, from));
        const int id = ++last_;
        EXPECT_EQ(fs_->write(*file, std::as_bytes(std::span(&id, 1)), 0), 4);
        EXPECT_EQ(fs_->sync(*file), 0);
        now_[a][from] = id;
      }
    }
    changed(a);
    trees_.push_back(now_);
  }

  void judge() {
    tree left;
    std::map<int, int> names;
    for (std::size_t d = 0; d < 3; ++d) {
      std::vector<std::string> list;
      EXPECT_EQ(fs_->list(nullptr, directories_[d], list), 0);
      for (const std::string& name : list) {
        int id = 0;
        EXPECT_EQ(fs_->read(*opened(*fs_, path(d, name), O_RDONLY),
                            std::as_writable_bytes(std::span(&id, 1)), 0),
                  4);
        left[d][name] = id;
        ++names[id];
      }
      EXPECT_TRUE(std::ranges::find(history_[d], left[d]) != history_[d].end()) << directories_[d];
    }
    for (const auto& [id, count] : names) EXPECT_EQ(count, 1) << id;
    for (const int id : durable_) EXPECT_TRUE(names.contains(id)) << id;
    if (!reorder_) {
      EXPECT_TRUE(std::ranges::find(trees_, left) != trees_.end());
    }
    now_ = left;
  }

  static constexpr const char* directories_[] = {"x", "y", "z"};
  random draws_;
  bool reorder_;
  std::optional<file_system> fs_;
  tree now_;
  std::array<std::vector<directory>, 3> history_;
  std::vector<tree> trees_;
  std::set<int> durable_;  // files that must have a name
  int last_ = 0;
};

TEST(DurabilityModel, names_are_always_among_what_may_remain) {
  for (std::uint64_t seed = 1; seed <= 1000 && !testing::Test::HasFailure(); ++seed) {
    name_model(seed, seed % 3 != 0).run();
    if (testing::Test::HasFailure()) ADD_FAILURE() << "seed " << seed;
  }
}

// --- Everything at once
// --------------------------------------------------------------------------- Directories are moved
// into each other, linked files and open files go away: the tree must hold together, and one seed
// must give one history.
std::uint64_t wild_run(std::uint64_t seed) {
  random r(seed);
  disk_options options;
  options.capacity = 1 << 20;
  options.inodes = 60;
  options.reorder_metadata = r.chance(0.7);
  options.strict_directories = r.chance(0.7);
  options.stale_data = r.chance(0.5);
  file_system fs(options, seed);
  std::vector<open_ref> files(8);
  std::uint64_t history = 0;
  const auto path = [&] {
    std::string p;
    for (std::uint64_t i = 1 + r.below(4); i > 0; --i) p += std::string("/") + "abc"[r.below(3)];
    return p;
  };
  std::string text(20'000, 'x');
  for (int i = 0; i < 300; ++i) {
    open_ref& file = files[r.below(8)];
    const auto offset = static_cast<std::int64_t>(r.below(50'000));
    const std::string p = path(), q = path();
    std::int64_t result = 0;
    switch (r.below(16)) {
      case 0:
      case 1:
      case 2:
        result = fs.mkdir(nullptr, p, 0755);
        break;
      case 3:
        result = fs.unlink(nullptr, p);
        break;
      case 4:
        result = fs.unlink(nullptr, p, AT_REMOVEDIR);
        break;
      case 5:
        result = fs.rename(nullptr, p, nullptr, q);
        break;
      case 6:
        result = fs.rename(nullptr, p, nullptr, q, RENAME_EXCHANGE);
        break;
      case 7:
        result = fs.link(nullptr, p, nullptr, q);
        break;
      case 8:
        result = fs.open(nullptr, p, O_RDWR | O_CREAT, 0644, file);
        break;
      case 9:
        result = fs.open(nullptr, p, O_RDONLY | O_DIRECTORY, 0, file);
        break;
      case 10:
        file.reset();
        break;
      case 11:
        if (file) result = fs.sync(*file);
        break;
      case 12:
        if (file) result = fs.truncate(*file, offset);
        break;
      case 13:
        if (r.chance(0.05)) fs.power_cut(r);
        break;
      default:
        text[0] = static_cast<char>('a' + i % 26);
        if (file)
          result = fs.write(*file, std::as_bytes(std::span(text)).first(r.below(20'000)), offset);
    }
    history = history * 31 + static_cast<std::uint64_t>(result);
  }
  fs.power_cut(r);
  const std::uint64_t image = fs.hash();
  const std::uint64_t used = fs.space_used();
  fs.power_cut(r);  // nothing was pending: it changes nothing
  EXPECT_EQ(fs.hash(), image);
  EXPECT_EQ(fs.space_used(), used);
  return history ^ image;
}

TEST(DurabilityModel, one_seed_leaves_one_image_whatever_happened) {
  std::set<std::uint64_t> images;
  for (std::uint64_t seed = 1; seed <= 500 && !testing::Test::HasFailure(); ++seed) {
    const std::uint64_t image = wild_run(seed);
    EXPECT_EQ(wild_run(seed), image) << seed;
    images.insert(image);
  }
  EXPECT_GT(images.size(), 495u);
}

}  // namespace
}  // namespace parkring::kernel::sim
