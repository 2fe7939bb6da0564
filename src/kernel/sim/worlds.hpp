// Which simulated machine a descriptor number belongs to.
//
// A descriptor is 2^30 + (place << 16) + index: the machine's place in a table of the process, and
// an index that begins where the place's last machine stopped. A file handle may be dropped after
// its machine has gone, so its number must never lead to a later one: a machine that ends while
// programs still have descriptors of it leaves its indices behind for good. Places are used in
// turn.
//
// Thread: any. A machine belongs to one thread; a descriptor that is closed on another one stays
// open until the machine ends.
#pragma once

namespace parkring::kernel::sim {

class descriptors;

inline constexpr int first_descriptor = 1 << 30;
inline constexpr int descriptors_per_place = 1 << 16;
inline constexpr int descriptors_per_machine = 1 << 15;

/// Gives the calling thread's machine a place: the number of its first descriptor.
[[nodiscard]] int enter_world(descriptors& table);
/// `spent`: how many numbers from `first` on may still be closed by somebody.
void leave_world(int first, int spent) noexcept;

}  // namespace parkring::kernel::sim
