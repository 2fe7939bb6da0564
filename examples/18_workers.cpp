// Counts the lines of files on all cores: a runtime of several workers, each with a ring of its
// own, and one task for each file, which any of them may run.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include <parkring/parkring.hpp>

namespace pr = parkring;
using path = std::filesystem::path;

struct counted {
  std::string name;
  long lines = 0;
  unsigned worker = 0;
};

// It has all that it needs by value: whoever started it may be gone, and runs beside it.
pr::task<counted> count_lines(path file) {
  const std::string text = co_await pr::fs::read_file(file);
  counted result{file.filename().native(), 0, pr::this_task::worker()};
  for (std::size_t at = 0; at < text.size(); at += 64 * 1024) {
    result.lines += std::ranges::count(std::string_view(text).substr(at, 64 * 1024), '\n');
    co_await pr::yield_anywhere();  // between two pieces of work it may move to an idle worker
  }
  co_return result;
}

pr::task<long> count_all(std::vector<path> files) {
  std::vector<pr::remote_handle<counted>> tasks;
  for (const path& file : files) tasks.push_back(pr::spawn_anywhere(count_lines, file));
  long sum = 0;
  for (auto& task : tasks) {  // dropping the others, when one has failed, aborts them
    const counted one = co_await task;
    std::cerr << one.name << " by worker " << one.worker << '\n';
    sum += one.lines;
  }
  co_return sum;
}

int main() try {
  const path dir = std::filesystem::temp_directory_path() / "parkring-workers";
  std::filesystem::create_directories(dir);
  std::vector<path> files;
  for (int i = 0; i < 8; ++i) {
    files.push_back(dir / ("file-" + std::to_string(i)));
    std::ofstream out(files.back());
    for (int line = 0; line < 1'000 * (i + 1); ++line) out << "line " << line << '\n';
  }
  pr::runtime rt({.workers = 2});
  const long lines = rt.run(count_all(files));
  std::filesystem::remove_all(dir);
  std::cout << lines << " lines\n";
  return lines == 36'000 ? 0 : 1;
} catch (const std::exception& e) {
  std::cerr << e.what() << '\n';
  return 1;
}
