// What makes requests on a file from outside its class.
#pragma once

#include <parkring/fs/directory.hpp>
#include <parkring/fs/file.hpp>

#include "fs/file_state.hpp"

namespace parkring::detail {

struct file_access {
  /// A reference for a request; checks that the file may be used here.
  [[nodiscard]] static file_ref ref(const fs::file& f) {
    f.check_usable();
    return file_ref(*f.state_);
  }
  [[nodiscard]] static file_ref ref(const fs::directory& d) { return ref(d.handle_); }
  /// The handle of a new file, which has its one reference.
  [[nodiscard]] static fs::file adopt(std::unique_ptr<file_state> state) noexcept {
    return fs::file(*state.release());
  }
  /// Null of an empty one.
  [[nodiscard]] static file_state_base* state(const fs::file& f) noexcept { return f.state_; }
};

}  // namespace parkring::detail
