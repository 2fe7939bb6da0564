#include "model/explorer.hpp"

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <utility>

namespace parkring::model {
namespace {

explorer* the_explorer = nullptr;

[[noreturn]] void misused(const char* why) {
  std::cerr << "model: " << why << '\n';
  std::abort();
}

bool acquires(std::memory_order o) {
  return o != std::memory_order_relaxed && o != std::memory_order_release;
}
bool releases(std::memory_order o) {
  return o == std::memory_order_release || o == std::memory_order_acq_rel ||
         o == std::memory_order_seq_cst;
}
bool is_compare(kind k) { return k == kind::compare_weak || k == kind::compare_strong; }

void fold(word& h, word x) {
  h = (h ^ x) * 0x9e3779b97f4a7c15U;
  h ^= h >> 29;
  h *= 0xbf58476d1ce4e5b9U;
  h ^= h >> 32;
}

template <class View>
void join(View& into, const View& other) {
  for (unsigned i = 0; i < into.size(); ++i) into[i] = std::max(into[i], other[i]);
}

word changed(const operation& o, word was, word mask) {
  switch (o.what) {
    case kind::add:
      return (was + o.operand) & mask;
    case kind::bit_or:
      return was | o.operand;
    case kind::bit_and:
      return was & o.operand;
    default:
      return o.operand;
  }
}

}  // namespace

explorer::explorer() {
  if (the_explorer != nullptr) misused("one explorer at a time");
  the_explorer = this;
}
explorer::~explorer() { the_explorer = nullptr; }
explorer& explorer::current() {
  if (the_explorer == nullptr) misused("make an explorer before the atomics");
  return *the_explorer;
}

void explorer::add(std::string name, const memory& local, std::function<bool(memory&)> round) {
  if (threads_.size() == most_threads) misused("too many threads");
  threads_.push_back({std::move(name), std::move(round), {}, {}, {}});
  threads_.back().now.local = local;
  threads_.back().ignores.fill(0xffff);
}
std::uint16_t explorer::add_atomic(const void* at, word initial, word mask) {
  if (in_run_) misused("a body makes no atomics");
  if (atomics_.size() == most_atomics) misused("too many atomics");
  atomics_.push_back({at, mask, {{initial, false, {}}}});
  return static_cast<std::uint16_t>(atomics_.size() - 1);
}
std::uint16_t explorer::add_plain(const void* at, word initial) {
  if (in_run_) misused("a body makes no plain values");
  plains_.push_back({.at = at, .value = initial, .seat = 0});
  return static_cast<std::uint16_t>(plains_.size() - 1);
}

// --- What bodies call ----------------------------------------------------------------------------

// Before and after a run there is one thread, and only the newest value.
answer explorer::direct(const operation& o) {
  if (o.what == kind::choose) return {};
  atomic_place& a = atomics_[o.at];
  const word was = a.messages.back().value;
  if (o.what == kind::load) return {was};
  if (is_compare(o.what) && was != o.expected) return {was, false};
  a.messages.back().value = changed(o, was, a.mask);
  return {was};
}

answer explorer::perform(const operation& o) {
  if (running_ == nobody) return direct(o);
  thread_place& t = threads_[running_];
  if (fed_ < t.answers.size()) return t.answers[fed_++];
  t.now.asked = o;
  t.now.is = phase::asks;
  std::longjmp(back_, 1);
}

word explorer::read(std::uint16_t plain) {
  plain_place& p = plains_[plain];
  if (running_ == nobody) return p.value;
  thread_place& t = threads_[running_];
  if (fed_ < t.answers.size()) return t.answers[fed_++].was;
  if (t.now.seen[p.seat] != newest_[p.seat])
    fail("race: " + t.name + " reads " + place(p.at) + ", which is not ordered after its write");
  for (unsigned i = p.seat; i <= p.seat + most_threads; ++i) note_look(running_, i);
  plain_log_.push_back({p.seat + 1 + running_, plain, p.value});
  t.now.seen[p.seat + 1 + running_] = ++newest_[p.seat + 1 + running_];
  t.answers.push_back({p.value});
  fold(t.now.history, p.value);
  ++fed_;
  steps_.push_back({static_cast<std::uint16_t>(running_),
                    true,
                    false,
                    {.what = kind::load, .at = plain},
                    {p.value},
                    0,
                    0});
  return p.value;
}

void explorer::write(std::uint16_t plain, word value) {
  plain_place& p = plains_[plain];
  if (running_ == nobody) {
    p.value = value;
    return;
  }
  thread_place& t = threads_[running_];
  if (fed_ < t.answers.size()) {
    ++fed_;
    return;
  }
  bool ordered = true;
  for (unsigned i = p.seat; i <= p.seat + most_threads; ++i)
    ordered = ordered && t.now.seen[i] == newest_[i];
  if (!ordered)
    fail("race: " + t.name + " writes " + place(p.at) + ", which is not ordered after its use");
  for (unsigned i = p.seat; i <= p.seat + most_threads; ++i) note_look(running_, i);
  plain_log_.push_back({p.seat, plain, p.value});
  t.now.seen[p.seat] = ++newest_[p.seat];
  p.value = value;
  t.answers.push_back({});
  ++fed_;
  steps_.push_back({static_cast<std::uint16_t>(running_),
                    true,
                    false,
                    {.what = kind::store, .at = plain, .operand = value},
                    {},
                    0,
                    0});
}

void explorer::fail(std::string why) {
  failure_ = std::move(why);
  std::longjmp(back_, 1);
}

// --- Running bodies ------------------------------------------------------------------------------

// No variable of these two functions may live over the jump.
void explorer::run_round() {
  if (setjmp(back_) != 0) return;
  const bool more = threads_[running_].round(scratch_);
  threads_[running_].now.is = more ? phase::runs : phase::ended;
}
void explorer::run_checks() {
  if (setjmp(back_) == 0) at_end_();
}

// Up to its next operation.
void explorer::begin(unsigned thread) {
  running_ = thread;
  thread_place& t = threads_[thread];
  for (;;) {
    fed_ = t.now.first;
    scratch_ = t.now.local;
    t.now.is = phase::runs;
    run_round();
    if (t.now.is != phase::runs || !failure_.empty()) break;
    t.now.first = t.answers.size();
    t.now.local = scratch_;
    t.now.history = 0;
    t.now.again.fill(0);
    for (const word w : scratch_) fold(t.now.history, w);
  }
  running_ = nobody;
}

void explorer::lay_out() {
  places_ = static_cast<unsigned>(atomics_.size());
  for (plain_place& p : plains_) {
    p.seat = places_;
    places_ += 1 + most_threads;
  }
  if (places_ > most_places) misused("too many plain values");
}

outcome explorer::run(limits at_most) {
  limits_ = at_most;
  lay_out();
  in_run_ = true;
  for (unsigned t = 0; t < threads_.size() && failure_.empty(); ++t) begin(t);
  do {
    wrong_guess_ = false;
    seen_.clear();
    outcome_ = {};
    if (failure_.empty()) explore(0);
  } while (wrong_guess_);
  in_run_ = false;
  outcome_.complete = failure_.empty() && outcome_.states < limits_.states;
  if (!failure_.empty()) outcome_.failure = failure_ + '\n' + trace();
  return outcome_;
}

void explorer::explore(unsigned depth) {
  if (choices_.size() <= depth) choices_.resize(depth + 1);
  // By index: a deeper call may move `choices_`.
  choices_[depth].clear();
  const unsigned alone = one_that_suffices();
  for (unsigned t = 0; t < threads_.size(); ++t)
    if (alone == nobody || alone == t) choices_of(t, choices_[depth]);
  if (choices_[depth].empty()) return quiet();
  if (depth == limits_.depth) {
    failure_ = "live-lock: it goes on and on";
    return;
  }
  for (std::size_t i = 0; i < choices_[depth].size(); ++i) {
    const choice c = choices_[depth][i];
    const saved before = save(c.thread);
    ++outcome_.steps;
    apply(c);
    begin(c.thread);
    if (!failure_.empty()) return;  // and keep the trace
    if (!wrong_guess_ && (one_that_suffices() != nobody || is_new())) explore(depth + 1);
    if (!failure_.empty()) return;
    restore(c.thread, before);
    if (wrong_guess_ || outcome_.states >= limits_.states) return;
  }
}

bool explorer::is_new() {
  if (!limits_.plodding && !seen_.insert(hash())) return false;
  ++outcome_.states;
  return true;
}

// --- Which operations need not wait for others ---------------------------------------------------

unsigned explorer::one_that_suffices() {
  if (limits_.plodding) return nobody;
  for (unsigned t = 0; t < threads_.size(); ++t) {
    const thread_state& now = threads_[t].now;
    if (now.is != phase::asks) continue;
    const operation& o = now.asked;
    if (o.what == kind::choose) return t;
    if (o.what == kind::take) continue;
    atomic_place& a = atomics_[o.at];
    const unsigned others = ~(1U << t);
    const bool mine = (a.users & others) == 0;
    const bool written_by_me = (a.writers & others) == 0 && o.order != std::memory_order_seq_cst &&
                               (o.what == kind::load || o.what == kind::store);
    if (!mine && !written_by_me) continue;
    a.guessed = true;
    return t;
  }
  return nobody;
}

void explorer::note_use(unsigned thread, const operation& o) {
  atomic_place& a = atomics_[o.at];
  const unsigned users = a.users | 1U << thread;
  const unsigned writers = a.writers | (o.what == kind::load ? 0 : 1U << thread);
  if (a.guessed && (users != a.users || writers != a.writers)) wrong_guess_ = true;
  a.users = users;
  a.writers = writers;
  if (o.what == kind::load) note_look(thread, o.at);
}
void explorer::note_look(unsigned thread, unsigned place) {
  if (std::exchange(threads_[thread].ignores[place], 0) != 0 && seen_.size() != 0)
    wrong_guess_ = true;
}

// Nobody can go on.
void explorer::quiet() {
  for (const thread_place& t : threads_) {
    if (t.now.is == phase::ended || t.may_wait) continue;
    failure_ = "dead-lock: " + t.name + " waits for " + place(atomics_[t.now.asked.at].at);
    return;
  }
  if (at_end_) run_checks();
}

// --- Memory --------------------------------------------------------------------------------------

void explorer::choices_of(unsigned thread, std::vector<choice>& out) const {
  const thread_state& t = threads_[thread].now;
  if (t.is != phase::asks) return;
  const operation& o = t.asked;
  const auto add = [&](bool done, unsigned from) {
    out.push_back({static_cast<std::uint8_t>(thread), done, static_cast<std::uint16_t>(from)});
  };
  if (o.what == kind::choose) {
    for (unsigned i = 0; i < o.operand; ++i) add(true, i);
    return;
  }
  const atomic_place& a = atomics_[o.at];
  const unsigned newest = newest_[o.at];
  unsigned oldest = t.seen[o.at];
  if (o.order == std::memory_order_seq_cst)
    oldest = std::max<unsigned>(oldest, sequential_[o.at]);
  else if (oldest != newest && t.again[o.at] > limits_.again)
    ++oldest;
  const word last = a.messages[newest].value;
  if (o.what == kind::load) {
    for (unsigned m = newest + 1; m-- > oldest;) add(true, m);
  } else if (is_compare(o.what)) {
    if (last == o.expected) add(true, newest);
    if (last == o.expected && o.what == kind::compare_weak && t.spurious < limits_.spurious)
      add(false, newest);
    if (last != o.expected) add(false, newest);
  } else if (o.what != kind::take || last != 0) {
    add(true, newest);
  }
}

explorer::saved explorer::save(unsigned thread) const {
  return {threads_[thread].now, sequential_,   threads_[thread].answers.size(),
          plain_log_.size(),    steps_.size(), most_atomics};
}

void explorer::restore(unsigned thread, const saved& s) {
  const operation& o = s.thread.asked;
  // What was appended: known from the step that was made.
  const step& made = steps_[s.steps];
  if (o.what != kind::choose && o.what != kind::load && made.a.done) {
    atomics_[o.at].messages.pop_back();
    --newest_[o.at];
  }
  while (plain_log_.size() > s.plains) {
    --newest_[plain_log_.back().seat];
    plains_[plain_log_.back().plain].value = plain_log_.back().value;
    plain_log_.pop_back();
  }
  threads_[thread].now = s.thread;
  threads_[thread].answers.resize(s.answers);
  sequential_ = s.sequential;
  steps_.erase(steps_.begin() + static_cast<std::ptrdiff_t>(s.steps), steps_.end());
}

void explorer::take_over(thread_state& t, const operation& o, std::memory_order order,
                         unsigned from) {
  const atomic_place& a = atomics_[o.at];
  const bool again = t.seen[o.at] == from && from != newest_[o.at];
  t.again[o.at] = again ? static_cast<std::uint8_t>(t.again[o.at] + 1) : 0;
  t.seen[o.at] = static_cast<std::uint16_t>(from);
  if (acquires(order) && a.messages[from].leaves) join(t.seen, a.messages[from].left);
}

// `continues`: a read-modify-write leaves what was left with the value before, too.
void explorer::append(thread_state& t, const operation& o, word value, bool continues) {
  atomic_place& a = atomics_[o.at];
  t.seen[o.at] = ++newest_[o.at];
  t.again[o.at] = 0;
  message m{value, false, {}};
  if (continues && a.messages.back().leaves) {
    m.left = a.messages.back().left;
    m.leaves = true;
  }
  if (releases(o.order)) {
    join(m.left, t.seen);
    m.leaves = true;
  }
  a.messages.push_back(m);
}

void explorer::apply(const choice& c) {
  thread_place& place = threads_[c.thread];
  thread_state& t = place.now;
  const operation o = t.asked;
  answer result;
  unsigned newest = 0;
  if (o.what == kind::choose) {
    result.was = c.from;
  } else {
    note_use(c.thread, o);
    atomic_place& a = atomics_[o.at];
    newest = newest_[o.at];
    const bool sequential = o.order == std::memory_order_seq_cst;
    result = {a.messages[c.from].value, c.done};
    if (o.what == kind::store) {
      append(t, o, o.operand, false);
    } else if (o.what == kind::load || !c.done) {
      if (o.what == kind::compare_weak && result.was == o.expected) ++t.spurious;
      take_over(t, o, o.what == kind::load ? o.order : o.failure, c.from);
    } else {
      take_over(t, o, o.order, newest);
      append(t, o, changed(o, result.was, a.mask), true);
    }
    if (sequential) sequential_[o.at] = std::max(sequential_[o.at], t.seen[o.at]);
    if (o.what == kind::store) result.was = 0;
  }
  place.answers.push_back(result);
  fold(t.history, result.was + (result.done ? 0 : 0x5851f42d4c957f2dU));
  steps_.push_back({c.thread, false, false, o, result, c.from, newest});
}

// --- Whether two states are the same -------------------------------------------------------------

// Of atomics how old the oldest is that may be read, of plains whether all accesses are known. What
// all have seen already who look at it counts as seen.
void explorer::hash_view(word& h, const view& v, const view& known) const {
  alignas(word) std::array<std::uint8_t, most_places> behind;
  const unsigned atomics = static_cast<unsigned>(atomics_.size());
  for (unsigned i = 0; i < most_places; ++i)
    behind[i] = static_cast<std::uint8_t>(newest_[i] - std::max(v[i], known[i]));
  for (unsigned i = atomics; i < places_; ++i) behind[i] = behind[i] != 0;
  for (unsigned i = 0; i < places_; i += sizeof(word)) {
    word packed;
    std::memcpy(&packed, &behind[i], sizeof packed);
    fold(h, packed);
  }
}

word explorer::hash() const {
  view known = newest_;
  for (const thread_place& t : threads_) {
    if (t.now.is == phase::ended) continue;
    for (unsigned i = 0; i < most_places; ++i)
      known[i] = std::min<std::uint16_t>(known[i], t.now.seen[i] | t.ignores[i]);
  }
  word h = 1;
  for (const thread_place& t : threads_) {
    fold(h, static_cast<word>(t.now.is));
    if (t.now.is == phase::ended) continue;
    fold(h, t.now.history);
    fold(h, (t.answers.size() - t.now.first) << 8 | t.now.spurious);
    for (unsigned i = 0; i < atomics_.size(); ++i)
      if (t.now.again[i] != 0) fold(h, i << 8 | t.now.again[i]);
    hash_view(h, t.now.seen, known);
  }
  for (unsigned i = 0; i < atomics_.size(); ++i) {
    const atomic_place& a = atomics_[i];
    fold(h, sequential_[i] > known[i] ? sequential_[i] - known[i] : 0);
    for (unsigned m = known[i]; m <= newest_[i]; ++m) {
      fold(h, a.messages[m].value);
      if (a.messages[m].leaves && adds_to(known, a.messages[m].left))
        hash_view(h, a.messages[m].left, known);
    }
    fold(h, i);
  }
  for (const plain_place& p : plains_) fold(h, p.value);
  return h;
}

bool explorer::adds_to(const view& known, const view& v) const {
  unsigned adds = 0;
  for (unsigned i = 0; i < most_places; ++i) adds |= v[i] > known[i] ? 1 : 0;
  return adds != 0;
}

}  // namespace parkring::model
