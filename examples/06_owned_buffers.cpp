// test-args: {source}
// The ways to hand memory to a request. Each of them reads the first bytes of the same file.
#include <array>
#include <cstddef>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <parkring/parkring.hpp>

namespace pr = parkring;
using namespace pr::literals;

// A type of our own that owns its bytes, and where they are: it can travel with a request.
struct page {
  using memory = std::array<std::byte, 4_KiB>;
  std::unique_ptr<memory> bytes = std::make_unique<memory>();
};
template <>
struct parkring::owned_memory<page> {
  static std::byte* data(page& p) noexcept { return p.bytes->data(); }
  static std::size_t size(const page&) noexcept { return sizeof(page::memory); }
};

void show(std::string_view way, const auto* data, std::size_t count) {
  const std::string_view text(reinterpret_cast<const char*>(data), count);
  std::cout << way << ": " << count << " bytes: " << text.substr(0, text.find('\n')) << '\n';
}

pr::task<> every_way(std::filesystem::path path) {
  auto file = co_await pr::fs::open(path);

  // 3: a locking buffer. Nothing is copied, it is registered with the ring, and safe to drop.
  pr::buffer buf(4_KiB);
  const std::size_t n = co_await file.read_at(buf, 0);
  show("buffer", buf.bytes().data(), n);

  // 2: an object moves into the request, and comes back with the count.
  auto [vec, vec_count] = co_await file.read_at(std::vector<char>(4_KiB), 0);
  show("vector", vec.data(), vec_count);
  auto [str, str_count] = co_await file.read_at(std::string(4_KiB, ' '), 0);
  show("string", str.data(), str_count);
  auto [ptr, ptr_count] = co_await file.read_at(std::make_unique<char[]>(4_KiB), 4_KiB, 0);
  show("unique_ptr", ptr.array.get(), ptr_count);
  auto [own, own_count] = co_await file.read_at(page(), 0);
  show("page", own.bytes->data(), own_count);

  // 1: any span. It is written to when the await resumes, and left alone otherwise.
  std::array<char, 512> local;
  const std::size_t copied = co_await file.read_at(pr::copying(local), 0);
  show("copying", local.data(), copied);

  // Memory in place. Dropping this await blocks until the kernel is done: for frames that stay.
  const std::size_t borrowed = co_await file.read_at(pr::borrowed(local), 0);
  show("borrowed", local.data(), borrowed);

  // Parts of one buffer share its storage; they lock, move and die independently.
  pr::buffer tail = buf.split_off(1_KiB);
  auto [head_count, tail_count] =
      co_await pr::when_all(file.read_at(buf, 0), file.read_at(tail, 1_KiB));
  show("two parts", buf.bytes().data(), head_count + tail_count);
}

int main(int argc, char** argv) try {
  if (argc != 2) throw std::invalid_argument("usage: owned_buffers FILE");
  pr::run(every_way(argv[1]));
} catch (const std::exception& e) {
  std::cerr << e.what() << '\n';
  return 1;
}
