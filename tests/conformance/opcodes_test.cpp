// The table of opcodes in docs/design/opcodes.md is what the machines answer to a probe.
//
//   PARKRING_RENEW_DOCUMENTS=1  writes the table instead of comparing it
#include <gtest/gtest.h>
#include <sys/utsname.h>

#include <bitset>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>

#include "conformance/machine.hpp"

namespace parkring::conformance {
namespace {

// The Linux that has an opcode first: major and minor version.
constexpr std::pair<int, int> since[] = {
    {5, 1},   // NOP
    {5, 1},   // READV
    {5, 1},   // WRITEV
    {5, 1},   // FSYNC
    {5, 1},   // READ_FIXED
    {5, 1},   // WRITE_FIXED
    {5, 1},   // POLL_ADD
    {5, 1},   // POLL_REMOVE
    {5, 2},   // SYNC_FILE_RANGE
    {5, 3},   // SENDMSG
    {5, 3},   // RECVMSG
    {5, 4},   // TIMEOUT
    {5, 5},   // TIMEOUT_REMOVE
    {5, 5},   // ACCEPT
    {5, 5},   // ASYNC_CANCEL
    {5, 5},   // LINK_TIMEOUT
    {5, 5},   // CONNECT
    {5, 6},   // FALLOCATE
    {5, 6},   // OPENAT
    {5, 6},   // CLOSE
    {5, 6},   // FILES_UPDATE
    {5, 6},   // STATX
    {5, 6},   // READ
    {5, 6},   // WRITE
    {5, 6},   // FADVISE
    {5, 6},   // MADVISE
    {5, 6},   // SEND
    {5, 6},   // RECV
    {5, 6},   // OPENAT2
    {5, 6},   // EPOLL_CTL
    {5, 7},   // SPLICE
    {5, 7},   // PROVIDE_BUFFERS
    {5, 7},   // REMOVE_BUFFERS
    {5, 8},   // TEE
    {5, 11},  // SHUTDOWN
    {5, 11},  // RENAMEAT
    {5, 11},  // UNLINKAT
    {5, 15},  // MKDIRAT
    {5, 15},  // SYMLINKAT
    {5, 15},  // LINKAT
    {5, 18},  // MSG_RING
    {5, 19},  // FSETXATTR
    {5, 19},  // SETXATTR
    {5, 19},  // FGETXATTR
    {5, 19},  // GETXATTR
    {5, 19},  // SOCKET
    {5, 19},  // URING_CMD
    {6, 0},   // SEND_ZC
    {6, 1},   // SENDMSG_ZC
    {6, 7},   // READ_MULTISHOT
    {6, 7},   // WAITID
    {6, 7},   // FUTEX_WAIT
    {6, 7},   // FUTEX_WAKE
    {6, 7},   // FUTEX_WAITV
    {6, 8},   // FIXED_FD_INSTALL
    {6, 9},   // FTRUNCATE
    {6, 11},  // BIND
    {6, 11},  // LISTEN
    {6, 15},  // RECV_ZC
    {6, 15},  // EPOLL_WAIT
    {6, 15},  // READV_FIXED
    {6, 15},  // WRITEV_FIXED
    {6, 16},  // PIPE
};
static_assert(std::size(since) == abi::op_last, "say since when Linux has the opcode");

constexpr std::string_view begin_mark = "<!-- generated: opcodes -->\n";
constexpr std::string_view end_mark = "<!-- end of what is generated -->\n";
const std::string document = std::string(PARKRING_SOURCE_DIR) + "/docs/design/opcodes.md";

// Real kernels are asked what they are; the document must be the same wherever it is checked.
bool is_linux(const machine_kind& kind) { return std::string_view(kind.name).starts_with("linux"); }

std::string table() {
  std::ostringstream head, line;
  head << "| opcode | linux, since |";
  line << "|---|---|";
  std::vector<std::bitset<256>> columns;
  for (const machine_kind& kind : machines()) {
    if (is_linux(kind)) continue;
    std::string why;
    const std::unique_ptr<machine> m = kind.make(why);
    EXPECT_NE(m, nullptr) << kind.name << ": " << why;
    if (m == nullptr) continue;
    client io(m->served_by());
    auto& column = columns.emplace_back();
    for (unsigned i = 0; i < 256; ++i) column[i] = io.supports(i);
    head << " " << kind.name << " |";
    line << "---|";
  }
  std::ostringstream text;
  text << head.str() << "\n" << line.str() << "\n";
  for (unsigned i = 0; i < abi::op_last; ++i) {
    text << "| " << abi::op_name(i) << " | " << since[i].first << "." << since[i].second << " |";
    for (const auto& column : columns) text << (column[i] ? " yes |" : " |");
    text << "\n";
  }
  return text.str();
}

TEST(Opcodes, the_table_in_the_documents_is_what_the_machines_say) {
  std::ifstream in(document, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  const std::size_t begin = text.find(begin_mark);
  const std::size_t end = text.find(end_mark);
  ASSERT_NE(begin, std::string::npos) << document << " has no " << begin_mark;
  ASSERT_NE(end, std::string::npos) << document << " has no " << end_mark;
  const std::size_t from = begin + begin_mark.size();
  ASSERT_LE(from, end);
  const std::string written = text.substr(from, end - from), wanted = table();
  if (std::getenv("PARKRING_RENEW_DOCUMENTS") != nullptr && written != wanted) {
    text.replace(from, end - from, wanted);
    std::ofstream(document, std::ios::binary) << text;
    return;
  }
  EXPECT_EQ(written, wanted) << "PARKRING_RENEW_DOCUMENTS=1 with this test writes it anew";
}

TEST(Opcodes, linux_has_what_its_version_promises) {
  utsname system;
  int major = 0, minor = 0;
  ASSERT_EQ(::uname(&system), 0);
  ASSERT_EQ(std::sscanf(system.release, "%d.%d", &major, &minor), 2);
  std::string why;
  const std::unique_ptr<machine> m = machines().front().make(why);
  if (m == nullptr) GTEST_SKIP() << why;
  client io(m->served_by());
  for (unsigned i = 0; i < abi::op_last; ++i) {
    if (i == abi::op_recv_zc || i == abi::op_uring_cmd) continue;  // depend on its configuration
    if (since[i] <= std::pair(major, minor)) {
      EXPECT_TRUE(io.supports(i)) << abi::op_name(i) << " on " << system.release;
    }
  }
}

class Opcodes : public on_machine {};
PARKRING_ON_EVERY_MACHINE(Opcodes);

// What the library asks of every kernel, on which everything else in it is built.
TEST_P(Opcodes, all_that_the_library_needs_are_there) {
  for (const abi::op needed :
       {abi::op_nop,          abi::op_read,       abi::op_write,          abi::op_readv,
        abi::op_writev,       abi::op_read_fixed, abi::op_write_fixed,    abi::op_fsync,
        abi::op_openat,       abi::op_close,      abi::op_statx,          abi::op_fallocate,
        abi::op_renameat,     abi::op_unlinkat,   abi::op_mkdirat,        abi::op_linkat,
        abi::op_symlinkat,    abi::op_timeout,    abi::op_timeout_remove, abi::op_link_timeout,
        abi::op_async_cancel, abi::op_poll_add,   abi::op_poll_remove,    abi::op_accept,
        abi::op_connect,      abi::op_send,       abi::op_recv,           abi::op_sendmsg,
        abi::op_recvmsg,      abi::op_shutdown,   abi::op_socket,         abi::op_files_update})
    EXPECT_TRUE(supports(needed)) << abi::op_name(needed);
}

}  // namespace
}  // namespace parkring::conformance
