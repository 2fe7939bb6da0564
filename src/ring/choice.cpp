#include "ring/choice.hpp"

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <system_error>
#include <utility>

#include "ring/ring.hpp"

namespace parkring::ring {
namespace {

struct version {
  int major = 0, minor = 0;
  auto operator<=>(const version&) const = default;
};
// The oldest Linux whose rings are used unasked: the first with all that a ring of ours wants.
constexpr version oldest{6, 1};

// Of "6.1.0-13-amd64"; a release that does not read like that counts as new.
version version_of(std::string_view release) {
  version v;
  const char* const end = release.data() + release.size();
  const auto [dot, error] = std::from_chars(release.data(), end, v.major);
  if (error != std::errc() || dot == end || *dot != '.') return oldest;
  std::from_chars(dot + 1, end, v.minor);
  return v;
}

std::string number_of(version v) { return std::to_string(v.major) + '.' + std::to_string(v.minor); }

choice linux_rings(std::string why, bool if_it_can) {
  return {&kernel::linux_kernel(), std::move(why), if_it_can};
}
choice threads(std::string why) { return {&kernel::threads_kernel(), std::move(why), false}; }

const std::string& release_of_this_machine() {
  static const std::string release = surroundings::read().release;
  return release;
}

}  // namespace

choice choose_kernel(wanted_kernel wanted) {
  // The release does not change while a process runs; the environment may.
  return choose_kernel(wanted, std::getenv("PARKRING_KERNEL"), release_of_this_machine());
}

choice choose_kernel(wanted_kernel wanted, const char* variable, std::string_view release) {
  if (kernel::this_thread_kernel != nullptr)
    return {kernel::this_thread_kernel, "this thread runs in a simulated world", false};
  switch (wanted) {
    case wanted_kernel::linux_rings:
      return linux_rings("runtime_options::kernel asks for io_uring", false);
    case wanted_kernel::threads:
      return threads("runtime_options::kernel asks for threads");
    case wanted_kernel::any:
      break;
  }
  const std::string_view asked = variable != nullptr ? variable : "";
  if (asked == "linux") return linux_rings("PARKRING_KERNEL=linux asks for it", false);
  if (asked == "threads") return threads("PARKRING_KERNEL=threads asks for it");
  if (!asked.empty())
    throw std::system_error(EINVAL, std::generic_category(),
                            "PARKRING_KERNEL is \"" + std::string(asked) +
                                "\": set it to linux (io_uring) or threads, or unset it to let "
                                "the library choose");
  const version here = version_of(release);
  if (here < oldest)
    return threads("io_uring is used from Linux " + number_of(oldest) + " on, and this is " +
                   std::string(release));
  return linux_rings("Linux " + number_of(here) + " offers io_uring", true);
}

std::optional<choice> choice::instead(int error, const surroundings& around) const {
  if (!if_it_can) return std::nullopt;
  switch (error) {
    case EPERM:
    case EACCES:
    case ENOSYS:
    case ENOMEM:
      return threads(explain_setup_error(error, around).reason);
    default:  // out of descriptors, say: the threads would need some too
      return std::nullopt;
  }
}

choice try_kernel(wanted_kernel wanted) {
  choice first = choose_kernel(wanted);
  try {
    ring r(*first.served_by, {.entries = 1});
    if (const int answer = r.bind_to_this_thread(); answer < 0) throw setup_failed(-answer, 1);
  } catch (const setup_failed& failure) {
    auto next = first.instead(failure.code().value(), surroundings::read());
    if (!next) throw;
    return *std::move(next);
  }
  return first;
}

}  // namespace parkring::ring
