// The file that the read rows read: one that the lab makes, or one that the user names.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <stdexcept>
#include <string>

#include "block_table.hpp"

namespace lab {

/// Says which operation on which file failed, why, and what to do about it.
class file_error : public std::runtime_error {
 public:
  file_error(const std::string& operation, const std::filesystem::path& path, int error,
             const std::string& remedy);
  file_error(const std::string& operation, const std::filesystem::path& path,
             const std::string& reason, const std::string& remedy);
};

using say = std::function<void(const std::string&)>;

class data_file {
 public:
  /// The user's file; every block of it is read once to know what contenders must read.
  static data_file existing(const std::filesystem::path& path, const say& report);

  /// The lab's own file of `size` bytes, or less when the disk is nearly full. It is kept from run
  /// to run in the user's cache folder, and made again when its content is not what it must be.
  static data_file own(std::uint64_t size, const say& report);

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  [[nodiscard]] const block_table& table() const noexcept { return table_; }
  /// The part that is read: whole blocks of 256 KiB.
  [[nodiscard]] std::uint64_t size() const noexcept { return table_.units() * unit_bytes; }
  /// Empty when the file can be read past the page cache, or else the reason why not.
  [[nodiscard]] const std::string& why_not_direct() const noexcept { return why_not_direct_; }

 private:
  data_file(std::filesystem::path path, block_table table);

  std::filesystem::path path_;
  block_table table_;
  std::string why_not_direct_;
};

/// Keeps the first `bytes` of a file in the page cache: a locked mapping, or, where the limit for
/// locked memory forbids that, one that is read again before each measurement.
class cached_pages {
 public:
  cached_pages(const std::filesystem::path& path, std::uint64_t bytes);
  cached_pages(const cached_pages&) = delete;
  cached_pages& operator=(const cached_pages&) = delete;
  ~cached_pages();

  [[nodiscard]] bool locked() const noexcept { return locked_; }
  /// Reads what is not there, if anything is missing.
  void refresh() const;
  /// The share of the pages that are in memory now, by mincore.
  [[nodiscard]] double share_present() const;

 private:
  std::byte* base_ = nullptr;
  std::uint64_t bytes_;
  bool locked_ = false;
};

/// Asks the kernel to forget the cached pages of a file, so that direct reads meet none.
void drop_cached_pages(const std::filesystem::path& path);

}  // namespace lab
