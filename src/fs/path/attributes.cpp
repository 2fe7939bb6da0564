#include <parkring/fs/attributes.hpp>

#include <cerrno>

#include "fs/path/job_subject.hpp"

namespace parkring::fs {
namespace {

timespec timespec_of(const std::optional<file_time>& t) noexcept {
  if (!t) return {.tv_sec = 0, .tv_nsec = UTIME_OMIT};
  const auto whole = std::chrono::floor<std::chrono::seconds>(*t);
  return {.tv_sec = static_cast<time_t>(whole.time_since_epoch().count()),
          .tv_nsec = static_cast<long>((*t - whole).count())};
}

std::string advice_of(int number, const job_subject& s) {
  if (number == EOPNOTSUPP && s.how == links::no_follow)
    return "a symbolic link has no permissions of its own";
  if (number == EPERM) return "this is for the file's owner, or root";
  return {};
}

template <class Fn>
task<> change(job_subject s, const char* operation, Fn fn) {
  const int answer = co_await in_a_job(s, operation, fn);
  if (answer < 0) throw io_error(subject_error(-answer, operation, s, advice_of(-answer, s)));
}

task<> change_mode(job_subject s, std::uint32_t permissions) {
  return change(std::move(s), "set_permissions",
                [permissions](kernel::file_calls& calls, const job_target& on) {
                  return calls.change_mode(on.at(), on.path.c_str(), permissions, on.flags());
                });
}

task<> change_owner(job_subject s, owner who) {
  return change(std::move(s), "set_owner", [who](kernel::file_calls& calls, const job_target& on) {
    constexpr std::uint32_t as_it_is = ~std::uint32_t{0};
    return calls.change_owner(on.at(), on.path.c_str(), who.user.value_or(as_it_is),
                              who.group.value_or(as_it_is), on.flags());
  });
}

task<> change_times(job_subject s, const char* operation, timespec accessed, timespec modified) {
  return change(std::move(s), operation,
                [accessed, modified](kernel::file_calls& calls, const job_target& on) {
                  const timespec both[2] = {accessed, modified};
                  return calls.set_times(on.at(), on.path.c_str(), both, on.flags());
                });
}

constexpr timespec now{.tv_sec = 0, .tv_nsec = UTIME_NOW};

task<space_info> ask_space(job_subject s) {
  struct answer {
    int number = 0;
    kernel::file_system_facts facts{};
  };
  auto ask = [](kernel::file_calls& calls, const job_target& on) {
    answer a;
    a.number = calls.inspect_file_system(on.at(), on.path.c_str(), a.facts);
    return a;
  };
  const answer a = co_await in_a_job(s, "space", ask);
  if (a.number < 0) throw io_error(subject_error(-a.number, "space", s));
  const auto& f = a.facts;
  co_return space_info{.capacity = f.blocks * f.block_size,
                       .free = f.blocks_free * f.block_size,
                       .available = f.blocks_available * f.block_size,
                       .files = f.files,
                       .files_free = f.files_free,
                       .block_size = f.block_size,
                       .longest_name = f.longest_name,
                       .read_only = f.read_only};
}

}  // namespace

task<> set_permissions(std::filesystem::path path, std::uint32_t permissions, links how) {
  return change_mode({std::move(path), how}, permissions);
}
task<> set_permissions(const file& f, std::uint32_t permissions) {
  return change_mode(job_subject(f), permissions);
}

task<> set_owner(std::filesystem::path path, owner who, links how) {
  return change_owner({std::move(path), how}, who);
}
task<> set_owner(const file& f, owner who) { return change_owner(job_subject(f), who); }

task<> set_times(std::filesystem::path path, file_times times, links how) {
  return change_times({std::move(path), how}, "set_times", timespec_of(times.accessed),
                      timespec_of(times.modified));
}
task<> set_times(const file& f, file_times times) {
  return change_times(job_subject(f), "set_times", timespec_of(times.accessed),
                      timespec_of(times.modified));
}
task<> touch(std::filesystem::path path, links how) {
  return change_times({std::move(path), how}, "touch", now, now);
}
task<> touch(const file& f) { return change_times(job_subject(f), "touch", now, now); }

task<space_info> space(std::filesystem::path path) {
  return ask_space({std::move(path), links::follow});
}
task<space_info> space(const file& f) { return ask_space(job_subject(f)); }

task<> create_fifo(std::filesystem::path path, std::uint32_t mode) {
  return change(job_subject(std::move(path), links::follow), "create_fifo",
                [mode](kernel::file_calls& calls, const job_target& on) {
                  return calls.make_fifo(on.at(), on.path.c_str(), mode);
                });
}

}  // namespace parkring::fs
