// Splitting at delimiters, in place in the pieces that a reader has.
//
// Nothing is taken from the reader before a part is complete and is given: until then the pieces
// that it spans stay in `have`, of which the first `scanned` bytes are known to have no delimiter.
// So a dropped `next` has lost nothing, and a splitter that goes leaves the reader behind the last
// part it gave.
//
//   found     a part is complete: `length` bytes at the reader's position, and `closing` for the
//             delimiter. It is taken, and becomes a view, when the await resumes
//   given     the view points into a piece: into the reader's first, or, where that is used up,
//             into `held`; or into `joined`, a copy of a part that spans pieces. The delimiter may
//             lie in the piece behind, which is not held
//   skipping  the part was too long and is reported: its bytes go as they come, up to a delimiter
//
// What was found or scanned counts from `from_position`. Between two calls the reader may be used
// directly, also after a call that was dropped: it is somewhere else then, and the search begins
// anew.
//
// The task that fetches more has a share of this state, which has one of the reader's.

#include <parkring/fs/lines.hpp>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "fs/stream/reader_state.hpp"
#include "fs/stream/stream_parts.hpp"

namespace parkring::detail {

struct splitter_state : std::enable_shared_from_this<splitter_state> {
  std::shared_ptr<reader_state> from;
  char delimiter = '\n';
  bool cut_cr = false;
  std::size_t max_length = 0;

  std::uint64_t from_position = 0;  // where the reader was when the search began
  std::size_t scanned = 0;
  std::size_t length = 0;
  std::size_t closing = 0;
  bool found = false;
  bool ended = false;  // nothing is found because there is nothing more
  bool skipping = false;
  buffer held;
  std::string joined;
  std::uint64_t offset = 0;
  std::uint64_t count = 0;

  bool find() noexcept;
  task<> fetch(std::shared_ptr<splitter_state> self);
  std::optional<std::string_view> give();

 private:
  [[nodiscard]] std::size_t ready_bytes() const noexcept {
    return static_cast<std::size_t>(from->filled - from->position);
  }
  void use(std::size_t n);
  [[noreturn]] void fail_too_long();
};

// Whether a whole part is there. Looks at no byte twice.
bool splitter_state::find() noexcept {
  if (from_position != from->position) {
    from_position = from->position;
    scanned = 0;
    found = false;
  }
  if (found) return true;  // by a call that was dropped
  std::size_t before = 0;  // bytes of the pieces before this one
  for (const auto& piece : from->have) {
    const std::size_t size = piece.size();
    if (scanned < before + size) {
      const std::size_t start = scanned - before;
      const char* const text = piece.text().data();
      const void* const at = std::memchr(text + start, delimiter, size - start);
      if (at != nullptr) {
        length = before + static_cast<std::size_t>(static_cast<const char*>(at) - text);
        closing = 1;
        return found = true;
      }
      scanned = before + size;
    }
    before += size;
  }
  return false;
}

// Lets go of the first `n` bytes. A piece that the last of them lay in stays in `held`.
void splitter_state::use(std::size_t n) {
  while (n != 0) {
    const std::size_t part = std::min(n, from->have.front().size());
    if (auto over = from->used(part)) held = *std::move(over);
    n -= part;
  }
}

void splitter_state::fail_too_long() {
  error e(EMSGSIZE, delimiter == '\n' ? "lines" : "split",
          state_of(*from->file.get()).path.native() + ", offset " + std::to_string(from->position),
          "this part is longer than max_length, " + std::to_string(max_length) +
              " bytes, and is left out; raise it in split_options");
  use(scanned);
  scanned = 0;
  skipping = true;
  throw io_error(std::move(e));
}

task<> splitter_state::fetch(std::shared_ptr<splitter_state> self) {
  const fs::one_at_a_time guard(self->from->busy, "one task at a time reads from a reader");
  for (;;) {
    if (self->find()) {
      if (!self->skipping) co_return;
      self->use(self->length + self->closing);
      self->found = self->skipping = false;
      self->scanned = 0;
      continue;
    }
    if (self->skipping) {
      self->use(self->scanned);
      self->scanned = 0;
    } else if (self->scanned > self->max_length) {
      self->fail_too_long();
    }
    const bool more = co_await self->from->acquire();
    if (more) continue;
    self->skipping = false;
    self->length = self->ready_bytes();
    self->closing = 0;
    self->ended = self->length == 0;
    self->found = !self->ended;
    co_return;
  }
}

std::optional<std::string_view> splitter_state::give() {
  if (std::exchange(ended, false)) return std::nullopt;
  if (length > max_length) {  // found within the pieces that were there
    scanned = length;
    found = false;
    fail_too_long();
  }
  offset = from->position;
  std::string_view part = from->have.front().text();
  if (length <= part.size()) {
    part = part.substr(0, length);
  } else {
    joined.clear();
    for (const auto& piece : from->have) joined += piece.text().substr(0, length - joined.size());
    part = joined;
  }
  if (length != 0 && length == from->have.front().size() && closing != 0) {
    use(length);
    (void)from->used(closing);
  } else {
    use(length + closing);
  }
  if (cut_cr && closing != 0 && part.ends_with('\r')) part.remove_suffix(1);
  found = false;
  scanned = 0;
  ++count;
  return part;
}

}  // namespace parkring::detail

namespace parkring::fs {

splitter::splitter(reader& from, char delimiter, split_options options, bool cut_cr)
    : state_(std::make_shared<detail::splitter_state>()) {
  state_->from = from.state_;
  state_->delimiter = delimiter;
  state_->cut_cr = cut_cr;
  state_->max_length = options.max_length;
}

std::uint64_t splitter::offset() const noexcept { return state_->offset; }
std::uint64_t splitter::count() const noexcept { return state_->count; }

bool splitter::attempt::try_now() noexcept {
  return !of->skipping && !of->from->busy && of->find();
}
task<> splitter::attempt::slowly() { return of->fetch(of->shared_from_this()); }
std::optional<std::string_view> splitter::attempt::value() { return of->give(); }

}  // namespace parkring::fs
