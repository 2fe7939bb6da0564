// The error of touching memory that a request has.
#pragma once

#include <stdexcept>

namespace parkring {

/// Thrown when the bytes of a buffer are touched, or submitted again, while a request has them.
class buffer_locked : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

}  // namespace parkring
