// Operation records: what the kernel may touch belongs to one of these, never to a frame.
//
// Life of a record
//
//   free ──acquire──> prepared ──push──> queued/in flight ──last completion──> free
//                        │                     │
//                        └── waits for room    └── waiter gone: an orphan, lives on unchanged
//
//   prepared   its payload is built; it has no submission entry yet. Whoever waits may leave: the
//              record ends at once, the kernel never heard of it.
//   held       between the two, for a part of a chain that has begun: it goes to the kernel when
//              the part before it has succeeded, or ends when that fails (op/operations.hpp).
//   in flight  an entry names it (`user_data` is its address and generation). From here on only
//              its own last completion (no F_MORE) ends it: neither a cancel's answer, nor closing
//              the descriptor, nor closing the ring does.
//   orphan     in flight with `waiter == nullptr`. If its type says so a cancel is asked for; the
//              wish is kept in the record until an entry is free, so it cannot be lost.
//
// Ownership: the record owns its payload, by value or by reference count: buffer lock, file,
// path, iovec. At the last completion `complete` turns the raw result into an owner and hands it
// to the waiter, or disposes of it when there is none; then `destroy` ends the payload and the
// slot is free. The waiter points to the record and the record to the waiter; each side clears
// the other's pointer when it leaves, so neither ever dangles.
//
// Thread: the ring's thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <string>
#include <string_view>
#include <utility>

#include <parkring/detail/waiter.hpp>

namespace parkring::kernel::abi {
struct sqe;
}

namespace parkring::detail {

struct record;

/// Requests that are awaited as one: their waiter wakes when the last of them has ended.
struct chain_join {
  waiter* whole = nullptr;
  unsigned left = 0;
};

/// What a coroutine's frame holds while it waits for one request.
struct op_waiter : waiter {
  record* rec = nullptr;            // set while a record works for us
  std::int32_t answer = no_answer;  // the kernel's: a count, a descriptor, or -errno
  chain_join* chain = nullptr;      // set when it is a part of a chain
  /// Starts the request again, when records were exhausted and one has come back.
  void (*restart)(op_waiter&) noexcept;

  static constexpr std::int32_t no_answer = INT32_MIN;

  op_waiter() noexcept {}
  ~op_waiter() {
    if (rec != nullptr) abandon();
  }

  /// Leaves the record: it ends now if the kernel has not seen it, else it becomes an orphan.
  void abandon() noexcept;
};

/// What the driver does after a record's `complete`.
enum class after_completion : std::uint8_t {
  finish,    // wake the waiter, end the record
  ended,     // wake the waiter; the payload is gone already, so `destroy` is not called
  resubmit,  // the request was interrupted before it did anything: submit it again
};

/// What a read or write is about; the path lives as long as the record.
struct request_facts {
  std::string_view path;
  std::uint64_t offset = no_offset;
  std::uint64_t length = 0;

  static constexpr std::uint64_t no_offset = ~std::uint64_t{0};
};

/// The operation family of a record: a table of functions instead of an enum, so that the driver
/// names none of its users.
struct record_type {
  const char* name;
  /// Fills the submission entry, which has been cleared, and whose user_data is set afterwards.
  void (*prepare)(record&, kernel::abi::sqe&) noexcept;
  /// Turns the answer into an owner, in the waiter or, when `w` is null, disposed of here.
  /// Called for every completion; `more` tells that the request stays armed. Null: the answer is
  /// all there is, and there is no payload to end.
  after_completion (*complete)(record&, op_waiter* w, std::int32_t res, std::uint32_t flags,
                               bool more) noexcept;
  /// Ends the payload. May be null.
  void (*destroy)(record&) noexcept;
  /// Whether a dropped request should be cancelled (true) or left to finish. Null: cancel.
  bool (*cancel_when_dropped)(const record&) noexcept = nullptr;
  /// Appends the request in words: "read_at(/data/x, offset 0, 4096 bytes)". Null: its name.
  void (*describe)(const record&, std::string& out) = nullptr;
  /// The same as numbers, where it has some. Null: none.
  void (*facts)(const record&, request_facts&) noexcept = nullptr;
  /// Whether a request that is left to finish matters by what it does, so that the end of the
  /// runtime leaves it to finish too, as long as its patience lasts. Others are cancelled there.
  bool has_effect = false;
  /// Whether the kernel runs nothing that is linked behind this request when it fails. Linux lets
  /// chains go on behind some opcodes (docs/design/opcodes.md).
  bool breaks_chain = true;
};

class operations_base;

enum class record_state : std::uint8_t { free, prepared, held, in_flight };

enum class cancel_wish : std::uint8_t {
  none,
  once,         // asked for; sent once
  until_found,  // a later part of a chain: sent again until the kernel has begun it, and finds it
};

inline constexpr std::size_t record_payload_size = 192;

struct alignas(64) record : list_node {  // on: the free, the waiting or the cancel list
  const record_type* type = nullptr;
  op_waiter* waiter = nullptr;  // null: an orphan, or a request nobody waits for
  operations_base* owner = nullptr;
  std::uint8_t generation = 0;  // six bits, part of user_data
  record_state state = record_state::free;
  bool special = false;  // any of the following is not as it is here; undone when it ends
  cancel_wish cancel_wanted : 2 = cancel_wish::none;
  bool follows_ended : 1 =
      false;                      // the part of the chain before it was in flight with it and ended
  bool ended_well : 1 = false;    // it has just ended, and not with an error
  bool entry_linked : 1 = false;  // its submission entry is linked to that of the next in the chain
  std::uint32_t born;             // when it was acquired, in stamps: see `core_base::stamp`
  record* next_in_chain = nullptr;    // the neighbours that have not ended; each end clears the
  record* before_in_chain = nullptr;  // other's pointer when it goes, so that neither dangles
  alignas(16) std::byte payload[record_payload_size];

  template <class P>
  P& as() noexcept {
    return *std::launder(reinterpret_cast<P*>(payload));
  }
  template <class P>
  const P& as() const noexcept {
    return *std::launder(reinterpret_cast<const P*>(payload));
  }
  template <class P, class... Args>
  P& emplace(Args&&... args) {
    static_assert(sizeof(P) <= record_payload_size && alignof(P) <= 16,
                  "the payload does not fit into a record; box the large part");
    // Without arguments: no parentheses, which would zero the whole payload first.
    if constexpr (sizeof...(Args) == 0)
      return *::new (static_cast<void*>(payload)) P;
    else
      return *::new (static_cast<void*>(payload)) P(std::forward<Args>(args)...);
  }
};

/// What a waiter may ask of the driver that owns its record.
class operations_base {
 public:
  /// See `op_waiter::abandon`.
  virtual void abandon(record&) noexcept = 0;

 protected:
  ~operations_base() = default;
};

inline void op_waiter::abandon() noexcept {
  record& mine = *rec;
  rec = nullptr;
  mine.waiter = nullptr;
  mine.owner->abandon(mine);
}

}  // namespace parkring::detail
