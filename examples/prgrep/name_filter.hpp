// Which names are searched: --include, --exclude and --exclude-dir.
#pragma once

#include <string>
#include <vector>

namespace prgrep {

class name_filter {
 public:
  void include(std::string glob) { files_.push_back({std::move(glob), true}); }
  void exclude(std::string glob) { files_.push_back({std::move(glob), false}); }
  void exclude_directory(std::string glob);

  /// Whether a file found in a directory is searched, or a directory listed.
  [[nodiscard]] bool takes_file(const std::string& name) const { return takes(name, false); }
  [[nodiscard]] bool takes_directory(const std::string& name) const;
  /// The same of paths as the user gave them, of which any end counts that begins a name.
  [[nodiscard]] bool takes_given_file(const std::string& path) const { return takes(path, true); }
  [[nodiscard]] bool takes_given_directory(const std::string& path) const;

 private:
  struct rule {
    std::string glob;
    bool includes;
  };
  [[nodiscard]] bool takes(const std::string& name, bool given) const;

  std::vector<rule> files_;  // the last that fits decides
  std::vector<std::string> directories_;
};

}  // namespace prgrep
