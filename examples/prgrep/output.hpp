// Standard output, shared by the threads that search.
//
// What is printed of one file stays together: a thread keeps what it has of a file for itself, and
// adds all of it at once. Of a file with much to print it takes a turn, which keeps all others out
// until the file's end; so no thread has more than `most_kept` in memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>

namespace prgrep {

class output {
 public:
  struct options {
    std::string separator{};  // in front of each file's text but the first
    bool at_once = false;     // whatever is added is written, not only when there is enough
  };
  static constexpr std::size_t most_kept = std::size_t{256} << 10;

  output(int fd, options how);
  output(const output&) = delete;
  output& operator=(const output&) = delete;

  /// One file's turn to print.
  class turn {
   public:
    explicit turn(output& of) : of_(of), lock_(of.mutex_, std::defer_lock) {}
    /// Takes what is in `text`, and empties it. Throws std::system_error when it cannot be written.
    void add(std::string& text);
    /// Lines of this file were selected, whether they are printed or not: the next is separated.
    void end(bool selected);

   private:
    output& of_;
    std::unique_lock<std::mutex> lock_;
    bool began_ = false;
  };

  /// Writes what is left.
  void flush();
  [[nodiscard]] bool writes_at_once() const noexcept { return how_.at_once; }
  /// Of the file that is written to; 0 if it is none: searched, it might never end.
  [[nodiscard]] std::uint64_t inode() const noexcept { return inode_; }
  [[nodiscard]] std::uint64_t device() const noexcept { return device_; }

 private:
  void write_kept();

  const int fd_;
  const options how_;
  std::uint64_t inode_ = 0, device_ = 0;
  std::mutex mutex_;
  std::string kept_;
  bool separate_ = false;
};

}  // namespace prgrep
