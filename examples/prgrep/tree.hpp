// The files of trees, found by the threads that search them.
//
// Work is a stack of two kinds of items: directories to list, and batches of files to search. A
// thread takes the topmost, so what is found last is done first, and few directories are open at
// once. Who lists a directory puts its subdirectories and files back as items. Names are resolved
// below an open directory, so each costs one step of the kernel however deep it lies.
//
//   at work    items on the stack, and threads that have taken one and may put others
//   over       nothing is on the stack and nobody is at work; or it was stopped
//
// All of it is under one lock, which is taken once for a batch.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace prgrep {

/// An open directory. It closes with the last item that names it.
class directory {
 public:
  directory(int fd, std::string path);
  directory(const directory&) = delete;
  directory& operator=(const directory&) = delete;
  ~directory();

  [[nodiscard]] int fd() const noexcept { return fd_; }
  /// As it is printed: empty, or with a slash at its end.
  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  /// Whether a short read on its file system is the end of the file.
  [[nodiscard]] bool short_is_end() const noexcept { return short_is_end_; }

 private:
  int fd_;
  std::string path_;
  bool short_is_end_;
};

/// What a thread takes: one directory to list, or files to search.
struct work_item {
  std::shared_ptr<directory> below;  // names are relative to it; null: to the working directory
  std::vector<std::string> names;
  bool is_directory = false;
  bool given = false;  // on the command line: links are followed
};

/// Told of what could not be read: its path, and an errno.
using complaint = std::function<void(const std::string& path, int number)>;

class tree_walk {
 public:
  struct options {
    bool hidden = true;           // also names that begin with a dot
    std::size_t batch_size = 64;  // files of an item, at most
  };
  explicit tree_walk(const options& o) : options_(o) {}

  /// Adds a file or directory as the user named it. Before any thread takes.
  void add(std::string path, bool is_directory);

  /// Takes an item, waiting for one while others may find some. False when it is over. What was
  /// taken before is done with the next call, or with `done`.
  bool take(work_item& item, bool has_one);
  void done();
  /// Lists a directory that was taken.
  void list(const work_item& item, const complaint& complain);
  /// Lets all threads end.
  void stop();

 private:
  const options options_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<work_item> stack_;
  std::size_t at_work_ = 0;
  bool stopped_ = false;
};

}  // namespace prgrep
