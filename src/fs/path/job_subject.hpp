// What a job of the pool is about: a path, or an open file.
//
// A task has a `job_subject`; of a file it is a reference, which belongs to the file's runtime. The
// job gets a `job_target`, all its own: a copy of the path, or a descriptor that it closes itself.
// So a job that nobody waits for any more ends by itself, on whichever thread.
#pragma once

#include <fcntl.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <type_traits>
#include <utility>

#include <parkring/blocking.hpp>
#include <parkring/fs/file.hpp>
#include <parkring/fs/metadata.hpp>
#include <parkring/task.hpp>

#include "fs/calls.hpp"
#include "fs/file_access.hpp"

namespace parkring::fs {

struct job_subject {
  std::filesystem::path path;
  links how = links::follow;
  detail::file_ref file{};  // then `path` is of no use

  job_subject(std::filesystem::path p, links h) : path(std::move(p)), how(h) {}
  explicit job_subject(const fs::file& f) : file(detail::file_access::ref(f)) {}
  explicit job_subject(detail::file_ref f) noexcept : file(std::move(f)) {}
};

struct job_target {
  std::string path;  // empty: the open file
  bool follow = true;
  base::owned_fd fd{};

  [[nodiscard]] int at() const noexcept { return fd ? fd.get() : AT_FDCWD; }
  [[nodiscard]] int flags() const noexcept {
    return fd ? AT_EMPTY_PATH : (follow ? 0 : AT_SYMLINK_NOFOLLOW);
  }
  [[nodiscard]] kernel::attribute_place place() const noexcept {
    if (fd) return {.fd = fd.get()};
    return {.path = path.c_str(), .follow = follow};
  }
};

/// *Errors*: `io_error`: a path that is empty or has a NUL, a file that was closed, no descriptor.
[[nodiscard]] job_target target_of(const job_subject& s, const char* operation);

[[nodiscard]] error subject_error(int number, const char* operation, const job_subject& s,
                                  std::string advice = {});

/// Gives what `fn(calls, target)` gives, on a thread that may block.
template <class Fn>
[[nodiscard]] task<std::invoke_result_t<Fn&, kernel::file_calls&, const job_target&>> in_a_job(
    const job_subject& s, const char* operation, Fn fn) {
  // A name of its own: GCC 12 copies a closure bytewise when it is made inside the await.
  auto job = [&calls = file_calls_here(), on = target_of(s, operation),
              fn = std::move(fn)]() mutable {
    auto answer = fn(calls, std::as_const(on));
    on.fd.reset();  // here, where it may block: some file systems write everything back
    return answer;
  };
  co_return co_await blocking(std::move(job));
}

}  // namespace parkring::fs
