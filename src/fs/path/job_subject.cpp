#include "fs/path/job_subject.hpp"

#include <cerrno>

#include "fs/path/path_error.hpp"
#include "fs/rw_error.hpp"

namespace parkring::fs {

error subject_error(int number, const char* operation, const job_subject& s, std::string advice) {
  error e = s.file.get() != nullptr ? file_error(number, operation, detail::state_of(*s.file.get()))
                                    : path_error(number, operation, nullptr, {s.path.native(), {}});
  if (advice.empty()) return e;
  return {number, e.operation(), e.subject(), std::move(advice)};
}

job_target target_of(const job_subject& s, const char* operation) {
  const detail::path_names names{s.path.native(), {}};
  const bool by_path = s.file.get() == nullptr;
  int refused = refusal(s.file.get(), by_path ? &names : nullptr);
  if (refused == 0 && by_path && s.path.empty()) refused = ENOENT;
  if (refused != 0) throw io_error(subject_error(refused, operation, s));
  job_target t{s.path.native(), s.how == links::follow};
  if (by_path) return t;
  t.path.clear();
  t.fd = kept_open(detail::state_of(*s.file.get()));
  if (!t.fd) throw io_error(subject_error(errno, operation, s));
  return t;
}

}  // namespace parkring::fs
