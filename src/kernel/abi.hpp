// The io_uring interface of the Linux kernel, as constants and plain structures of our own.
//
// Distributions ship kernel headers older than the kernels people run, so the library carries the
// facts itself. Names are the kernel's, lower-cased, without their IORING_ prefix; abi_test.cpp
// compares them with the system's header wherever that one has the name. No kernel header here.
#pragma once

#include <cstddef>
#include <cstdint>

namespace parkring::kernel::abi {

// ---- system call numbers, the same on every architecture we build for ----

inline constexpr long sys_io_uring_setup = 425;
inline constexpr long sys_io_uring_enter = 426;
inline constexpr long sys_io_uring_register = 427;

// ---- opcodes ----

enum op : std::uint8_t {
  op_nop = 0,
  op_readv = 1,
  op_writev = 2,
  op_fsync = 3,
  op_read_fixed = 4,
  op_write_fixed = 5,
  op_poll_add = 6,
  op_poll_remove = 7,
  op_sync_file_range = 8,
  op_sendmsg = 9,
  op_recvmsg = 10,
  op_timeout = 11,
  op_timeout_remove = 12,
  op_accept = 13,
  op_async_cancel = 14,
  op_link_timeout = 15,
  op_connect = 16,
  op_fallocate = 17,
  op_openat = 18,
  op_close = 19,
  op_files_update = 20,
  op_statx = 21,
  op_read = 22,
  op_write = 23,
  op_fadvise = 24,
  op_madvise = 25,
  op_send = 26,
  op_recv = 27,
  op_openat2 = 28,
  op_epoll_ctl = 29,
  op_splice = 30,
  op_provide_buffers = 31,
  op_remove_buffers = 32,
  op_tee = 33,
  op_shutdown = 34,
  op_renameat = 35,
  op_unlinkat = 36,
  op_mkdirat = 37,
  op_symlinkat = 38,
  op_linkat = 39,
  op_msg_ring = 40,
  op_fsetxattr = 41,
  op_setxattr = 42,
  op_fgetxattr = 43,
  op_getxattr = 44,
  op_socket = 45,
  op_uring_cmd = 46,
  op_send_zc = 47,
  op_sendmsg_zc = 48,
  op_read_multishot = 49,    // Linux 6.7
  op_waitid = 50,            // 6.7
  op_futex_wait = 51,        // 6.7
  op_futex_wake = 52,        // 6.7
  op_futex_waitv = 53,       // 6.7
  op_fixed_fd_install = 54,  // 6.8
  op_ftruncate = 55,         // 6.9
  op_bind = 56,              // 6.11
  op_listen = 57,            // 6.11
  op_recv_zc = 58,           // 6.15
  op_epoll_wait = 59,        // 6.15
  op_readv_fixed = 60,       // 6.15
  op_writev_fixed = 61,      // 6.15
  op_pipe = 62,              // 6.16
};
inline constexpr unsigned op_last = op_pipe + 1;  // one past the last opcode known here

/// The kernel's name of an opcode ("READ_FIXED"), or null when it is not known here.
[[nodiscard]] const char* op_name(unsigned opcode) noexcept;

// ---- the submission entry ----

struct alignas(64) sqe {
  std::uint8_t opcode;
  std::uint8_t flags;  // iosqe_*
  std::uint16_t ioprio;
  std::int32_t fd;
  union {
    std::uint64_t off;
    std::uint64_t addr2;
    std::uint32_t cmd_op;
  };
  union {
    std::uint64_t addr;
    std::uint64_t splice_off_in;
  };
  std::uint32_t len;
  union {
    std::uint32_t op_flags;  // ours: whatever the opcode calls its flags
    std::uint32_t rw_flags;
    std::uint32_t fsync_flags;
    std::uint32_t poll32_events;  // halves swapped on big-endian machines
    std::uint32_t sync_range_flags;
    std::uint32_t msg_flags;
    std::uint32_t timeout_flags;
    std::uint32_t accept_flags;
    std::uint32_t cancel_flags;
    std::uint32_t open_flags;
    std::uint32_t statx_flags;
    std::uint32_t fadvise_advice;
    std::uint32_t splice_flags;
    std::uint32_t rename_flags;
    std::uint32_t unlink_flags;
    std::uint32_t hardlink_flags;
    std::uint32_t xattr_flags;
    std::uint32_t msg_ring_flags;
    std::uint32_t uring_cmd_flags;
    std::uint32_t waitid_flags;
    std::uint32_t futex_flags;
    std::uint32_t install_fd_flags;
    std::uint32_t nop_flags;
    std::uint32_t pipe_flags;
  };
  std::uint64_t user_data;
  union {
    std::uint16_t buf_index;
    std::uint16_t buf_group;
  };
  std::uint16_t personality;
  union {
    std::uint32_t file_index;
    std::int32_t splice_fd_in;
    std::uint32_t zcrx_ifq_idx;
    std::uint32_t optlen;
    std::uint16_t addr_len;
    std::uint8_t write_stream;
  };
  union {
    std::uint64_t addr3;
    std::uint64_t attr_ptr;
    std::uint64_t optval;
  };
  union {
    std::uint64_t pad2;
    std::uint64_t attr_type_mask;
  };
};
static_assert(sizeof(sqe) == 64);

/// In `sqe::file_index` a direct descriptor is named by its slot plus one; this value asks the
/// kernel to choose a slot and to answer it in `cqe::res`.
inline constexpr std::uint32_t file_index_alloc = ~std::uint32_t{0};

// sqe::flags
inline constexpr std::uint8_t iosqe_fixed_file = 1u << 0;
inline constexpr std::uint8_t iosqe_io_drain = 1u << 1;
inline constexpr std::uint8_t iosqe_io_link = 1u << 2;
inline constexpr std::uint8_t iosqe_io_hardlink = 1u << 3;
inline constexpr std::uint8_t iosqe_async = 1u << 4;
inline constexpr std::uint8_t iosqe_buffer_select = 1u << 5;
inline constexpr std::uint8_t iosqe_cqe_skip_success = 1u << 6;

// ---- flags of single opcodes ----

inline constexpr std::uint32_t fsync_datasync = 1u << 0;

inline constexpr std::uint32_t timeout_abs = 1u << 0;
inline constexpr std::uint32_t timeout_update = 1u << 1;
inline constexpr std::uint32_t timeout_boottime = 1u << 2;
inline constexpr std::uint32_t timeout_realtime = 1u << 3;
inline constexpr std::uint32_t link_timeout_update = 1u << 4;
inline constexpr std::uint32_t timeout_etime_success = 1u << 5;
inline constexpr std::uint32_t timeout_multishot = 1u << 6;  // 6.4

inline constexpr std::uint32_t splice_f_fd_in_fixed = 1u << 31;

// in sqe::len of poll_add and poll_remove
inline constexpr std::uint32_t poll_add_multi = 1u << 0;
inline constexpr std::uint32_t poll_update_events = 1u << 1;
inline constexpr std::uint32_t poll_update_user_data = 1u << 2;
inline constexpr std::uint32_t poll_add_level = 1u << 3;

inline constexpr std::uint32_t async_cancel_all = 1u << 0;
inline constexpr std::uint32_t async_cancel_fd = 1u << 1;
inline constexpr std::uint32_t async_cancel_any = 1u << 2;
inline constexpr std::uint32_t async_cancel_fd_fixed = 1u << 3;
inline constexpr std::uint32_t async_cancel_userdata = 1u << 4;  // 6.6
inline constexpr std::uint32_t async_cancel_op = 1u << 5;        // 6.6

// in sqe::ioprio of the send and receive family
inline constexpr std::uint16_t recvsend_poll_first = 1u << 0;
inline constexpr std::uint16_t recv_multishot = 1u << 1;
inline constexpr std::uint16_t recvsend_fixed_buf = 1u << 2;
inline constexpr std::uint16_t send_zc_report_usage = 1u << 3;
inline constexpr std::uint16_t recvsend_bundle = 1u << 4;  // 6.10
inline constexpr std::uint16_t send_vectorized = 1u << 5;  // 6.17

// in cqe::res of a zero-copy notification when send_zc_report_usage was asked for
inline constexpr std::uint32_t notif_usage_zc_copied = 1u << 31;

// in sqe::ioprio of accept
inline constexpr std::uint16_t accept_multishot = 1u << 0;
inline constexpr std::uint16_t accept_dontwait = 1u << 1;    // 6.10
inline constexpr std::uint16_t accept_poll_first = 1u << 2;  // 6.10

// in sqe::addr of msg_ring
inline constexpr std::uint64_t msg_data = 0;
inline constexpr std::uint64_t msg_send_fd = 1;
// in sqe::msg_ring_flags
inline constexpr std::uint32_t msg_ring_cqe_skip = 1u << 0;
inline constexpr std::uint32_t msg_ring_flags_pass = 1u << 1;  // 6.3

inline constexpr std::uint32_t uring_cmd_fixed = 1u << 0;
inline constexpr std::uint32_t uring_cmd_multishot = 1u << 1;  // 6.18

inline constexpr std::uint32_t socket_uring_op_siocinq = 0;
inline constexpr std::uint32_t socket_uring_op_siocoutq = 1;
inline constexpr std::uint32_t socket_uring_op_getsockopt = 2;
inline constexpr std::uint32_t socket_uring_op_setsockopt = 3;

inline constexpr std::uint32_t fixed_fd_no_cloexec = 1u << 0;

inline constexpr std::uint32_t nop_inject_result = 1u << 0;
inline constexpr std::uint32_t nop_file = 1u << 1;
inline constexpr std::uint32_t nop_fixed_file = 1u << 2;
inline constexpr std::uint32_t nop_fixed_buffer = 1u << 3;
inline constexpr std::uint32_t nop_tw = 1u << 4;

// ---- the completion entry ----

struct cqe {
  std::uint64_t user_data;
  std::int32_t res;
  std::uint32_t flags;  // cqe_f_*
};
static_assert(sizeof(cqe) == 16);

inline constexpr std::uint32_t cqe_f_buffer = 1u << 0;
inline constexpr std::uint32_t cqe_f_more = 1u << 1;
inline constexpr std::uint32_t cqe_f_sock_nonempty = 1u << 2;
inline constexpr std::uint32_t cqe_f_notif = 1u << 3;
inline constexpr std::uint32_t cqe_f_buf_more = 1u << 4;  // 6.12
inline constexpr std::uint32_t cqe_f_skip = 1u << 5;      // 6.18
inline constexpr std::uint32_t cqe_f_32 = 1u << 15;       // 6.18
inline constexpr unsigned cqe_buffer_shift = 16;

// ---- set-up ----

struct sqring_offsets {
  std::uint32_t head, tail, ring_mask, ring_entries, flags, dropped, array, resv1;
  std::uint64_t user_addr;
};
static_assert(sizeof(sqring_offsets) == 40);

struct cqring_offsets {
  std::uint32_t head, tail, ring_mask, ring_entries, overflow, cqes, flags, resv1;
  std::uint64_t user_addr;
};
static_assert(sizeof(cqring_offsets) == 40);

struct params {
  std::uint32_t sq_entries, cq_entries, flags, sq_thread_cpu, sq_thread_idle, features, wq_fd;
  std::uint32_t resv[3];
  sqring_offsets sq_off;
  cqring_offsets cq_off;
};
static_assert(sizeof(params) == 120);

inline constexpr std::uint32_t setup_iopoll = 1u << 0;
inline constexpr std::uint32_t setup_sqpoll = 1u << 1;
inline constexpr std::uint32_t setup_sq_aff = 1u << 2;
inline constexpr std::uint32_t setup_cqsize = 1u << 3;
inline constexpr std::uint32_t setup_clamp = 1u << 4;
inline constexpr std::uint32_t setup_attach_wq = 1u << 5;
inline constexpr std::uint32_t setup_r_disabled = 1u << 6;
inline constexpr std::uint32_t setup_submit_all = 1u << 7;
inline constexpr std::uint32_t setup_coop_taskrun = 1u << 8;
inline constexpr std::uint32_t setup_taskrun_flag = 1u << 9;
inline constexpr std::uint32_t setup_sqe128 = 1u << 10;
inline constexpr std::uint32_t setup_cqe32 = 1u << 11;
inline constexpr std::uint32_t setup_single_issuer = 1u << 12;
inline constexpr std::uint32_t setup_defer_taskrun = 1u << 13;
inline constexpr std::uint32_t setup_no_mmap = 1u << 14;             // 6.5
inline constexpr std::uint32_t setup_registered_fd_only = 1u << 15;  // 6.5
inline constexpr std::uint32_t setup_no_sqarray = 1u << 16;          // 6.6
inline constexpr std::uint32_t setup_hybrid_iopoll = 1u << 17;       // 6.13
inline constexpr std::uint32_t setup_cqe_mixed = 1u << 18;           // 6.18
inline constexpr std::uint32_t setup_sqe_mixed = 1u << 19;           // 6.19

inline constexpr std::uint32_t feat_single_mmap = 1u << 0;
inline constexpr std::uint32_t feat_nodrop = 1u << 1;
inline constexpr std::uint32_t feat_submit_stable = 1u << 2;
inline constexpr std::uint32_t feat_rw_cur_pos = 1u << 3;
inline constexpr std::uint32_t feat_cur_personality = 1u << 4;
inline constexpr std::uint32_t feat_fast_poll = 1u << 5;
inline constexpr std::uint32_t feat_poll_32bits = 1u << 6;
inline constexpr std::uint32_t feat_sqpoll_nonfixed = 1u << 7;
inline constexpr std::uint32_t feat_ext_arg = 1u << 8;
inline constexpr std::uint32_t feat_native_workers = 1u << 9;
inline constexpr std::uint32_t feat_rsrc_tags = 1u << 10;
inline constexpr std::uint32_t feat_cqe_skip = 1u << 11;
inline constexpr std::uint32_t feat_linked_file = 1u << 12;
inline constexpr std::uint32_t feat_reg_reg_ring = 1u << 13;     // 6.3
inline constexpr std::uint32_t feat_recvsend_bundle = 1u << 14;  // 6.10
inline constexpr std::uint32_t feat_min_timeout = 1u << 15;      // 6.12
inline constexpr std::uint32_t feat_rw_attr = 1u << 16;          // 6.14
inline constexpr std::uint32_t feat_no_iowait = 1u << 17;        // 6.15

// offsets given to mmap on the ring descriptor
inline constexpr std::uint64_t off_sq_ring = 0;
inline constexpr std::uint64_t off_cq_ring = 0x8000000;
inline constexpr std::uint64_t off_sqes = 0x10000000;
inline constexpr std::uint64_t off_pbuf_ring = 0x80000000;
inline constexpr unsigned off_pbuf_shift = 16;
inline constexpr std::uint64_t off_mmap_mask = 0xf8000000;

// what the kernel says in the shared flags of the queues
inline constexpr std::uint32_t sq_need_wakeup = 1u << 0;
inline constexpr std::uint32_t sq_cq_overflow = 1u << 1;
inline constexpr std::uint32_t sq_taskrun = 1u << 2;
inline constexpr std::uint32_t cq_eventfd_disabled = 1u << 0;

// ---- enter ----

inline constexpr std::uint32_t enter_getevents = 1u << 0;
inline constexpr std::uint32_t enter_sq_wakeup = 1u << 1;
inline constexpr std::uint32_t enter_sq_wait = 1u << 2;
inline constexpr std::uint32_t enter_ext_arg = 1u << 3;
inline constexpr std::uint32_t enter_registered_ring = 1u << 4;
inline constexpr std::uint32_t enter_abs_timer = 1u << 5;    // 6.12
inline constexpr std::uint32_t enter_ext_arg_reg = 1u << 6;  // 6.13
inline constexpr std::uint32_t enter_no_iowait = 1u << 7;    // 6.15

/// The kernel's 64-bit timespec, which is not the C library's on every machine.
struct timespec64 {
  std::int64_t tv_sec;
  std::int64_t tv_nsec;
};
static_assert(sizeof(timespec64) == 16);

/// The argument of enter with enter_ext_arg.
struct getevents_arg {
  std::uint64_t sigmask;
  std::uint32_t sigmask_sz;
  std::uint32_t min_wait_usec;  // padding before 6.12
  std::uint64_t ts;
};
static_assert(sizeof(getevents_arg) == 24);

// ---- register ----

enum register_op : unsigned {
  register_buffers = 0,
  unregister_buffers = 1,
  register_files = 2,
  unregister_files = 3,
  register_eventfd = 4,
  unregister_eventfd = 5,
  register_files_update = 6,
  register_eventfd_async = 7,
  register_probe = 8,
  register_personality = 9,
  unregister_personality = 10,
  register_restrictions = 11,
  register_enable_rings = 12,
  register_files2 = 13,
  register_files_update2 = 14,
  register_buffers2 = 15,
  register_buffers_update = 16,
  register_iowq_aff = 17,
  unregister_iowq_aff = 18,
  register_iowq_max_workers = 19,
  register_ring_fds = 20,
  unregister_ring_fds = 21,
  register_pbuf_ring = 22,
  unregister_pbuf_ring = 23,
  register_sync_cancel = 24,
  register_file_alloc_range = 25,
  register_pbuf_status = 26,    // 6.8
  register_napi = 27,           // 6.9
  unregister_napi = 28,         // 6.9
  register_clock = 29,          // 6.12
  register_clone_buffers = 30,  // 6.12
  register_send_msg_ring = 31,  // 6.13
  register_zcrx_ifq = 32,       // 6.15
  register_resize_rings = 33,   // 6.13
  register_mem_region = 34,     // 6.13
  register_query = 35,          // 6.18
};
inline constexpr unsigned register_use_registered_ring = 1u << 31;

inline constexpr unsigned io_wq_bound = 0;
inline constexpr unsigned io_wq_unbound = 1;

inline constexpr std::int32_t register_files_skip = -2;
inline constexpr std::uint32_t rsrc_register_sparse = 1u << 0;
inline constexpr std::uint16_t op_supported = 1u << 0;  // in probe_op::flags

struct files_update {
  std::uint32_t offset, resv;
  std::uint64_t fds;
};

struct rsrc_register {
  std::uint32_t nr, flags;
  std::uint64_t resv2, data, tags;
};

struct rsrc_update {
  std::uint32_t offset, resv;
  std::uint64_t data;
};

struct rsrc_update2 {
  std::uint32_t offset, resv;
  std::uint64_t data, tags;
  std::uint32_t nr, resv2;
};

struct probe_op {
  std::uint8_t op, resv;
  std::uint16_t flags;
  std::uint32_t resv2;
};

/// The kernel's probe ends in an open array; 256 is all that a one-byte opcode can name.
struct probe {
  std::uint8_t last_op, ops_len;
  std::uint16_t resv;
  std::uint32_t resv2[3];
  probe_op ops[256];
};

struct restriction {
  std::uint16_t opcode;
  union {
    std::uint8_t register_op, sqe_op, sqe_flags;
  };
  std::uint8_t resv;
  std::uint32_t resv2[3];
};
inline constexpr std::uint16_t restriction_register_op = 0;
inline constexpr std::uint16_t restriction_sqe_op = 1;
inline constexpr std::uint16_t restriction_sqe_flags_allowed = 2;
inline constexpr std::uint16_t restriction_sqe_flags_required = 3;

/// One entry of a ring of provided buffers. The ring's tail is kept in `resv` of entry 0.
struct buf {
  std::uint64_t addr;
  std::uint32_t len;
  std::uint16_t bid, resv;
};
inline constexpr std::size_t buf_ring_tail_offset = 14;

struct buf_reg {
  std::uint64_t ring_addr;
  std::uint32_t ring_entries;
  std::uint16_t bgid, flags;  // pbuf_ring_*
  std::uint64_t resv[3];
};
inline constexpr std::uint16_t pbuf_ring_mmap = 1u << 0;  // 6.4
inline constexpr std::uint16_t pbuf_ring_inc = 1u << 1;   // 6.12

struct buf_status {
  std::uint32_t buf_group, head;
  std::uint32_t resv[8];
};

struct sync_cancel_reg {
  std::uint64_t addr;
  std::int32_t fd;
  std::uint32_t flags;
  timespec64 timeout;
  std::uint8_t opcode;
  std::uint8_t pad[7];
  std::uint64_t pad2[3];
};

struct file_index_range {
  std::uint32_t off, len;
  std::uint64_t resv;
};

struct clock_register {
  std::uint32_t clockid;
  std::uint32_t resv[3];
};

struct clone_buffers {
  std::uint32_t src_fd, flags, src_off, dst_off, nr;
  std::uint32_t pad[3];
};
inline constexpr std::uint32_t register_src_registered = 1u << 0;
inline constexpr std::uint32_t register_dst_replace = 1u << 1;

/// What a multishot recvmsg writes before the payload in the provided buffer.
struct recvmsg_out {
  std::uint32_t namelen, controllen, payloadlen, flags;
};

static_assert(sizeof(files_update) == 16 && sizeof(rsrc_register) == 32);
static_assert(sizeof(rsrc_update) == 16 && sizeof(rsrc_update2) == 32);
static_assert(sizeof(probe_op) == 8 && sizeof(restriction) == 16);
static_assert(sizeof(buf) == 16 && sizeof(buf_reg) == 40 && sizeof(buf_status) == 40);
static_assert(sizeof(sync_cancel_reg) == 64 && sizeof(file_index_range) == 16);
static_assert(sizeof(clock_register) == 16 && sizeof(clone_buffers) == 32);

}  // namespace parkring::kernel::abi
