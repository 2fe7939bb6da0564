// Our ABI header against the system's, wherever the system's has the name. The oldest system header
// that has to compile this is that of Linux 6.1.
#include "kernel/abi.hpp"

#include <gtest/gtest.h>
#include <linux/io_uring.h>
#include <sys/syscall.h>

#include <cstddef>

// In our namespace, because the C++ run-time has a namespace abi of its own.
namespace parkring::kernel {

static_assert(abi::sys_io_uring_setup == SYS_io_uring_setup);
static_assert(abi::sys_io_uring_enter == SYS_io_uring_enter);
static_assert(abi::sys_io_uring_register == SYS_io_uring_register);

#define SAME_SIZE(ours, theirs) static_assert(sizeof(abi::ours) == sizeof(theirs))
#define SAME_FIELD(ours, theirs, field)                                  \
  static_assert(offsetof(abi::ours, field) == offsetof(theirs, field) && \
                sizeof(abi::ours::field) == sizeof(theirs::field))

// ---- structures ----
SAME_SIZE(sqe, io_uring_sqe);
#define SQE(field) SAME_FIELD(sqe, io_uring_sqe, field)
SQE(opcode);
SQE(flags);
SQE(ioprio);
SQE(fd);
SQE(off);
SQE(addr2);
SQE(cmd_op);
SQE(addr);
SQE(splice_off_in);
SQE(len);
SQE(rw_flags);
SQE(fsync_flags);
SQE(poll32_events);
SQE(sync_range_flags);
SQE(msg_flags);
SQE(timeout_flags);
SQE(accept_flags);
SQE(cancel_flags);
SQE(open_flags);
SQE(statx_flags);
SQE(fadvise_advice);
SQE(splice_flags);
SQE(rename_flags);
SQE(unlink_flags);
SQE(hardlink_flags);
SQE(xattr_flags);
SQE(msg_ring_flags);
SQE(uring_cmd_flags);
SQE(user_data);
SQE(buf_index);
SQE(buf_group);
SQE(personality);
SQE(splice_fd_in);
SQE(file_index);
SQE(addr_len);
SQE(addr3);
static_assert(offsetof(abi::sqe, op_flags) == offsetof(io_uring_sqe, rw_flags));
static_assert(offsetof(abi::sqe, pad2) == offsetof(io_uring_sqe, __pad2));

SAME_SIZE(cqe, io_uring_cqe);
SAME_FIELD(cqe, io_uring_cqe, user_data);
SAME_FIELD(cqe, io_uring_cqe, res);
SAME_FIELD(cqe, io_uring_cqe, flags);

SAME_SIZE(params, io_uring_params);
#define PARAM(field) SAME_FIELD(params, io_uring_params, field)
PARAM(sq_entries);
PARAM(cq_entries);
PARAM(flags);
PARAM(sq_thread_cpu);
PARAM(sq_thread_idle);
PARAM(features);
PARAM(wq_fd);
PARAM(resv);
PARAM(sq_off);
PARAM(cq_off);
#define SQ_OFFSET(field) SAME_FIELD(sqring_offsets, io_sqring_offsets, field)
SQ_OFFSET(head);
SQ_OFFSET(tail);
SQ_OFFSET(ring_mask);
SQ_OFFSET(ring_entries);
SQ_OFFSET(flags);
SQ_OFFSET(dropped);
SQ_OFFSET(array);
SQ_OFFSET(resv1);
#define CQ_OFFSET(field) SAME_FIELD(cqring_offsets, io_cqring_offsets, field)
CQ_OFFSET(head);
CQ_OFFSET(tail);
CQ_OFFSET(ring_mask);
CQ_OFFSET(ring_entries);
CQ_OFFSET(overflow);
CQ_OFFSET(cqes);
CQ_OFFSET(flags);
CQ_OFFSET(resv1);

SAME_SIZE(timespec64, __kernel_timespec);
SAME_FIELD(timespec64, __kernel_timespec, tv_sec);
SAME_FIELD(timespec64, __kernel_timespec, tv_nsec);

SAME_SIZE(getevents_arg, io_uring_getevents_arg);
SAME_FIELD(getevents_arg, io_uring_getevents_arg, sigmask);
SAME_FIELD(getevents_arg, io_uring_getevents_arg, sigmask_sz);
SAME_FIELD(getevents_arg, io_uring_getevents_arg, ts);

SAME_SIZE(files_update, io_uring_files_update);
SAME_FIELD(files_update, io_uring_files_update, offset);
SAME_FIELD(files_update, io_uring_files_update, fds);

SAME_SIZE(rsrc_register, io_uring_rsrc_register);
SAME_FIELD(rsrc_register, io_uring_rsrc_register, nr);
SAME_FIELD(rsrc_register, io_uring_rsrc_register, flags);
SAME_FIELD(rsrc_register, io_uring_rsrc_register, resv2);
SAME_FIELD(rsrc_register, io_uring_rsrc_register, data);
SAME_FIELD(rsrc_register, io_uring_rsrc_register, tags);

SAME_SIZE(rsrc_update, io_uring_rsrc_update);
SAME_FIELD(rsrc_update, io_uring_rsrc_update, offset);
SAME_FIELD(rsrc_update, io_uring_rsrc_update, data);

SAME_SIZE(rsrc_update2, io_uring_rsrc_update2);
SAME_FIELD(rsrc_update2, io_uring_rsrc_update2, offset);
SAME_FIELD(rsrc_update2, io_uring_rsrc_update2, data);
SAME_FIELD(rsrc_update2, io_uring_rsrc_update2, tags);
SAME_FIELD(rsrc_update2, io_uring_rsrc_update2, nr);

SAME_SIZE(probe_op, io_uring_probe_op);
SAME_FIELD(probe_op, io_uring_probe_op, op);
SAME_FIELD(probe_op, io_uring_probe_op, flags);
static_assert(offsetof(abi::probe, ops) == sizeof(io_uring_probe));
SAME_FIELD(probe, io_uring_probe, last_op);
SAME_FIELD(probe, io_uring_probe, ops_len);

SAME_SIZE(restriction, io_uring_restriction);
SAME_FIELD(restriction, io_uring_restriction, opcode);
SAME_FIELD(restriction, io_uring_restriction, register_op);
SAME_FIELD(restriction, io_uring_restriction, sqe_op);
SAME_FIELD(restriction, io_uring_restriction, sqe_flags);

SAME_SIZE(buf, io_uring_buf);
SAME_FIELD(buf, io_uring_buf, addr);
SAME_FIELD(buf, io_uring_buf, len);
SAME_FIELD(buf, io_uring_buf, bid);
SAME_FIELD(buf, io_uring_buf, resv);
static_assert(abi::buf_ring_tail_offset == offsetof(io_uring_buf_ring, tail));

SAME_SIZE(buf_reg, io_uring_buf_reg);
SAME_FIELD(buf_reg, io_uring_buf_reg, ring_addr);
SAME_FIELD(buf_reg, io_uring_buf_reg, ring_entries);
SAME_FIELD(buf_reg, io_uring_buf_reg, bgid);

SAME_SIZE(sync_cancel_reg, io_uring_sync_cancel_reg);
SAME_FIELD(sync_cancel_reg, io_uring_sync_cancel_reg, addr);
SAME_FIELD(sync_cancel_reg, io_uring_sync_cancel_reg, fd);
SAME_FIELD(sync_cancel_reg, io_uring_sync_cancel_reg, flags);
SAME_FIELD(sync_cancel_reg, io_uring_sync_cancel_reg, timeout);

SAME_SIZE(file_index_range, io_uring_file_index_range);
SAME_FIELD(file_index_range, io_uring_file_index_range, off);
SAME_FIELD(file_index_range, io_uring_file_index_range, len);

SAME_SIZE(recvmsg_out, io_uring_recvmsg_out);
SAME_FIELD(recvmsg_out, io_uring_recvmsg_out, namelen);
SAME_FIELD(recvmsg_out, io_uring_recvmsg_out, controllen);
SAME_FIELD(recvmsg_out, io_uring_recvmsg_out, payloadlen);
SAME_FIELD(recvmsg_out, io_uring_recvmsg_out, flags);

// ---- values ----
#define SAME(ours, theirs) \
  static_assert(static_cast<long long>(abi::ours) == static_cast<long long>(theirs))
SAME(file_index_alloc, IORING_FILE_INDEX_ALLOC);
SAME(iosqe_fixed_file, IOSQE_FIXED_FILE);
SAME(iosqe_io_drain, IOSQE_IO_DRAIN);
SAME(iosqe_io_link, IOSQE_IO_LINK);
SAME(iosqe_io_hardlink, IOSQE_IO_HARDLINK);
SAME(iosqe_async, IOSQE_ASYNC);
SAME(iosqe_buffer_select, IOSQE_BUFFER_SELECT);
SAME(iosqe_cqe_skip_success, IOSQE_CQE_SKIP_SUCCESS);
SAME(fsync_datasync, IORING_FSYNC_DATASYNC);
SAME(timeout_abs, IORING_TIMEOUT_ABS);
SAME(timeout_update, IORING_TIMEOUT_UPDATE);
SAME(timeout_boottime, IORING_TIMEOUT_BOOTTIME);
SAME(timeout_realtime, IORING_TIMEOUT_REALTIME);
SAME(link_timeout_update, IORING_LINK_TIMEOUT_UPDATE);
SAME(timeout_etime_success, IORING_TIMEOUT_ETIME_SUCCESS);
SAME(splice_f_fd_in_fixed, SPLICE_F_FD_IN_FIXED);
SAME(poll_add_multi, IORING_POLL_ADD_MULTI);
SAME(poll_update_events, IORING_POLL_UPDATE_EVENTS);
SAME(poll_update_user_data, IORING_POLL_UPDATE_USER_DATA);
SAME(poll_add_level, IORING_POLL_ADD_LEVEL);
SAME(async_cancel_all, IORING_ASYNC_CANCEL_ALL);
SAME(async_cancel_fd, IORING_ASYNC_CANCEL_FD);
SAME(async_cancel_any, IORING_ASYNC_CANCEL_ANY);
SAME(async_cancel_fd_fixed, IORING_ASYNC_CANCEL_FD_FIXED);
#ifdef IORING_ASYNC_CANCEL_USERDATA  // not in the first headers of Linux 6.1
SAME(async_cancel_userdata, IORING_ASYNC_CANCEL_USERDATA);
SAME(async_cancel_op, IORING_ASYNC_CANCEL_OP);
#endif
SAME(recvsend_poll_first, IORING_RECVSEND_POLL_FIRST);
SAME(recv_multishot, IORING_RECV_MULTISHOT);
SAME(recvsend_fixed_buf, IORING_RECVSEND_FIXED_BUF);
SAME(send_zc_report_usage, IORING_SEND_ZC_REPORT_USAGE);
SAME(notif_usage_zc_copied, IORING_NOTIF_USAGE_ZC_COPIED);
SAME(accept_multishot, IORING_ACCEPT_MULTISHOT);
SAME(msg_data, IORING_MSG_DATA);
SAME(msg_send_fd, IORING_MSG_SEND_FD);
SAME(msg_ring_cqe_skip, IORING_MSG_RING_CQE_SKIP);
SAME(uring_cmd_fixed, IORING_URING_CMD_FIXED);
SAME(cqe_f_buffer, IORING_CQE_F_BUFFER);
SAME(cqe_f_more, IORING_CQE_F_MORE);
SAME(cqe_f_sock_nonempty, IORING_CQE_F_SOCK_NONEMPTY);
SAME(cqe_f_notif, IORING_CQE_F_NOTIF);
SAME(cqe_buffer_shift, IORING_CQE_BUFFER_SHIFT);
SAME(setup_iopoll, IORING_SETUP_IOPOLL);
SAME(setup_sqpoll, IORING_SETUP_SQPOLL);
SAME(setup_sq_aff, IORING_SETUP_SQ_AFF);
SAME(setup_cqsize, IORING_SETUP_CQSIZE);
SAME(setup_clamp, IORING_SETUP_CLAMP);
SAME(setup_attach_wq, IORING_SETUP_ATTACH_WQ);
SAME(setup_r_disabled, IORING_SETUP_R_DISABLED);
SAME(setup_submit_all, IORING_SETUP_SUBMIT_ALL);
SAME(setup_coop_taskrun, IORING_SETUP_COOP_TASKRUN);
SAME(setup_taskrun_flag, IORING_SETUP_TASKRUN_FLAG);
SAME(setup_sqe128, IORING_SETUP_SQE128);
SAME(setup_cqe32, IORING_SETUP_CQE32);
SAME(setup_single_issuer, IORING_SETUP_SINGLE_ISSUER);
SAME(setup_defer_taskrun, IORING_SETUP_DEFER_TASKRUN);
SAME(feat_single_mmap, IORING_FEAT_SINGLE_MMAP);
SAME(feat_nodrop, IORING_FEAT_NODROP);
SAME(feat_submit_stable, IORING_FEAT_SUBMIT_STABLE);
SAME(feat_rw_cur_pos, IORING_FEAT_RW_CUR_POS);
SAME(feat_cur_personality, IORING_FEAT_CUR_PERSONALITY);
SAME(feat_fast_poll, IORING_FEAT_FAST_POLL);
SAME(feat_poll_32bits, IORING_FEAT_POLL_32BITS);
SAME(feat_sqpoll_nonfixed, IORING_FEAT_SQPOLL_NONFIXED);
SAME(feat_ext_arg, IORING_FEAT_EXT_ARG);
SAME(feat_native_workers, IORING_FEAT_NATIVE_WORKERS);
SAME(feat_rsrc_tags, IORING_FEAT_RSRC_TAGS);
SAME(feat_cqe_skip, IORING_FEAT_CQE_SKIP);
SAME(feat_linked_file, IORING_FEAT_LINKED_FILE);
SAME(off_sq_ring, IORING_OFF_SQ_RING);
SAME(off_cq_ring, IORING_OFF_CQ_RING);
SAME(off_sqes, IORING_OFF_SQES);
#ifdef IORING_OFF_MMAP_MASK  // likewise
SAME(off_mmap_mask, IORING_OFF_MMAP_MASK);
#endif
SAME(sq_need_wakeup, IORING_SQ_NEED_WAKEUP);
SAME(sq_cq_overflow, IORING_SQ_CQ_OVERFLOW);
SAME(sq_taskrun, IORING_SQ_TASKRUN);
SAME(cq_eventfd_disabled, IORING_CQ_EVENTFD_DISABLED);
SAME(enter_getevents, IORING_ENTER_GETEVENTS);
SAME(enter_sq_wakeup, IORING_ENTER_SQ_WAKEUP);
SAME(enter_sq_wait, IORING_ENTER_SQ_WAIT);
SAME(enter_ext_arg, IORING_ENTER_EXT_ARG);
SAME(enter_registered_ring, IORING_ENTER_REGISTERED_RING);
SAME(io_wq_bound, IO_WQ_BOUND);
SAME(io_wq_unbound, IO_WQ_UNBOUND);
SAME(register_files_skip, IORING_REGISTER_FILES_SKIP);
SAME(rsrc_register_sparse, IORING_RSRC_REGISTER_SPARSE);
SAME(op_supported, IO_URING_OP_SUPPORTED);
SAME(restriction_register_op, IORING_RESTRICTION_REGISTER_OP);
SAME(restriction_sqe_op, IORING_RESTRICTION_SQE_OP);
SAME(restriction_sqe_flags_allowed, IORING_RESTRICTION_SQE_FLAGS_ALLOWED);
SAME(restriction_sqe_flags_required, IORING_RESTRICTION_SQE_FLAGS_REQUIRED);
SAME(op_nop, IORING_OP_NOP);
SAME(op_readv, IORING_OP_READV);
SAME(op_writev, IORING_OP_WRITEV);
SAME(op_fsync, IORING_OP_FSYNC);
SAME(op_read_fixed, IORING_OP_READ_FIXED);
SAME(op_write_fixed, IORING_OP_WRITE_FIXED);
SAME(op_poll_add, IORING_OP_POLL_ADD);
SAME(op_poll_remove, IORING_OP_POLL_REMOVE);
SAME(op_sync_file_range, IORING_OP_SYNC_FILE_RANGE);
SAME(op_sendmsg, IORING_OP_SENDMSG);
SAME(op_recvmsg, IORING_OP_RECVMSG);
SAME(op_timeout, IORING_OP_TIMEOUT);
SAME(op_timeout_remove, IORING_OP_TIMEOUT_REMOVE);
SAME(op_accept, IORING_OP_ACCEPT);
SAME(op_async_cancel, IORING_OP_ASYNC_CANCEL);
SAME(op_link_timeout, IORING_OP_LINK_TIMEOUT);
SAME(op_connect, IORING_OP_CONNECT);
SAME(op_fallocate, IORING_OP_FALLOCATE);
SAME(op_openat, IORING_OP_OPENAT);
SAME(op_close, IORING_OP_CLOSE);
SAME(op_files_update, IORING_OP_FILES_UPDATE);
SAME(op_statx, IORING_OP_STATX);
SAME(op_read, IORING_OP_READ);
SAME(op_write, IORING_OP_WRITE);
SAME(op_fadvise, IORING_OP_FADVISE);
SAME(op_madvise, IORING_OP_MADVISE);
SAME(op_send, IORING_OP_SEND);
SAME(op_recv, IORING_OP_RECV);
SAME(op_openat2, IORING_OP_OPENAT2);
SAME(op_epoll_ctl, IORING_OP_EPOLL_CTL);
SAME(op_splice, IORING_OP_SPLICE);
SAME(op_provide_buffers, IORING_OP_PROVIDE_BUFFERS);
SAME(op_remove_buffers, IORING_OP_REMOVE_BUFFERS);
SAME(op_tee, IORING_OP_TEE);
SAME(op_shutdown, IORING_OP_SHUTDOWN);
SAME(op_renameat, IORING_OP_RENAMEAT);
SAME(op_unlinkat, IORING_OP_UNLINKAT);
SAME(op_mkdirat, IORING_OP_MKDIRAT);
SAME(op_symlinkat, IORING_OP_SYMLINKAT);
SAME(op_linkat, IORING_OP_LINKAT);
SAME(op_msg_ring, IORING_OP_MSG_RING);
SAME(op_fsetxattr, IORING_OP_FSETXATTR);
SAME(op_setxattr, IORING_OP_SETXATTR);
SAME(op_fgetxattr, IORING_OP_FGETXATTR);
SAME(op_getxattr, IORING_OP_GETXATTR);
SAME(op_socket, IORING_OP_SOCKET);
SAME(op_uring_cmd, IORING_OP_URING_CMD);
SAME(op_send_zc, IORING_OP_SEND_ZC);
SAME(op_sendmsg_zc, IORING_OP_SENDMSG_ZC);
SAME(register_buffers, IORING_REGISTER_BUFFERS);
SAME(unregister_buffers, IORING_UNREGISTER_BUFFERS);
SAME(register_files, IORING_REGISTER_FILES);
SAME(unregister_files, IORING_UNREGISTER_FILES);
SAME(register_eventfd, IORING_REGISTER_EVENTFD);
SAME(unregister_eventfd, IORING_UNREGISTER_EVENTFD);
SAME(register_files_update, IORING_REGISTER_FILES_UPDATE);
SAME(register_eventfd_async, IORING_REGISTER_EVENTFD_ASYNC);
SAME(register_probe, IORING_REGISTER_PROBE);
SAME(register_personality, IORING_REGISTER_PERSONALITY);
SAME(unregister_personality, IORING_UNREGISTER_PERSONALITY);
SAME(register_restrictions, IORING_REGISTER_RESTRICTIONS);
SAME(register_enable_rings, IORING_REGISTER_ENABLE_RINGS);
SAME(register_files2, IORING_REGISTER_FILES2);
SAME(register_files_update2, IORING_REGISTER_FILES_UPDATE2);
SAME(register_buffers2, IORING_REGISTER_BUFFERS2);
SAME(register_buffers_update, IORING_REGISTER_BUFFERS_UPDATE);
SAME(register_iowq_aff, IORING_REGISTER_IOWQ_AFF);
SAME(unregister_iowq_aff, IORING_UNREGISTER_IOWQ_AFF);
SAME(register_iowq_max_workers, IORING_REGISTER_IOWQ_MAX_WORKERS);
SAME(register_ring_fds, IORING_REGISTER_RING_FDS);
SAME(unregister_ring_fds, IORING_UNREGISTER_RING_FDS);
SAME(register_pbuf_ring, IORING_REGISTER_PBUF_RING);
SAME(unregister_pbuf_ring, IORING_UNREGISTER_PBUF_RING);
SAME(register_sync_cancel, IORING_REGISTER_SYNC_CANCEL);
SAME(register_file_alloc_range, IORING_REGISTER_FILE_ALLOC_RANGE);

namespace {

TEST(KernelAbi, every_known_opcode_has_a_name_and_no_other_has) {
  for (unsigned i = 0; i < abi::op_last; ++i) EXPECT_NE(abi::op_name(i), nullptr) << i;
  EXPECT_STREQ(abi::op_name(abi::op_nop), "NOP");
  EXPECT_STREQ(abi::op_name(abi::op_socket), "SOCKET");
  EXPECT_STREQ(abi::op_name(abi::op_read_multishot), "READ_MULTISHOT");
  EXPECT_STREQ(abi::op_name(abi::op_pipe), "PIPE");
  EXPECT_EQ(abi::op_name(abi::op_last), nullptr);
}

}  // namespace
}  // namespace parkring::kernel
