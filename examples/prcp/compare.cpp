#include "compare.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>

#include <parkring/as_result.hpp>
#include <parkring/buffer.hpp>
#include <parkring/fs.hpp>
#include <parkring/literals.hpp>
#include <parkring/sync.hpp>
#include <parkring/task_group.hpp>
#include <parkring/when_all.hpp>

namespace pr = parkring;
using namespace pr::literals;
using path = std::filesystem::path;

namespace prcp {
namespace {

constexpr std::size_t files_at_once = 32;

struct state {
  comparison so_far;
  std::function<void(const std::string&)> tell;
  void differs(const path& p, const std::string& how) {
    ++so_far.differences;
    tell(p.native() + ": " + how);
  }
};

pr::task<> compare_content(path from, path to, state& all) {
  auto a = co_await pr::fs::open(from);
  auto b = co_await pr::fs::open(to);
  pr::buffer left(128_KiB), right(128_KiB);
  for (std::uint64_t at = 0;;) {
    const auto [n, m] = co_await pr::when_all(a.read_at(left, at), b.read_at(right, at));
    const std::size_t both = std::min(n, m);
    if ((n == 0) != (m == 0) || std::memcmp(left.bytes().data(), right.bytes().data(), both) != 0) {
      all.differs(to, "differs from " + from.native());
      co_return;
    }
    if (n == 0) break;
    at += both;
    all.so_far.bytes += both;
  }
  ++all.so_far.files;
}

pr::task<> compare_file(path from, path to, state& all, pr::semaphore_permit) {
  const auto done = co_await pr::as_result(compare_content(from, to, all));
  if (!done) all.differs(to, done.error().message());
}

}  // namespace

pr::task<comparison> compare(path from, path to, std::function<void(const std::string&)> tell) {
  state all{{}, std::move(tell)};
  pr::semaphore permits(files_at_once);
  pr::task_group files;
  const auto what = co_await pr::fs::stat(from, pr::fs::links::no_follow);
  if (what.is_symlink()) {
    const path ours = co_await pr::fs::read_link(from);
    const auto copied = co_await pr::as_result(pr::fs::read_link(to));
    if (!copied || *copied != ours) all.differs(to, "leads elsewhere than " + from.native());
    co_return all.so_far;
  }
  if (what.is_regular()) {
    co_await compare_file(from, to, all, co_await permits.acquire());
    co_return all.so_far;
  }
  pr::fs::walk entries(from, {.metadata = true});
  for (;;) {
    auto e = co_await entries.next();
    if (!e) break;
    const path theirs = to / e->relative_path();
    if (e->failure) {
      all.differs(e->path(), e->failure->message());
      continue;
    }
    const auto found = co_await pr::as_result(pr::fs::stat(theirs, pr::fs::links::no_follow));
    if (!found) {
      all.differs(theirs, found.error().message());
    } else if (found->type != e->type) {
      all.differs(theirs,
                  std::string("is a ") + name_of(found->type) + ", not a " + name_of(e->type));
    } else if (e->type == pr::fs::file_type::symlink) {
      const auto ours = co_await pr::as_result(pr::fs::read_link(e->path()));
      const auto copied = co_await pr::as_result(pr::fs::read_link(theirs));
      if (!ours || !copied || *ours != *copied)
        all.differs(theirs, "leads elsewhere than " + e->path().native());
    } else if (e->type == pr::fs::file_type::regular) {
      if (found->size != e->metadata->size) {
        all.differs(theirs, "has another size than " + e->path().native());
        continue;
      }
      auto permit = co_await permits.acquire();
      files.spawn(compare_file, e->path(), theirs, std::ref(all), std::move(permit));
    }
  }
  co_await files.join();
  co_return all.so_far;
}

}  // namespace prcp
