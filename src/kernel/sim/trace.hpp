// What happened in a world: a hash over everything, and the last entries in full.
//
// Two runs are the same if their hashes are. So nothing goes in that may differ between them: no
// address, no descriptor number of another world, no wall clock. What requests read and write goes
// in by content.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace parkring::kernel::sim {

struct trace_entry {
  enum class kind : std::uint8_t {
    begin,      // a request was submitted
    effect,     // it was done, and answered `result`
    cancelled,  // it was ended before it was done
    fault,      // something was made to go wrong: `name` says what
    note,       // a step of the machine: a power cut, a program's own mark
  };
  std::uint64_t step = 0;
  std::uint64_t time_ns = 0;
  kind what = kind::note;
  const char* name = "";  // static: the opcode's or the fault's
  std::uint64_t request = 0;
  int subject = -1;  // an index into the subjects: a path, or words
  std::uint64_t offset = 0, length = 0;
  std::int64_t result = 0;
};

class trace {
 public:
  explicit trace(std::size_t kept) : kept_(kept) {}

  void add(const trace_entry& e);
  /// Adds bytes to the hash only.
  void add_content(const void* data, std::size_t size) noexcept;
  /// The index of a path or a sentence, for `trace_entry::subject`.
  [[nodiscard]] int subject(const std::string& words);
  [[nodiscard]] std::string_view subject_text(int index) const noexcept {
    return index < 0 ? std::string_view() : subjects_[static_cast<std::size_t>(index)];
  }

  [[nodiscard]] std::uint64_t hash() const noexcept { return hash_; }
  [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
  /// What came last is worth keeping: the power was cut.
  void mark();
  /// `n` entries, one line each, oldest first: the last ones, or, if the last mark lies before
  /// them, half of it up to the mark and half the last.
  [[nodiscard]] std::string text(std::size_t n) const;

 private:
  void mix(std::uint64_t word) noexcept;
  void append(std::string& out, const trace_entry& e) const;
  /// Entries [from, to) of a ring in which they are by their number.
  void append(std::string& out, const std::vector<trace_entry>& ring, std::uint64_t from,
              std::uint64_t to) const;

  std::size_t kept_;
  std::uint64_t hash_ = 0x9ae1'6a3b'2f90'404f;
  std::uint64_t count_ = 0;
  std::vector<trace_entry> last_;    // a ring of `kept_`
  std::vector<trace_entry> marked_;  // it, as it was at the last mark
  std::uint64_t marked_count_ = 0;   // how many there were then; 0: there was none
  std::vector<std::string> subjects_;
  std::map<std::string, int> numbers_;
};

}  // namespace parkring::kernel::sim
