// Where the rows that write put their files: where the lab's data file is, in a folder of their own
// that goes with the measurement.
#pragma once

#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <string>

namespace lab {

inline constexpr std::size_t log_record_bytes = 512;
inline constexpr std::size_t log_file_bytes = std::size_t{64} << 20;

class log_folder {
 public:
  log_folder() {
    namespace fs = std::filesystem;
    const char* const cache = std::getenv("XDG_CACHE_HOME");
    const char* const home = std::getenv("HOME");
    path_ = cache != nullptr && *cache == '/' ? fs::path(cache)
            : home != nullptr && *home == '/' ? fs::path(home) / ".cache"
                                              : fs::temp_directory_path();
    path_ /= "parkring/log-" + std::to_string(::getpid());
    fs::remove_all(path_);
    fs::create_directories(path_);
  }
  log_folder(const log_folder&) = delete;
  log_folder& operator=(const log_folder&) = delete;
  ~log_folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace lab
