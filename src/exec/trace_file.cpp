#include "exec/trace_file.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <ostream>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <parkring/detail/record.hpp>

#include "exec/code_place.hpp"

namespace parkring::exec {
namespace {

std::string json_text(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) == 0x7f) {
      char code[8];
      std::snprintf(code, sizeof code, "\\u%04x", static_cast<unsigned>(c));
      out += code;
    } else {
      out += c;
    }
  }
  return out += '"';
}

// A path may have any bytes; JSON is UTF-8. Bytes that are none become question marks.
std::string as_utf8(std::string text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const std::size_t n = lead < 0x80                   ? 1
                          : lead >= 0xc2 && lead < 0xe0 ? 2
                          : lead >= 0xe0 && lead < 0xf0 ? 3
                          : lead >= 0xf0 && lead < 0xf5 ? 4
                                                        : 0;
    bool good = n != 0 && i + n <= text.size();
    for (std::size_t k = 1; good && k < n; ++k)
      good = (static_cast<unsigned char>(text[i + k]) & 0xc0) == 0x80;
    if (!good) text[i] = '?';
    i += good ? n : 1;
  }
  return text;
}

// One runtime's events, from slots to lines.
class track_writer {
 public:
  track_writer(std::ostream& out, const trace_track& track, std::size_t thread,
               base::tick_mark begin, double ticks_per_ns, code_places& places,
               std::uint64_t& next_id)
      : out_(out),
        thread_(thread),
        begin_(track.virtual_time ? 0 : begin.ticks),
        per_us_(track.virtual_time ? 1e3 : ticks_per_ns * 1e3),
        texts_(track.texts.copy()),
        places_(places),
        next_id_(next_id) {}

  std::uint64_t write(const std::vector<base::trace_buffer::slot>& slots) {
    for (std::size_t i = 0; i < slots.size(); ++i) {
      const auto kind = static_cast<trace_kind>(slots[i].first >> trace_kind_shift);
      const std::uint64_t value = slots[i].first & trace_value_mask;
      one(kind, value, slots[i].second, i + 1 < slots.size() ? &slots[i + 1] : nullptr);
    }
    end_of_turn();
    return written_;
  }

 private:
  void one(trace_kind kind, std::uint64_t value, std::uint64_t second,
           const base::trace_buffer::slot* next) {
    switch (kind) {
      case trace_kind::turn:
        if (!resumes_.empty()) spread_resumes(second);  // no enter came between
        end_of_turn();
        number_ = value;
        in_turn_ = true;
        turn_began_ = last_ = second;
        if (earliest_ == 0) earliest_ = second;
        break;
      case trace_kind::clock:
        spread_resumes(second);
        break;
      case trace_kind::resume:
        for (std::uint64_t n = value >> trace_count_shift; n != 0; --n)
          resumes_.push_back({reinterpret_cast<const void*>(value & trace_pointer_mask), second});
        break;
      case trace_kind::enter:
        spread_resumes(second);
        enter_began_ = second;
        handed_over_ = value;
        if (in_turn_) submitted_.insert({static_cast<std::uint32_t>(number_), second});
        break;
      case trace_kind::entered:
        last_ = second;
        if (enter_began_ == 0) break;
        slice("enter", "kernel", enter_began_, second,
              "\"entries\":" + std::to_string(handed_over_) + ",\"answer\":" +
                  std::to_string(static_cast<std::int32_t>(static_cast<std::uint32_t>(value))));
        break;
      case trace_kind::completion:
        for (std::uint64_t n = value >> trace_count_shift; n != 0; --n)
          completion(reinterpret_cast<const char*>(value & trace_pointer_mask), second, next);
        break;
      case trace_kind::timers:
        instant("timers fire", std::to_string(value));
        break;
      case trace_kind::wakes:
        instant("woken", std::to_string(value));
        break;
      case trace_kind::facts:
      case trace_kind::text:
        break;  // seen with their completion
    }
  }

  void end_of_turn() {
    spread_resumes(last_);
    if (!in_turn_) return;
    slice("turn", "runtime", turn_began_, last_, "\"number\":" + std::to_string(number_));
    in_turn_ = false;
  }

  // Those since the last look at the clock share the time evenly.
  void spread_resumes(std::uint64_t until) {
    const std::uint64_t n = resumes_.size();
    for (std::uint64_t i = 0; i < n && last_ != 0; ++i) {
      const std::uint64_t took = until - last_;
      std::string name = places_.name_of(resumes_[i].function);
      if (name.empty()) name = "resume";
      std::string arguments =
          "\"task\":" + json_text(places_.site(detail::spawn_site::from_word(resumes_[i].where)));
      if (n > 1) arguments += ",\"time\":\"a share of " + std::to_string(n) + " resumes\"";
      slice(name, "task", last_ + took * i / n, last_ + took * (i + 1) / n, arguments);
    }
    resumes_.clear();
    last_ = until;
  }

