#include <parkring/fs/extended_attributes.hpp>

#include <sys/xattr.h>

#include <cerrno>
#include <span>

#include "fs/path/job_subject.hpp"
#include "fs/path/path_error.hpp"

namespace parkring::fs {
namespace {

struct text_answer {
  std::int64_t number = 0;
  std::string text;
};

// `read(span)` tells the size when the span is empty. What grows in between is asked for again.
template <class Read>
text_answer read_whole(Read read) {
  for (;;) {
    text_answer a;
    a.number = read(std::span<char>());
    if (a.number <= 0) return a;
    a.text.resize(static_cast<std::size_t>(a.number));
    a.number = read(std::span<char>(a.text));
    if (a.number == -ERANGE) continue;
    a.text.resize(a.number < 0 ? 0 : static_cast<std::size_t>(a.number));
    return a;
  }
}

[[noreturn]] void fail(std::int64_t answer, const char* operation, const job_subject& s,
                       const std::string& name) {
  const int number = static_cast<int>(-answer);
  std::string advice;
  switch (number) {
    case EOPNOTSUPP:
      advice =
          "the file system has no such attributes, or none by such a name: those of programs "
          "begin with \"user.\"";
      break;
    case EPERM:
      advice =
          "attributes that begin with \"user.\" are for regular files and directories, others "
          "for root";
      break;
    case EEXIST:
      advice = "the file has this attribute; set it with attribute_mode::set";
      break;
    case ENODATA:
      advice = "the file has no such attribute; set it with attribute_mode::set";
      break;
    case ERANGE:
      advice = "the name of an attribute has between 1 and 255 bytes";
      break;
    case E2BIG:
    case ENOSPC:
      advice = "the value is larger than there is room for beside the file";
      break;
    case EINVAL:
      if (name.find('\0') != std::string::npos) advice = "the name contains a NUL character";
      break;
    default:
      break;
  }
  error e = subject_error(number, operation, s, std::move(advice));
  if (!name.empty()) e = error(number, e.operation(), e.subject() + ", " + shown(name), e.advice());
  throw io_error(std::move(e));
}

void check_name(const char* operation, const job_subject& s, const std::string& name) {
  if (name.find('\0') != std::string::npos) fail(-EINVAL, operation, s, name);
}

task<std::optional<std::string>> get(job_subject s, std::string name) {
  check_name("get_attribute", s, name);
  auto read = [name](kernel::file_calls& calls, const job_target& on) {
    return read_whole([&](std::span<char> to) {
      return calls.get_attribute(on.place(), name.c_str(), std::as_writable_bytes(to));
    });
  };
  text_answer a = co_await in_a_job(s, "get_attribute", std::move(read));
  if (a.number == -ENODATA) co_return std::nullopt;
  if (a.number < 0) fail(a.number, "get_attribute", s, name);
  co_return std::move(a.text);
}

task<> set(job_subject s, std::string name, std::string value, attribute_mode mode) {
  check_name("set_attribute", s, name);
  const int flags = mode == attribute_mode::must_be_new  ? XATTR_CREATE
                    : mode == attribute_mode::must_exist ? XATTR_REPLACE
                                                         : 0;
  auto write = [name, value = std::move(value), flags](kernel::file_calls& calls,
                                                       const job_target& on) {
    return calls.set_attribute(on.place(), name.c_str(), std::as_bytes(std::span(value)), flags);
  };
  const int answer = co_await in_a_job(s, "set_attribute", std::move(write));
  if (answer < 0) fail(answer, "set_attribute", s, name);
}

task<std::vector<std::string>> list(job_subject s) {
  auto read = [](kernel::file_calls& calls, const job_target& on) {
    return read_whole([&](std::span<char> to) { return calls.list_attributes(on.place(), to); });
  };
  const text_answer a = co_await in_a_job(s, "list_attributes", read);
  if (a.number < 0) fail(a.number, "list_attributes", s, {});
  std::vector<std::string> names;
  for (std::size_t at = 0; at < a.text.size(); at += names.back().size() + 1)
    names.emplace_back(a.text.c_str() + at);  // each ends with a zero
  co_return names;
}

task<bool> remove_one(job_subject s, std::string name) {
  check_name("remove_attribute", s, name);
  auto take = [name](kernel::file_calls& calls, const job_target& on) {
    return calls.remove_attribute(on.place(), name.c_str());
  };
  const int answer = co_await in_a_job(s, "remove_attribute", std::move(take));
  if (answer == -ENODATA) co_return false;
  if (answer < 0) fail(answer, "remove_attribute", s, name);
  co_return true;
}

}  // namespace

task<std::optional<std::string>> get_attribute(std::filesystem::path path, std::string name,
                                               links how) {
  return get({std::move(path), how}, std::move(name));
}
task<std::optional<std::string>> get_attribute(const file& f, std::string name) {
  return get(job_subject(f), std::move(name));
}
task<> set_attribute(std::filesystem::path path, std::string name, std::string value,
                     attribute_mode mode, links how) {
  return set({std::move(path), how}, std::move(name), std::move(value), mode);
}
task<> set_attribute(const file& f, std::string name, std::string value, attribute_mode mode) {
  return set(job_subject(f), std::move(name), std::move(value), mode);
}
task<std::vector<std::string>> list_attributes(std::filesystem::path path, links how) {
  return list({std::move(path), how});
}
task<std::vector<std::string>> list_attributes(const file& f) { return list(job_subject(f)); }
task<bool> remove_attribute(std::filesystem::path path, std::string name, links how) {
  return remove_one({std::move(path), how}, std::move(name));
}
task<bool> remove_attribute(const file& f, std::string name) {
  return remove_one(job_subject(f), std::move(name));
}

}  // namespace parkring::fs
