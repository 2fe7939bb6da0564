// Runs every interleaving of a few threads on a weak memory, and says which one goes wrong.
//
// Use: make an explorer; make the objects under test with `atomic` for std::atomic and `plain` for
// what the threads share without; give it the threads; `run`. What follows is what it promises.
//
// Threads. A body runs from its start up to its next operation on an atomic, which is answered
// when it is that thread's turn. Then the body runs from its start again with all answers so far,
// and so on. So a body depends on nothing but answers: what it shares is an `atomic` or a `plain`,
// and what it holds needs no destructor. A body in rounds begins anew after each, and knows of the
// ones before what its local value says; the fewer operations in a round, the fewer states.
//
// Memory. That of C++, by views. Each atomic has the list of all values ever stored in it. A thread
// has a view: for each atomic the oldest value that it may still read. A release leaves the view
// beside the value, and an acquire that reads this value takes it over. So a load has as many
// outcomes as there are values from the view's on; a read-modify-write takes the newest, and a
// compare-exchange that fails, too. A seq_cst load reads nothing older than a seq_cst operation
// before it has left or read.
//   * C++ would also allow to read what is stored only later (load buffering), and to store what is
//     older than what is there already: these are left out, and so are fences.
//   * Within a round the same old value is read at most 1 + `again` times, as memory becomes
//     visible in the end.
//   * A weak compare-exchange fails without cause at most `spurious` times in each thread.
//
// `plain`: an access that is not ordered after all writes (a write: after all accesses) by others,
// by releases and acquires, is a race.
//
// Search. Depth first, over all outcomes of all operations of all threads. Two states are the same
// if the threads had the same answers, may still read the same values, and have the same views of
// these; what no thread loads, but only changes, has no part in that. What follows is the same, and
// is looked at once. States are told apart by 64 bits of hash. Where one thread's next operation
// cannot matter to what the others do first, this thread alone goes on:
//   * nobody else uses this atomic;
//   * a load (not seq_cst), and nobody else writes this atomic: it has one outcome, now and later;
//   * a store (likewise): others can read the values before it all the same.
// Who uses what is guessed from what was seen, and when it was wrong the search begins anew.
//
// Found are: a `check` that fails, a race, a dead-lock (somebody waits in `take` for ever who may
// not), a live-lock (more than `depth` operations in a row that lead to new states), and what
// `at_end` checks. That threads go round in the same states for ever is not found.
#pragma once

#include <array>
#include <atomic>
#include <csetjmp>
#include <cstdint>
#include <cstring>
#include <functional>
#include <iosfwd>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "model/state_set.hpp"

namespace parkring::model {

using word = std::uint64_t;
inline constexpr unsigned most_threads = 4;
inline constexpr unsigned most_places = 128;  // of a view

enum class kind : std::uint8_t {
  load,
  store,
  exchange,
  add,
  bit_or,
  bit_and,
  compare_weak,
  compare_strong,
  take,   // waits until it is not 0, leaves 0
  choose  // any number below the operand
};

struct operation {
  kind what{};
  std::uint16_t at = 0;
  std::memory_order order = std::memory_order_seq_cst;
  std::memory_order failure = std::memory_order_seq_cst;
  word operand = 0;
  word expected = 0;
};

struct answer {
  word was = 0;
  bool done = true;  // false: a compare-exchange failed
};

struct limits {
  unsigned spurious = 1;  // failures of weak exchanges without cause, of each thread
  unsigned again = 2;     // times that a round reads the same old value again
  unsigned depth = 300;
  std::uint64_t states = 20'000'000;
  bool plodding = false;  // nothing is left out, nothing is known again; to compare with
};

struct outcome {
  std::string failure;  // what went wrong and how; empty: nothing
  bool complete = false;
  std::uint64_t states = 0;
  std::uint64_t steps = 0;

  [[nodiscard]] bool passed() const { return complete && failure.empty(); }
  [[nodiscard]] bool found(const char* text) const {
    return !failure.empty() && failure.find(text) != std::string::npos;
  }
};
std::ostream& operator<<(std::ostream& out, const outcome& o);

class explorer {
 public:
  explorer();
  ~explorer();
  explorer(const explorer&) = delete;
  explorer& operator=(const explorer&) = delete;

