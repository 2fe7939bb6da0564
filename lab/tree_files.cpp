#include "tree_files.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <random>
#include <string>
#include <vector>

namespace lab {
namespace {

namespace fs = std::filesystem;

constexpr unsigned top = 40, below_each = 50, in_each = 25;
static_assert(top * below_each * in_each == tree_files::files);
static_assert(top + top * below_each + tree_files::files == tree_files::entries);

fs::path lab_folder() {
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache != nullptr && *cache == '/')
    return fs::path(cache) / "parkring";
  if (const char* home = std::getenv("HOME"); home != nullptr && *home == '/')
    return fs::path(home) / ".cache" / "parkring";
  return fs::read_symlink("/proc/self/exe").parent_path();
}

// Mostly small, as the files of programs and their sources are; one in five hundred is large.
std::uint64_t size_of_file(std::mt19937_64& random) {
  const auto between = [&](unsigned from, unsigned to) {
    const std::uint64_t least = std::uint64_t{1} << from;
    return least + random() % ((std::uint64_t{1} << to) - least);
  };
  const std::uint64_t kind = random() % 1000;
  if (kind < 20) return 0;
  if (kind < 850) return between(6, 12);
  if (kind < 998) return between(12, 15);
  return between(17, 20);
}

void make(const fs::path& root) {
  std::mt19937_64 random(1);
  std::vector<char> bytes(1U << 20);
  for (char& b : bytes) b = static_cast<char>(random());
  for (unsigned a = 0; a < top; ++a) {
    for (unsigned b = 0; b < below_each; ++b) {
      const fs::path folder =
          root / ("folder-" + std::to_string(a)) / ("part-" + std::to_string(b));
      fs::create_directories(folder);
      for (unsigned c = 0; c < in_each; ++c) {
        std::ofstream out(folder / ("file-" + std::to_string(c) + ".data"), std::ios::binary);
        out.write(bytes.data(), static_cast<std::streamsize>(size_of_file(random)));
        if (!out.flush()) throw file_error("write", folder, errno, "free some space");
      }
    }
  }
}

}  // namespace

tree_files::tree_files(const say& report) : root_(lab_folder() / "lab-tree") {
  fs::remove_all(root_.parent_path() / "lab-copies");
  if (fs::exists(root_)) return;
  report("making a tree of " + std::to_string(files) + " files in " + root_.native());
  // Under another name, so that a half-made tree is never used.
  const fs::path unfinished = root_.native() + ".part";
  fs::remove_all(unfinished);
  make(unfinished);
  fs::rename(unfinished, root_);
  ::sync();
}

tree_files::~tree_files() {
  std::error_code ignored;
  fs::remove_all(root_.parent_path() / "lab-copies", ignored);
}

void tree_files::warm_up() const {
  std::vector<char> bytes(1U << 20);
  for (const auto& e : fs::recursive_directory_iterator(root_)) {
    if (!e.is_regular_file()) continue;
    std::ifstream in(e.path(), std::ios::binary);
    in.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }
}

fs::path place_for_copy(const fs::path& root) {
  const fs::path folder = root.parent_path() / "lab-copies";
  fs::create_directories(folder);
  for (unsigned n = 0;; ++n) {
    fs::path p = folder / std::to_string(n);
    if (!fs::exists(p)) return p;
  }
}

std::string drop_all_caches() {
  ::sync();
  const int fd = ::open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);
  if (fd < 0) return std::strerror(errno);
  const bool done = ::write(fd, "3", 1) == 1;
  const int error = errno;
  ::close(fd);
  return done ? std::string() : std::string(std::strerror(error));
}

}  // namespace lab