  void completion(const char* name, std::uint64_t second, const base::trace_buffer::slot* next) {
    const auto born = static_cast<std::uint32_t>(second >> 32);
    const auto answer = static_cast<std::int32_t>(static_cast<std::uint32_t>(second));
    std::string arguments = "\"result\":" + std::to_string(answer);
    if (next != nullptr) {
      const auto kind = static_cast<trace_kind>(next->first >> trace_kind_shift);
      const std::uint64_t value = next->first & trace_value_mask;
      if (kind == trace_kind::facts) {
        if (const auto path = text(value >> 32); !path.empty())
          arguments += ",\"file\":" + json_text(path);
        if (next->second != detail::request_facts::no_offset)
          arguments += ",\"offset\":" + std::to_string(next->second);
        arguments += ",\"length\":" + std::to_string(value & 0xffffffffu);
      } else if (kind == trace_kind::text) {
        arguments += ",\"request\":" + json_text(text(next->second));
      }
    }
    const auto known = submitted_.find(born);
    const std::uint64_t from = known != submitted_.end() ? known->second : earliest_;
    if (known == submitted_.end()) arguments += ",\"submitted\":\"before the first event here\"";
    const std::string id = std::to_string(next_id_++);
    line(name, "request", "b", from, ",\"id\":" + id + ",\"args\":{" + arguments + "}");
    line(name, "request", "e", std::max(from, last_), ",\"id\":" + id);
  }

  void slice(std::string_view name, const char* category, std::uint64_t from, std::uint64_t to,
             const std::string& arguments) {
    char took[40];
    std::snprintf(took, sizeof took, ",\"dur\":%.3f",
                  to > from ? static_cast<double>(to - from) / per_us_ : 0.0);
    line(name, category, "X", from, took + (",\"args\":{" + arguments) + "}");
  }
  void instant(const char* name, const std::string& count) {
    line(name, "runtime", "i", last_, ",\"s\":\"t\",\"args\":{\"count\":" + count + "}");
  }
  void line(std::string_view name, const char* category, const char* phase, std::uint64_t at,
            const std::string& rest) {
    char when[64];
    std::snprintf(when, sizeof when, "%.3f",
                  at > begin_ ? static_cast<double>(at - begin_) / per_us_ : 0.0);
    out_ << ",\n{\"name\":" << json_text(as_utf8(std::string(name))) << ",\"cat\":\"" << category
         << "\",\"ph\":\"" << phase << "\",\"ts\":" << when << ",\"pid\":" << ::getpid()
         << ",\"tid\":" << thread_ << rest << '}';
    ++written_;
  }
  [[nodiscard]] std::string text(std::uint64_t number) const {
    return number == 0 || number > texts_.size() ? std::string() : as_utf8(texts_[number - 1]);
  }

  struct resumed {
    const void* function;
    std::uint64_t where;
  };

  std::ostream& out_;
  const std::size_t thread_;
  const std::uint64_t begin_;
  const double per_us_;
  const std::vector<std::string> texts_;
  code_places& places_;
  std::uint64_t& next_id_;
  std::uint64_t written_ = 0;
  bool in_turn_ = false;
  std::uint64_t number_ = 0;  // of the turn
  std::uint64_t turn_began_ = 0;
  std::uint64_t earliest_ = 0;     // the first turn that is here
  std::uint64_t enter_began_ = 0;  // 0: not seen
  std::uint64_t handed_over_ = 0;
  std::uint64_t last_ = 0;        // the clock, where it was last looked at
  std::vector<resumed> resumes_;  // since then
  std::unordered_map<std::uint32_t, std::uint64_t> submitted_;  // turn -> its first enter
};

// Drops slots until those left make at most so many events; returns how many.
std::size_t keep_last(std::vector<base::trace_buffer::slot>& slots, std::size_t max_events) {
  std::size_t first = slots.size();
  for (std::size_t events = 0; first != 0; --first) {
    const std::uint64_t word = slots[first - 1].first;
    const auto kind = static_cast<trace_kind>(word >> trace_kind_shift);
    const std::uint64_t count = (word & trace_value_mask) >> trace_count_shift;
    events += kind == trace_kind::completion ? 2 * count : kind == trace_kind::resume ? count : 1;
    if (events > max_events) break;
  }
  slots.erase(slots.begin(), slots.begin() + static_cast<std::ptrdiff_t>(first));
  return first;
}

}  // namespace

trace::summary write_trace(std::ostream& out, base::tick_mark begin, double ticks_per_ns,
                           std::span<const std::shared_ptr<trace_track>> tracks,
                           std::size_t max_events) {
  trace::summary s;
  code_places places;
  std::uint64_t next_id = 1;
  out << "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n{\"name\":\"process_name\",\"ph\":\"M\","
         "\"pid\":"
      << ::getpid() << ",\"args\":{\"name\":\"parkring\"}}";
  for (const auto& track : tracks) {
    const std::size_t thread = ++s.runtimes;
    std::uint64_t lost = 0;
    auto slots = track->buffer.read(lost);
    lost += keep_last(slots, max_events);
    s.bytes_lost += lost * sizeof(base::trace_buffer::slot);
    out << ",\n{\"name\":\"thread_name\",\"ph\":\"M\",\"pid\":" << ::getpid()
        << ",\"tid\":" << thread << ",\"args\":{\"name\":" << json_text(track->name) << "}}";
    s.events +=
        track_writer(out, *track, thread, begin, ticks_per_ns, places, next_id).write(slots);
  }
  out << "\n],\"otherData\":{\"events\":" << s.events << ",\"bytes_lost\":" << s.bytes_lost
      << "}}\n";
  return s;
}

}  // namespace parkring::exec
