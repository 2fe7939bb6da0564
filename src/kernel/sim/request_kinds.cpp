#include "kernel/sim/request_kinds.hpp"

#include "kernel/abi.hpp"

namespace parkring::kernel::sim {

using parkring::sim::operation_kind;

manner manner_of(unsigned opcode) noexcept {
  switch (opcode) {
    case abi::op_read:
    case abi::op_write:
    case abi::op_readv:
    case abi::op_writev:
    case abi::op_read_fixed:
    case abi::op_write_fixed:
    case abi::op_fsync:
    case abi::op_sync_file_range:
    case abi::op_fallocate:
    case abi::op_ftruncate:
    case abi::op_fadvise:
      return manner::file;
    case abi::op_openat:
    case abi::op_openat2:
    case abi::op_close:
    case abi::op_statx:
    case abi::op_renameat:
    case abi::op_unlinkat:
    case abi::op_mkdirat:
    case abi::op_symlinkat:
    case abi::op_linkat:
    case abi::op_madvise:
      return manner::path;
    case abi::op_poll_add:
    case abi::op_send:
    case abi::op_recv:
    case abi::op_sendmsg:
    case abi::op_recvmsg:
    case abi::op_send_zc:
    case abi::op_sendmsg_zc:
    case abi::op_accept:
    case abi::op_connect:
    case abi::op_read_multishot:
      return manner::stream;
    case abi::op_socket:
    case abi::op_bind:
    case abi::op_listen:
    case abi::op_shutdown:
    case abi::op_pipe:
    case abi::op_msg_ring:
      return manner::socket;
    default:
      return manner::none;
  }
}

operation_kind kind_of(unsigned opcode, bool of_stream) noexcept {
  switch (opcode) {
    case abi::op_read:
    case abi::op_readv:
    case abi::op_read_fixed:
      return of_stream ? operation_kind::receive : operation_kind::read;
    case abi::op_write:
    case abi::op_writev:
    case abi::op_write_fixed:
      return of_stream ? operation_kind::send : operation_kind::write;
    case abi::op_fsync:
      return operation_kind::sync;
    case abi::op_ftruncate:
    case abi::op_fallocate:
      return operation_kind::resize;
    case abi::op_openat:
    case abi::op_openat2:
    case abi::op_close:
      return operation_kind::open;
    case abi::op_statx:
    case abi::op_renameat:
    case abi::op_unlinkat:
    case abi::op_mkdirat:
    case abi::op_symlinkat:
    case abi::op_linkat:
      return operation_kind::metadata;
    case abi::op_recv:
    case abi::op_recvmsg:
    case abi::op_read_multishot:
      return operation_kind::receive;
    case abi::op_send:
    case abi::op_sendmsg:
    case abi::op_send_zc:
    case abi::op_sendmsg_zc:
      return operation_kind::send;
    case abi::op_accept:
    case abi::op_connect:
      return operation_kind::connect;
    default:
      return operation_kind::other;
  }
}

}  // namespace parkring::kernel::sim
