// Opens what a name leads to, beneath a directory, for nothing but to be named: a handle, with
// which *at calls begin and of which metadata are asked. Needs no permission on the file itself,
// and does nothing to it: a FIFO waits for nobody, a device is not begun.
#pragma once

#include <string>

#include <parkring/detail/file_ref.hpp>
#include <parkring/fs/file.hpp>
#include <parkring/fs/paths.hpp>

#include "base/owned_fd.hpp"
#include "kernel/open_how.hpp"

namespace parkring::detail {

/// Makes the request of an open that starts at `at`; `limited`: by openat2(2), with all of `how`.
void start_open_at(op_waiter& w, const file_ref& at, const shared_names& names,
                   const kernel::abi::open_how& how, bool limited) noexcept;

/// A descriptor as the state of a directory or a handle: nobody reads or writes it.
[[nodiscard]] fs::file adopt_handle(base::owned_fd fd, std::string path);

struct handle_request {
  using value_type = fs::file;
  file_ref at;
  shared_names names;
  int flags;  // beside O_PATH
  void start(op_waiter& w) noexcept;
  bool ready(op_waiter& w) noexcept;
  std::expected<fs::file, error> value(op_waiter& w) const;
  error failure(int number) const;
};

using handle_operation = simple_operation<handle_request, open_waiter>;

/// What errors of the way beneath a directory mean; empty: what they always do.
[[nodiscard]] std::string beneath_advice(int number);

}  // namespace parkring::detail
