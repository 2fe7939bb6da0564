// Something that a layer above `exec` keeps once per runtime, such as the table of registered
// files. `exec` owns it without knowing what it is.
#pragma once

namespace parkring::exec {

class service {
 public:
  service() = default;
  service(const service&) = delete;
  service& operator=(const service&) = delete;
  virtual ~service() = default;
};

}  // namespace parkring::exec
