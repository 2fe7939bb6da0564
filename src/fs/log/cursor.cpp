#include "fs/log/cursor.hpp"

#include <algorithm>
#include <cerrno>

#include <parkring/as_result.hpp>

namespace parkring::fs::wal {
namespace {

constexpr std::size_t usual = std::size_t{128} << 10;

}  // namespace

std::span<const std::byte> cursor::window() const noexcept {
  if (memory_.empty() || at_ < begin_ || at_ >= begin_ + size_) return {};
  return memory_.bytes().first(size_).subspan(at_ - begin_);
}

record_state cursor::look(record_view& out) noexcept {
  if (at_end()) return record_state::none;
  const auto found = decode_record(window(), of_.tag(at_), limit_ - at_, out);
  out.position = at_;
  if (found != record_state::more) return found;
  if (file_ended_ && at_ >= begin_)
    return window().size() < record_header ? record_state::none : record_state::torn;
  wanted_ = out.bytes.size();
  return found;
}

task<> cursor::fill() {
  const std::size_t size = static_cast<std::size_t>(
      std::min<std::uint64_t>(std::max(usual, room_for(wanted_)), limit_ - at_));
  wanted_ = 0;
  if (memory_.size() < size) memory_ = buffer(size);
  begin_ = at_;
  size_ = 0;
  const std::uint64_t offset = in_.offset_of(at_);
  auto read = co_await as_result(file_.read_exactly_at(memory_, offset, size));
  if (read) {
    size_ = size;
  } else if (read.error().number() == ENODATA) {
    size_ = read.error().transferred();
    file_ended_ = true;
  } else {
    throw io_error(read.error());
  }
}

void cursor::skip_other() noexcept {
  at_ += 8;
  auto rest = window();
  while (rest.size() >= record_header &&
         load_u32(rest.data() + 12) != static_cast<std::uint32_t>(of_.tag(at_))) {
    rest = rest.subspan(8);
    at_ += 8;
  }
}

}  // namespace parkring::fs::wal