  /// Goes round until `round` returns false. Between rounds it knows `local` and nothing else, so
  /// histories that lead to the same one become one.
  template <class Local>
  void rounds(std::string name, Local local, std::function<bool(Local&)> round) {
    static_assert(std::has_unique_object_representations_v<Local> &&
                  sizeof(Local) <= sizeof(memory));
    memory start{};
    std::memcpy(start.data(), &local, sizeof local);
    add(std::move(name), start, [round = std::move(round)](memory& m) {
      Local now;
      std::memcpy(static_cast<void*>(&now), m.data(), sizeof now);
      const bool more = round(now);
      std::memcpy(m.data(), &now, sizeof now);
      return more;
    });
  }
  void thread(std::string name, std::function<void()> body) {
    add(std::move(name), {}, [body = std::move(body)](memory&) { return body(), false; });
  }
  /// The thread added last may wait in the end.
  void may_wait() { threads_.back().may_wait = true; }
  /// Runs when all threads have ended or wait; sees the newest values.
  void at_end(std::function<void()> checks) { at_end_ = std::move(checks); }
  /// For what is printed: `name(queue, "queue")` makes its places "queue+64".
  template <class T>
  void name(const T& object, std::string text) {
    names_.push_back({&object, sizeof object, std::move(text)});
  }
  [[nodiscard]] outcome run(limits at_most = {});

  // --- For `atomic`, `plain` and `check`, while a body runs or around `run` ---
  static explorer& current();
  [[nodiscard]] std::uint16_t add_atomic(const void* at, word initial, word mask);
  [[nodiscard]] std::uint16_t add_plain(const void* at, word initial);
  [[nodiscard]] answer perform(const operation& o);
  [[nodiscard]] word read(std::uint16_t plain);
  void write(std::uint16_t plain, word value);
  [[noreturn]] void fail(std::string why);

 private:
  static constexpr unsigned most_atomics = 48;
  static constexpr unsigned nobody = ~0U;
  using memory = std::array<word, 4>;
  using view = std::array<std::uint16_t, most_places>;  // atomics first, then plains

  struct message {
    word value;
    bool leaves;  // a release left `left`
    view left;
  };
  struct atomic_place {
    const void* at;
    word mask;
    std::vector<message> messages;
    unsigned users = 0;  // a bit for each thread, as far as is known
    unsigned writers = 0;
    bool guessed = false;  // that there are no others
  };
  struct plain_place {
    const void* at;
    word value;
    unsigned seat;  // its first in a view: of the writes; then one for each thread's reads
  };
  struct plain_access {
    unsigned seat;
    std::uint16_t plain;
    word value;  // before it
  };
  enum class phase : std::uint8_t { runs, asks, ended };
  struct thread_state {
    view seen{};
    operation asked{};
    phase is = phase::runs;
    memory local{};         // at the start of this round
    std::size_t first = 0;  // of its answers in this round
    word history = 0;       // a hash of `local` and those
    unsigned spurious = 0;
    std::array<std::uint8_t, most_atomics> again{};  // how often this round has read this old value
  };
  struct thread_place {
    std::string name;
    std::function<bool(memory&)> round;
    thread_state now;
    std::vector<answer> answers;
    view ignores;  // ~0: as far as is known it does not matter to it how new that is; else 0
    bool may_wait = false;
  };
  struct choice {
    std::uint8_t thread;
    bool done;           // a compare-exchange succeeds
    std::uint16_t from;  // the message that is read, or what is chosen
  };
  struct step {
    std::uint16_t thread;
    bool plain;
    bool waits;
    operation o;
    answer a;
    unsigned from, newest;
  };
  struct saved {
    thread_state thread;
    view sequential;
    std::size_t answers, plains, steps;
    unsigned appended;
  };
  struct range {
    const void* at;
    std::size_t size;
    std::string text;
  };

  void add(std::string name, const memory& local, std::function<bool(memory&)> round);
  answer direct(const operation& o);
  void begin(unsigned thread);
  void run_round();
  void run_checks();
  void explore(unsigned depth);
  [[nodiscard]] bool is_new();
  [[nodiscard]] unsigned one_that_suffices();
  void note_use(unsigned thread, const operation& o);
  void note_look(unsigned thread, unsigned place);
  void quiet();
  void choices_of(unsigned thread, std::vector<choice>& out) const;
  [[nodiscard]] saved save(unsigned thread) const;
  void restore(unsigned thread, const saved& s);
  void apply(const choice& c);
  void append(thread_state& t, const operation& o, word value, bool continues);
  void take_over(thread_state& t, const operation& o, std::memory_order order, unsigned from);
  [[nodiscard]] word hash() const;
  void hash_view(word& h, const view& v, const view& oldest) const;
  [[nodiscard]] bool adds_to(const view& known, const view& v) const;
  void lay_out();

