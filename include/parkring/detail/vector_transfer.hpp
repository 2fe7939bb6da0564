// Reads and writes of several pieces of memory: what a request owns, whatever the kind of memory.
//
//   described  a `vector_transfer` has the file, the list of parts and, for locking buffers, the
//              locks; for memory that was handed over, the memory itself. It lies on the heap, so
//              neither parts nor what they point to move any more.
//   in flight  a record owns it. The waiter has another reference to the file, to tell of errors.
//   completed  it goes back to the waiter, with the memory; without a waiter it ends with the
//   record.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <parkring/buffer.hpp>
#include <parkring/detail/file_ref.hpp>
#include <parkring/detail/rw.hpp>
#include <parkring/detail/simple_op.hpp>
#include <parkring/error.hpp>
#include <parkring/fs/transfer_options.hpp>
#include <parkring/memory.hpp>
#include <parkring/task.hpp>

namespace parkring::fs {
class file;
}

namespace parkring::detail {

/// As the kernel wants it: an iovec.
struct transfer_part {
  std::byte* data;
  std::size_t size;
};

struct vector_transfer {
  file_ref file;
  direction way = direction::read;
  std::uint64_t offset = 0;
  std::uint32_t flags = 0;  // RWF_*
  std::uint16_t priority = 0;
  bool in_steps = false;  // any number of parts: a request takes what it can
  std::vector<transfer_part> parts;
  std::size_t first = 0;  // the parts before are done
  std::vector<block_lock> locks;

  vector_transfer() = default;
  vector_transfer(const vector_transfer&) = delete;
  vector_transfer& operator=(const vector_transfer&) = delete;
  virtual ~vector_transfer() = default;

  void lock(buffer& b);        // throws buffer_locked
  void lock(const buffer& b);  // likewise
  [[nodiscard]] std::size_t bytes_left() const noexcept;
  /// The first `n` of the bytes left are done.
  void advance(std::size_t n) noexcept;
};

/// With memory that was handed over.
template <class Memory>
struct owning_transfer final : vector_transfer {
  explicit owning_transfer(Memory&& m) : memory(std::move(m)) {}
  Memory memory;
};

/// What it is made of; `way` and the options are left to be set.
[[nodiscard]] file_ref transfer_file(fs::file& file);
void set_options(vector_transfer& t, const fs::read_options& how) noexcept;
void set_options(vector_transfer& t, const fs::write_options& how) noexcept;

// ---- the memory ----

template <class V>
concept transferable = owns_memory<V> || std::same_as<V, buffer>;

template <transferable V>
void add_part(vector_transfer& t, V& one) {
  if constexpr (std::same_as<V, buffer>) {
    // The holder gave it away, so nobody can touch it; but a request may have it still.
    const auto bytes = t.way == direction::read ? std::span<const std::byte>(one.bytes())
                                                : std::as_const(one).bytes();
    t.parts.push_back({const_cast<std::byte*>(bytes.data()), bytes.size()});
  } else {
    t.parts.push_back({owned_memory<V>::data(one), owned_memory<V>::size(one)});
  }
}

template <class Memory>
struct memory_list;  // of what several pieces of memory may be handed over in

template <transferable V>
struct memory_list<std::vector<V>> {
  static void add(vector_transfer& t, std::vector<V>& all) {
    t.parts.reserve(all.size());
    for (V& one : all) add_part(t, one);
  }
};
template <transferable... Vs>
struct memory_list<std::tuple<Vs...>> {
  static void add(vector_transfer& t, std::tuple<Vs...>& all) {
    t.parts.reserve(sizeof...(Vs));
    std::apply([&](Vs&... each) { (add_part(t, each), ...); }, all);
  }
};

template <class Memory>
concept several = std::is_nothrow_move_constructible_v<Memory> && !std::is_reference_v<Memory> &&
                  requires(vector_transfer & t, Memory& m) {
  memory_list<Memory>::add(t, m);
};

// ---- the request ----

struct vector_waiter : op_waiter {
  std::unique_ptr<vector_transfer> back;
};

struct vector_request_base {
  std::unique_ptr<vector_transfer> what;  // until a record has it
  file_ref file;
  std::uint64_t offset = 0;
  std::size_t size = 0;
  std::size_t number = 0;  // of parts
  direction way = direction::read;

  explicit vector_request_base(std::unique_ptr<vector_transfer> t);
  bool ready(op_waiter& w) noexcept;
  record* make(op_waiter& w) noexcept;
  void start(op_waiter& w) noexcept;
  [[nodiscard]] error failure(int number_of_error) const;
};

/// Gives the number of bytes.
struct vector_count_request : vector_request_base {
  using value_type = std::size_t;
  using vector_request_base::vector_request_base;
  std::expected<std::size_t, error> value(op_waiter& w) const noexcept {
    return static_cast<std::size_t>(w.answer);
  }
};

/// Gives the memory back, too.
template <class Memory>
struct vector_owning_request : vector_request_base {
  using value_type = owned_result<Memory>;
  using vector_request_base::vector_request_base;
  std::expected<value_type, error> value(op_waiter& w) const {
    auto& back = static_cast<owning_transfer<Memory>&>(*static_cast<vector_waiter&>(w).back);
    return value_type{std::move(back.memory), static_cast<std::size_t>(w.answer)};
  }
};

/// Makes requests until all is done; gives the transfer back. Throws io_error.
[[nodiscard]] task<std::unique_ptr<vector_transfer>> transfer_all(
    std::unique_ptr<vector_transfer> t);

template <class Memory, class Options>
std::unique_ptr<vector_transfer> describe_transfer(fs::file& f, direction way, Memory&& memory,
                                                   std::uint64_t offset, const Options& how) {
  auto t = std::make_unique<owning_transfer<Memory>>(std::move(memory));
  t->file = transfer_file(f);
  t->way = way;
  t->offset = offset;
  set_options(*t, how);
  if constexpr (transferable<Memory>)
    add_part(*t, t->memory);
  else
    memory_list<Memory>::add(*t, t->memory);
  return t;
}

template <class Memory>
task<owned_result<Memory>> whole_transfer_of(std::unique_ptr<vector_transfer> described) {
  const std::size_t size = described->bytes_left();
  auto done = co_await transfer_all(std::move(described));
  co_return owned_result<Memory>{std::move(static_cast<owning_transfer<Memory>&>(*done).memory),
                                 size};
}

}  // namespace parkring::detail
