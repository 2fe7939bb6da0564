// The lines of a file, or what lies between delimiters.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include <parkring/detail/quick_task.hpp>
#include <parkring/fs/reader.hpp>
#include <parkring/task.hpp>

namespace parkring::detail {
struct splitter_state;
}

namespace parkring::fs {

struct split_options {
  std::size_t max_length = std::size_t{1} << 20;  // of a part; a longer one is an error
  bool keep_cr = false;  // `lines` leaves out one '\r' before a '\n'; true: it stays
};

/// Gives the parts of what a reader reads, without their delimiters: see `lines` and `split`.
///
/// A part that lies within one piece of the reader is not copied; of one that does not, only that
/// one is. What is behind the last delimiter is a part too, unless it is empty: a last line needs
/// no newline, and a newline at the end begins no further line.
///
/// *Owns* a share of the reader, which goes on behind the last part that was given: the reader is
/// free for something else then. *Thread*: the file's runtime. *Drop*: nothing is lost.
class splitter {
 public:
  using bound_to_thread = void;

  splitter(reader& from, char delimiter, split_options options, bool cut_cr);

  /// Waits for the next part; none at the end. It stays valid until `next` is called again, or the
  /// splitter goes.
  ///
  /// *Completes when* its delimiter, or the end, was read; mostly at once. *Owns* what it needs of
  /// the reader; keep the splitter. *Thread*: the file's runtime. *Drop*: nothing is lost, as by
  /// `reader::next`. *Errors*: those of `reader::next`; EMSGSIZE for a part longer than
  /// `max_length`: it is left out, and the next call gives the one behind it.
  [[nodiscard("co_await it")]] auto next() noexcept {
    return detail::quick_operation<attempt>(attempt{state_.get()});
  }
  /// Where in the file the part given last begins; of a stream, how many bytes were before it.
  [[nodiscard]] std::uint64_t offset() const noexcept;
  /// How many parts were given.
  [[nodiscard]] std::uint64_t count() const noexcept;

 private:
  struct attempt {
    detail::splitter_state* of;
    [[nodiscard]] bool try_now() noexcept;
    [[nodiscard]] task<> slowly();
    [[nodiscard]] std::optional<std::string_view> value();
  };
  std::shared_ptr<detail::splitter_state> state_;
};

/// The lines that `from` reads from its position on, as a stream of `std::string_view`:
/// `auto text = pr::fs::lines(r); while (auto line = co_await text.next()) ...`
///
/// Lines end with '\n' or "\r\n"; a '\r' elsewhere is a byte like any other.
[[nodiscard]] inline splitter lines(reader& from, split_options options = {}) {
  return splitter(from, '\n', options, !options.keep_cr);
}
[[nodiscard]] inline splitter lines(reader&& from, split_options options = {}) {
  return lines(from, options);
}
/// What lies between delimiters, as a stream of `std::string_view`.
[[nodiscard]] inline splitter split(reader& from, char delimiter, split_options options = {}) {
  return splitter(from, delimiter, options, false);
}
[[nodiscard]] inline splitter split(reader&& from, char delimiter, split_options options = {}) {
  return split(from, delimiter, options);
}

}  // namespace parkring::fs
