#include "output.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

namespace prgrep {

output::output(int fd, options how) : fd_(fd), how_(std::move(how)) {
  struct stat s {};
  if (::fstat(fd, &s) != 0 || !S_ISREG(s.st_mode)) return;
  inode_ = s.st_ino;
  device_ = s.st_dev;
}

void output::turn::add(std::string& text) {
  if (text.empty()) return;
  if (!lock_.owns_lock()) lock_.lock();
  if (!std::exchange(began_, true) && of_.separate_) of_.kept_ += of_.how_.separator;
  of_.kept_ += text;
  text.clear();
  if (of_.how_.at_once || of_.kept_.size() >= most_kept) of_.write_kept();
}

void output::turn::end(bool selected) {
  if (!selected || of_.how_.separator.empty()) return;
  if (!lock_.owns_lock()) lock_.lock();
  of_.separate_ = true;
}

void output::flush() {
  const std::lock_guard lock(mutex_);
  write_kept();
}

void output::write_kept() {
  const std::string text = std::exchange(kept_, {});
  for (std::size_t done = 0; done < text.size();) {
    const ssize_t n = ::write(fd_, text.data() + done, text.size() - done);
    if (n >= 0)
      done += static_cast<std::size_t>(n);
    else if (errno != EINTR)
      throw std::system_error(errno, std::generic_category(), "write error");
  }
}

}  // namespace prgrep
