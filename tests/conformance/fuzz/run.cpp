#include "conformance/fuzz/run.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sstream>
#include <utility>

namespace parkring::conformance::fuzz {

namespace {

constexpr int never_open = 1'000'000;
constexpr unsigned most_in_step = 8;
constexpr unsigned deepest = 12;

bool is_direct(unsigned place) { return place >= direct_from; }

std::uint64_t hash(const char* at, std::size_t size) {
  std::uint64_t h = 0xcbf29ce484222325u;
  for (std::size_t i = 0; i < size; ++i)
    h = (h ^ static_cast<unsigned char>(at[i])) * 0x100000001b3u;
  return h;
}

std::string describe_result(std::int32_t result) {
  if (result >= 0) return std::to_string(result);
  return std::to_string(result) + " " + std::strerror(-result);
}

std::string describe_file(const struct statx& s) {
  std::ostringstream out;
  if (S_ISDIR(s.stx_mode)) {
    out << "directory, mode " << std::oct << (s.stx_mode & 07777);
  } else if (S_ISLNK(s.stx_mode)) {
    out << "symbolic link, " << s.stx_nlink << " links, size " << s.stx_size;
  } else {
    out << (S_ISREG(s.stx_mode) ? "file" : "something else") << ", mode " << std::oct
        << (s.stx_mode & 07777) << std::dec << ", " << s.stx_nlink << " links, size " << s.stx_size;
  }
  return out.str();
}

}  // namespace

// One operation that is being run, with what its entry points at.
struct runner::attempt {
  std::string path, other_path;
  char* memory = nullptr;
  iovec parts[2];
  struct statx status;
};

runner::runner(kernel::kernel& k, std::string root) : io_(k), waits_(io_), root_(std::move(root)) {
  fixed_ = io_.memory(most_in_step * most_bytes);
  const iovec region{fixed_, most_in_step * most_bytes};
  EXPECT_EQ(io_.queue().reg(abi::register_buffers, &region, 1), 0);
  abi::rsrc_register files{};
  files.nr = places - direct_from;
  files.flags = abi::rsrc_register_sparse;
  EXPECT_EQ(io_.queue().reg(abi::register_files2, &files, sizeof files), 0);
  for (int& fd : open_) fd = never_open;
}

abi::sqe runner::entry_of(const operation& o, attempt& a) {
  a.path = directory_ + "/" + o.path;
  a.other_path = directory_ + "/" + o.other_path;
  const bool writes =
      o.opcode == abi::op_write || o.opcode == abi::op_writev || o.opcode == abi::op_write_fixed;
  for (std::uint32_t i = 0; i < o.length; ++i)
    a.memory[i] = writes ? static_cast<char>(o.pattern + i * 7 + i / 256) : '#';
  const std::uint64_t offset = o.at_position ? at_position : o.offset;
  a.parts[0] = {a.memory, o.length / 3};
  a.parts[1] = {a.memory + o.length / 3, o.length - o.length / 3};

  const bool direct = is_direct(o.place);
  const int fd = direct ? static_cast<int>(o.place - direct_from) : open_[o.place];
  const auto on_file = [&](abi::sqe e) { return direct ? on_slot(e, fd) : e; };
  switch (o.opcode) {
    case abi::op_read:
      return on_file(read(fd, a.memory, o.length, offset));
    case abi::op_write:
      return on_file(write(fd, a.memory, o.length, offset));
    case abi::op_readv:
      return on_file(readv(fd, a.parts, 2, offset));
    case abi::op_writev:
      return on_file(writev(fd, a.parts, 2, offset));
    case abi::op_read_fixed:
      return on_file(read_fixed(fd, a.memory, o.length, offset, 0));
    case abi::op_write_fixed:
      return on_file(write_fixed(fd, a.memory, o.length, offset, 0));
    case abi::op_fsync:
      return on_file(fsync(fd, o.flags));
    case abi::op_fallocate:
      return on_file(fallocate(fd, o.flags, o.offset, o.length));
    case abi::op_ftruncate:
      return on_file(ftruncate(fd, o.offset));
    case abi::op_openat: {
      abi::sqe e = openat(a.path.c_str(), static_cast<int>(o.flags));
      if (direct) e.file_index = static_cast<std::uint32_t>(fd) + 1;
      return e;
    }
    case abi::op_close:
      return direct ? close_slot(static_cast<unsigned>(fd)) : close(fd);
    case abi::op_statx:
      std::memset(&a.status, 0, sizeof a.status);
      if (o.by_place) return statx("", &a.status, AT_EMPTY_PATH, 0x7ff, fd);
      return statx(a.path.c_str(), &a.status, static_cast<int>(o.flags));
    case abi::op_renameat:
      return renameat(a.path.c_str(), a.other_path.c_str(), o.flags);
    case abi::op_linkat:
      return linkat(a.path.c_str(), a.other_path.c_str(), o.flags);
    case abi::op_symlinkat:
      a.path = o.path;  // as it stands, relative to where the link is
      return symlinkat(a.path.c_str(), a.other_path.c_str());
    case abi::op_unlinkat:
      return unlinkat(a.path.c_str(), o.flags);
    case abi::op_mkdirat:
      return mkdirat(a.path.c_str());
    default:
      return nop();
  }
}

void runner::settle(const operation& o, std::int32_t result) {
  if (is_direct(o.place)) return;
  if (o.opcode == abi::op_openat && result >= 0) {
    const int before = std::exchange(open_[o.place], result);
    if (before != never_open) io_.close(before);
  }
  if (o.opcode == abi::op_close) open_[o.place] = never_open;
}

std::string runner::seen(const operation& o, const attempt& a, std::int32_t result) {
  switch (o.opcode) {
    case abi::op_openat:
      return result >= 0 ? "opened" : describe_result(result);
    case abi::op_read:
    case abi::op_readv:
    case abi::op_read_fixed: {
      std::string text = describe_result(result);
      if (result <= 0) return text;
      return text + ", hash " + std::to_string(hash(a.memory, static_cast<std::size_t>(result)));
    }
    case abi::op_statx:
      return result == 0 ? describe_file(a.status) : describe_result(result);
    default:
      return describe_result(result);
  }
}

void runner::run_step(const step& s, std::vector<std::string>& answers) {
  if (s.how == step::shape::waits) {
    for (const operation& o : s.operations) answers.push_back(waits_.run(o));
    return;
  }
  std::vector<attempt> attempts(s.operations.size());
  std::vector<abi::sqe> entries;
  for (std::size_t i = 0; i < s.operations.size(); ++i) {
    attempts[i].memory = fixed_ + i * most_bytes;
    abi::sqe e = entry_of(s.operations[i], attempts[i]);
    if (s.how == step::shape::chain && i + 1 < s.operations.size())
      e = s.operations[i].hard_linked ? hardlinked(e) : linked(e);
    entries.push_back(e);
  }
  const std::vector<std::int32_t> results = io_.run_all(entries);
  for (std::size_t i = 0; i < results.size(); ++i) {
    answers.push_back(seen(s.operations[i], attempts[i], results[i]));
    settle(s.operations[i], results[i]);
  }
}

void runner::walk(const std::string& path, const std::string& shown, unsigned depth,
                  std::vector<std::string>& tree) {
  for (const char name : names) {
    const std::string below = path + "/" + name;
    const std::string shown_below = shown + "/" + name;
    struct statx s {};
    const int result = io_.stat(below, s, AT_SYMLINK_NOFOLLOW);
    if (result == -ENOENT) continue;
    if (result != 0) {
      tree.push_back(shown_below + ": " + describe_result(result));
      continue;
    }
    std::string line = shown_below + ": " + describe_file(s);
    if (S_ISREG(s.stx_mode)) {
      const std::string content = io_.content(below);
      line += ", hash " + std::to_string(hash(content.data(), content.size()));
    }
    tree.push_back(line);
    if (S_ISDIR(s.stx_mode) && depth < deepest) walk(below, shown_below, depth + 1, tree);
  }
}

void runner::remove(const std::string& path, unsigned depth) {
  for (const char name : names) {
    const std::string below = path + "/" + name;
    if (io_.unlink(below) != -EISDIR) continue;
    if (depth < deepest) remove(below, depth + 1);
    io_.unlink(below, 0x200);
  }
}

void runner::close_all() {
  for (int& fd : open_) {
    if (fd != never_open) io_.close(std::exchange(fd, never_open));
  }
  for (unsigned slot = 0; slot < places - direct_from; ++slot) io_.run(close_slot(slot));
}

outcome runner::run(const program& p) {
  directory_ = root_ + "/run" + std::to_string(runs_++);
  EXPECT_EQ(io_.mkdir(directory_), 0);
  outcome o;
  for (const step& s : p) run_step(s, o.answers);
  o.tree.push_back("pipes: " + waits_.end());
  close_all();
  walk(directory_, "", 1, o.tree);
  remove(directory_, 1);
  EXPECT_EQ(io_.unlink(directory_, 0x200), 0) << "a file has a name that is not known";
  io_.forget_order();
  return o;
}

program generate_for(std::uint64_t seed, unsigned steps, const runner& a, const runner& b) {
  program p = generate(seed, steps);
  for (step& s : p) {
    for (operation& o : s.operations) {
      if (!a.supports(o.opcode) || !b.supports(o.opcode)) o.opcode = abi::op_nop;
    }
  }
  return p;
}

std::optional<difference> compare(const outcome& expected, const outcome& got) {
  for (std::size_t i = 0; i < expected.answers.size(); ++i) {
    if (expected.answers[i] != got.answers[i])
      return difference{i, expected.answers[i], got.answers[i]};
  }
  const std::size_t lines = std::max(expected.tree.size(), got.tree.size());
  for (std::size_t i = 0; i < lines; ++i) {
    const std::string e = i < expected.tree.size() ? expected.tree[i] : "nothing more";
    const std::string g = i < got.tree.size() ? got.tree[i] : "nothing more";
    if (e != g) return difference{expected.answers.size(), e, g};
  }
  return std::nullopt;
}

program shrink(program p, runner& reference, runner& other) {
  const auto differ = [&](const program& candidate) {
    return compare(reference.run(candidate), other.run(candidate)).has_value();
  };
  // Ever smaller runs of steps, then single operations; again while that helps.
  for (bool smaller = true; smaller;) {
    smaller = false;
    for (std::size_t chunk = std::max<std::size_t>(p.size() / 2, 1); chunk != 0; chunk /= 2) {
      for (std::size_t at = 0; at < p.size();) {
        program candidate = p;
        const auto from = candidate.begin() + static_cast<std::ptrdiff_t>(at);
        const std::size_t count = std::min(chunk, p.size() - at);
        candidate.erase(from, from + static_cast<std::ptrdiff_t>(count));
        if (differ(candidate)) {
          p = std::move(candidate);
          smaller = true;
        } else {
          at += chunk;
        }
      }
    }
    for (std::size_t i = 0; i < p.size(); ++i) {
      for (std::size_t k = 0; p[i].operations.size() > 1 && k < p[i].operations.size();) {
        program candidate = p;
        auto& operations = candidate[i].operations;
        operations.erase(operations.begin() + static_cast<std::ptrdiff_t>(k));
        if (differ(candidate)) {
          p = std::move(candidate);
          smaller = true;
        } else {
          ++k;
        }
      }
    }
  }
  return p;
}

std::string report(std::uint64_t seed, const program& p, const difference& first, runner& reference,
                   runner& other) {
  const program small = shrink(p, reference, other);
  const std::optional<difference> now = compare(reference.run(small), other.run(small));
  std::ostringstream out;
  out << "seed " << seed << ", operation " << first.operation << ": expected " << first.expected
      << ", got " << first.got << "\nthe smallest program that shows it";
  if (!now) {
    out << " did not show it again:\n" << describe(small);
    return out.str();
  }
  out << " (operation " << now->operation << ": expected " << now->expected << ", got " << now->got
      << "):\n"
      << describe(small);
  return out.str();
}

}  // namespace parkring::conformance::fuzz
