// What went wrong, in words a user can act on.
#pragma once

#include <cstddef>
#include <exception>
#include <expected>
#include <string>
#include <system_error>

namespace parkring {

/// A failed operation: what was tried, on what, why it failed and what to do about it.
class error {
 public:
  /// `code` is an errno; `subject` is what the operation was about, as it appears in parentheses
  /// behind its name: "/data/x, offset 0, 4096 bytes".
  error(int code, std::string operation, std::string subject, std::string advice = {})
      : code_(code),
        operation_(std::move(operation)),
        subject_(std::move(subject)),
        advice_(std::move(advice)) {}

  /// The errno, as a `std::errc` compares with it.
  [[nodiscard]] std::error_code code() const noexcept { return {code_, std::generic_category()}; }
  [[nodiscard]] int number() const noexcept { return code_; }
  [[nodiscard]] const std::string& operation() const noexcept { return operation_; }
  [[nodiscard]] const std::string& subject() const noexcept { return subject_; }
  /// What to do; may be empty.
  [[nodiscard]] const std::string& advice() const noexcept { return advice_; }

  /// Bytes that a composite operation had transferred before it failed.
  [[nodiscard]] std::size_t transferred() const noexcept { return transferred_; }
  void set_transferred(std::size_t bytes) noexcept { transferred_ = bytes; }

  /// "open(/data/x): ENOENT, No such file or directory; check the path".
  [[nodiscard]] std::string message() const;

 private:
  int code_;
  std::string operation_;
  std::string subject_;
  std::string advice_;
  std::size_t transferred_ = 0;
};

/// What a failed operation throws.
class io_error : public std::system_error {
 public:
  explicit io_error(parkring::error e)
      : std::system_error(e.code()), error_(std::move(e)), text_(error_.message()) {}

  [[nodiscard]] const char* what() const noexcept override { return text_.c_str(); }
  [[nodiscard]] const parkring::error& error() const noexcept { return error_; }

 private:
  parkring::error error_;
  std::string text_;
};

/// What `runtime::run` throws when the machine under it has stopped: a simulated power cut. Every
/// request has ended with ECANCELED and nothing will be served any more, so all that is left to do
/// with the runtime is to destroy it. A real machine takes the process with it.
class machine_stopped : public std::exception {
 public:
  [[nodiscard]] const char* what() const noexcept override {
    return "the machine has stopped (a simulated power cut): destroy this runtime, and go on with "
           "a "
           "new one once the machine runs again";
  }
};

template <class T>
using result = std::expected<T, error>;

namespace detail {
/// "ENOENT" for 2; "errno 4095" for a number without a name.
[[nodiscard]] std::string errno_name(int number);
}  // namespace detail

}  // namespace parkring
