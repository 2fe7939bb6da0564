#include <parkring/buffer.hpp>

#include <cstring>
#include <stdexcept>

namespace parkring {

owned_bytes buffer::release() && {
  owned_bytes out;
  if (block_ == nullptr) return out;
  if (block_->is_locked()) detail::throw_locked(*block_);
  out.size = block_->size;
  if (std::byte* data = detail::take_adopted(*block_)) {
    out.data.reset(data);
  } else {
    out.data = std::make_unique_for_overwrite<std::byte[]>(out.size);
    std::memcpy(out.data.get(), block_->data, out.size);
  }
  drop();
  return out;
}

buffer buffer::split_off(std::size_t at) {
  if (at > size())
    throw std::out_of_range("buffer::split_off(" + std::to_string(at) + "): the buffer has " +
                            std::to_string(size()) + " bytes");
  buffer rest;
  if (block_ == nullptr) return rest;
  if (block_->is_locked()) detail::throw_locked(*block_);
  rest.block_ = detail::make_part(*block_, block_->data + at, block_->size - at);
  block_->size = at;
  return rest;
}

}  // namespace parkring
