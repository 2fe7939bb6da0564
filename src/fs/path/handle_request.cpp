#include "fs/path/handle_request.hpp"

#include <fcntl.h>

#include <cerrno>
#include <utility>

#include "fs/path/path_error.hpp"

namespace parkring::detail {

bool handle_request::ready(op_waiter& w) noexcept {
  const int refused = fs::refusal(at.get(), names.get());
  if (refused != 0) w.answer = -refused;
  return refused != 0;
}

void handle_request::start(op_waiter& w) noexcept {
  kernel::abi::open_how how{};
  how.flags = static_cast<std::uint64_t>(O_PATH | O_CLOEXEC | flags);
  how.resolve = kernel::abi::resolve_beneath;
  start_open_at(w, at, names, how, true);
}

std::expected<fs::file, error> handle_request::value(op_waiter& w) const {
  base::owned_fd fd(static_cast<open_waiter&>(w).opened.release());
  return adopt_handle(std::move(fd), (state_of(*at.get()).path / names->first).native());
}

error handle_request::failure(int number) const {
  if (std::string advice = beneath_advice(number); !advice.empty())
    return {number, "open", fs::shown_at(at.get(), names.get()), std::move(advice)};
  return fs::path_error(number, "open", at.get(), *names);
}

std::string beneath_advice(int number) {
  switch (number) {
    case EXDEV:
      return "the name leads out of the directory, and must not";
    case EAGAIN:
      return "something was renamed meanwhile, so that it could not be told where the name leads; "
             "try again";
    case ENOSYS:
    case EPERM:
      return "openat2(2) is forbidden here; without it a name cannot be kept within a directory";
    default:
      return "";
  }
}

}  // namespace parkring::detail