  [[nodiscard]] std::string place(const void* at) const;
  [[nodiscard]] std::string line(const step& s) const;
  [[nodiscard]] std::string trace() const;

  std::vector<atomic_place> atomics_;
  std::vector<plain_place> plains_;
  std::vector<thread_place> threads_;
  std::vector<range> names_;
  std::function<void()> at_end_;
  unsigned places_ = 0;
  view newest_{};      // how often each atomic was changed, each plain written and read
  view sequential_{};  // what seq_cst operations have seen

  unsigned running_ = nobody;
  bool in_run_ = false;
  bool wrong_guess_ = false;
  std::size_t fed_ = 0;
  memory scratch_{};
  std::jmp_buf back_;

  std::vector<plain_access> plain_log_;
  std::vector<step> steps_;
  std::vector<std::vector<choice>> choices_;  // by depth
  state_set seen_;
  limits limits_;
  outcome outcome_;
  std::string failure_;
};

/// Stops here if it does not hold.
inline void check(bool holds, const char* otherwise) {
  if (!holds) explorer::current().fail(otherwise);
}
/// Any number below `n`.
inline unsigned choose(unsigned n) {
  return static_cast<unsigned>(
      explorer::current().perform({.what = kind::choose, .operand = n}).was);
}

template <class T>
word to_word(T value) {
  static_assert(sizeof(T) <= sizeof(word));
  word w = 0;
  std::memcpy(&w, &value, sizeof value);
  return w;
}
template <class T>
T from_word(word w) {
  T value;
  std::memcpy(&value, &w, sizeof value);
  return value;
}

/// Has what the protocols use of std::atomic.
template <class T>
class atomic {
 public:
  atomic() : atomic(T{}) {}
  atomic(T initial)  // NOLINT: as std::atomic
      : at_(explorer::current().add_atomic(this, to_word(initial),
                                           ~word{0} >> (64 - 8 * sizeof(T)))) {}
  atomic(const atomic&) = delete;
  atomic& operator=(const atomic&) = delete;

  T load(std::memory_order o = std::memory_order_seq_cst) const { return ask(kind::load, o, T{}); }
  void store(T v, std::memory_order o = std::memory_order_seq_cst) { ask(kind::store, o, v); }
  T exchange(T v, std::memory_order o = std::memory_order_seq_cst) {
    return ask(kind::exchange, o, v);
  }
  T fetch_add(T v, std::memory_order o = std::memory_order_seq_cst) { return ask(kind::add, o, v); }
  T fetch_sub(T v, std::memory_order o = std::memory_order_seq_cst) {
    return ask(kind::add, o, static_cast<T>(T{0} - v));
  }
  T fetch_or(T v, std::memory_order o = std::memory_order_seq_cst) {
    return ask(kind::bit_or, o, v);
  }
  T fetch_and(T v, std::memory_order o = std::memory_order_seq_cst) {
    return ask(kind::bit_and, o, v);
  }
  bool compare_exchange_weak(T& expected, T v, std::memory_order success,
                             std::memory_order failure) {
    return compare(kind::compare_weak, expected, v, success, failure);
  }
  bool compare_exchange_strong(T& expected, T v, std::memory_order success,
                               std::memory_order failure) {
    return compare(kind::compare_strong, expected, v, success, failure);
  }
  /// Waits until it is not 0, and leaves 0.
  T take() { return ask(kind::take, std::memory_order_acq_rel, T{}); }

 private:
  T ask(kind what, std::memory_order o, T v) const {
    return from_word<T>(
        explorer::current()
            .perform({.what = what, .at = at_, .order = o, .failure = o, .operand = to_word(v)})
            .was);
  }
  bool compare(kind what, T& expected, T v, std::memory_order success, std::memory_order failure) {
    const answer a = explorer::current().perform({.what = what,
                                                  .at = at_,
                                                  .order = success,
                                                  .failure = failure,
                                                  .operand = to_word(v),
                                                  .expected = to_word(expected)});
    if (!a.done) expected = from_word<T>(a.was);
    return a.done;
  }

  std::uint16_t at_;
};

/// What threads share and order by other means.
template <class T>
class plain {
 public:
  plain() : plain(T{}) {}
  plain(T initial)  // NOLINT: as T
      : at_(explorer::current().add_plain(this, to_word(initial))) {}
  plain(const plain&) = delete;

  operator T() const { return from_word<T>(explorer::current().read(at_)); }  // NOLINT: as T
  plain& operator=(T v) {
    explorer::current().write(at_, to_word(v));
    return *this;
  }

 private:
  std::uint16_t at_;
};

}  // namespace parkring::model
