// A stop that is asked for outside reaches a scope through the runtime's home.
//
// The callback may run on any thread, once at most; its message exists from the beginning, and
// has a reference on the scope. The awaiter ends the callback, which waits for one that runs. From
// then on it is decided: a message that was posted ends itself when it is run, else the awaiter
// ends it.
#include <parkring/stop.hpp>

#include <optional>
#include <stop_token>

#include "exec/core.hpp"

namespace parkring {

std::stop_token this_task::stop_token() {
  detail::task_cell* const cell = detail::surrounding_task();
  PARKRING_CHECK(cell != nullptr, "ask for it inside a task");
  detail::task_context& own = detail::own_context(*cell);
  if (!own.source.stop_possible()) {
    own.source = std::stop_source();
    if (own.stop_requested) own.source.request_stop();
  }
  return own.source.get_token();
}

bool this_task::stop_requested() {
  detail::task_cell* const cell = detail::surrounding_task();
  return cell != nullptr && detail::own_context(*cell).stop_requested;
}

namespace detail {

class outer_stop final : message {
 public:
  outer_stop(task_context& scope, std::stop_token token)
      : scope_(scope), home_of_(scope.core.home_of) {
    run = [](message& m) noexcept {
      auto& self = static_cast<outer_stop&>(m);
      stop_round round;
      round.add(*self.scope_);
      round.tell();
      self.run_ = true;
      if (self.left_) delete &self;
    };
    callback_.emplace(std::move(token), asked{*this});
  }

  // By the awaiter, on the runtime's thread.
  void leave() noexcept {
    callback_.reset();
    left_ = true;
    if (!posted_ || run_) delete this;
  }

 private:
  struct asked {
    outer_stop& self;
    void operator()() const noexcept { self.posted_ = self.home_of_.post(self); }
  };
  context_ref scope_;
  home_ref home_of_;
  bool posted_ = false;  // by the callback; read when that is gone
  bool run_ = false;     // the message was
  bool left_ = false;    // the awaiter
  std::optional<std::stop_callback<asked>> callback_;
};

void outer_stop_end::operator()(outer_stop* s) const noexcept { s->leave(); }

outer_stop_owner listen(task_context& scope, std::stop_token token) {
  if (token.stop_requested()) {  // at once, before anything runs in it
    stop_round round;
    round.add(scope);
    round.tell();
    return nullptr;
  }
  return outer_stop_owner(new outer_stop(scope, std::move(token)));
}

}  // namespace detail
}  // namespace parkring
