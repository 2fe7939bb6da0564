// Prints what serves a runtime on this machine and why, what the machine's kernel offers, what will
// be used, and why not the rest.
#include <CLI/CLI.hpp>

#include <sys/resource.h>

#include <cstdio>
#include <exception>
#include <parkring/runtime.hpp>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "kernel/abi.hpp"
#include "kernel/kernel.hpp"
#include "ring/capabilities.hpp"
#include "ring/choice.hpp"
#include "ring/setup_error.hpp"

namespace {

namespace abi = parkring::kernel::abi;

/// Who would read the completions of a runtime made now: asked of one.
std::string reader_now() {
  switch (parkring::runtime({.entries = 1, .register_buffers = false}).reader()) {
    case parkring::completion_reader::reader_thread:
      return "a reader thread (PARKRING_READER=thread)";
    case parkring::completion_reader::driving_task:
      return "a driving task above epoll (PARKRING_READER=task)";
    case parkring::completion_reader::park_layer:
      break;
  }
  return "the park layer: the thread itself, in io_uring_enter";
}

/// What a runtime made now would be served by, or what it would fail with.
struct verdict {
  std::string kernel;  // empty: none
  std::string reason;
  std::string reader;

  static verdict now() {
    try {
      const auto c = parkring::ring::try_kernel(parkring::ring::wanted_kernel::any);
      return {c.served_by->name(), c.why, reader_now()};
    } catch (const std::system_error& failure) {
      return {"", failure.what(), ""};
    }
  }
};

using parkring::ring::capabilities;
using parkring::ring::flag_trial;

struct named_flag {
  const char* name;
  std::uint32_t flag;
  const char* since;
  const char* what_for;
};

constexpr named_flag features[] = {
    {"SINGLE_MMAP", abi::feat_single_mmap, "5.4", "needed: both queues in one mapping"},
    {"NODROP", abi::feat_nodrop, "5.5", "needed: no completion is lost when the queue is full"},
    {"SUBMIT_STABLE", abi::feat_submit_stable, "5.5", "arguments are read at submission"},
    {"RW_CUR_POS", abi::feat_rw_cur_pos, "5.6", "reads and writes at the file's position"},
    {"CUR_PERSONALITY", abi::feat_cur_personality, "5.6", "requests run as the submitter"},
    {"FAST_POLL", abi::feat_fast_poll, "5.7", "sockets wait without worker threads"},
    {"POLL_32BITS", abi::feat_poll_32bits, "5.9", "all poll events"},
    {"SQPOLL_NONFIXED", abi::feat_sqpoll_nonfixed, "5.11", "not used by Parkring"},
    {"EXT_ARG", abi::feat_ext_arg, "5.11", "needed: waiting with a deadline"},
    {"NATIVE_WORKERS", abi::feat_native_workers, "5.12", "worker threads belong to the process"},
    {"RSRC_TAGS", abi::feat_rsrc_tags, "5.13", "changing registered buffers and files"},
    {"CQE_SKIP", abi::feat_cqe_skip, "5.17", "requests that complete silently"},
    {"LINKED_FILE", abi::feat_linked_file, "5.17", "files are looked up when their request runs"},
    {"REG_REG_RING", abi::feat_reg_reg_ring, "6.3", "registering through a registered ring"},
    {"RECVSEND_BUNDLE", abi::feat_recvsend_bundle, "6.10", "many provided buffers per transfer"},
    {"MIN_TIMEOUT", abi::feat_min_timeout, "6.12", "waiting for a batch, but not too long"},
    {"RW_ATTR", abi::feat_rw_attr, "6.14", "integrity data beside reads and writes"},
    {"NO_IOWAIT", abi::feat_no_iowait, "6.15", "an idle ring is not counted as waiting for a disk"},
};

/// Why a flag that was taken is not used, or what it is for. Null where the name says enough.
const char* remark(std::uint32_t flag) {
  switch (flag) {
    case abi::setup_cqsize:
      return "a completion queue of four times the entries";
    case abi::setup_clamp:
      return "sizes that are too large are cut";
    case abi::setup_iopoll:
    case abi::setup_hybrid_iopoll:
      return "for disks that are polled; serves nothing but direct I/O";
    case abi::setup_sqpoll:
      return "takes a core, and excludes DEFER_TASKRUN";
    case abi::setup_coop_taskrun:
      return "the next best where DEFER_TASKRUN is missing";
    case abi::setup_taskrun_flag:
      return "tells when the kernel has deferred work; tried with COOP_TASKRUN";
    case abi::setup_sqe128:
    case abi::setup_cqe32:
    case abi::setup_cqe_mixed:
    case abi::setup_sqe_mixed:
      return "for commands to devices";
    case abi::setup_single_issuer:
      return "one thread enters a ring";
    case abi::setup_defer_taskrun:
      return "completions are made in batches, when asked for";
    case abi::setup_no_sqarray:
      return "one indirection less per submission";
    case abi::setup_r_disabled:
      return "a ring may be built on one thread and run on another";
    case abi::setup_submit_all:
      return "a bad request does not stop those behind it";
    default:
      return nullptr;
  }
}

std::string limit(int which) {
  rlimit value{};
  if (::getrlimit(static_cast<__rlimit_resource_t>(which), &value) != 0) return "unknown";
  if (value.rlim_cur == RLIM_INFINITY) return "unlimited";
  if (which == RLIMIT_MEMLOCK) return std::to_string(value.rlim_cur / 1024) + " KiB";
  return std::to_string(value.rlim_cur);
}

std::string sysctl_text(int value) {
  switch (value) {
    case -1:
      return "not there, so not switched off by it";
    case 0:
      return "0, allowed";
    case 1:
      return "1, only for privileged processes and the group kernel.io_uring_group";
    default:
      return std::to_string(value) + ", switched off";
  }
}

std::string seccomp_text(int mode) {
  switch (mode) {
    case -1:
      return "unknown";
    case 0:
      return "none";
    case 1:
      return "strict";
    default:
      return "a filter is active";
  }
}

// ---- plain text ----

void row(const char* mark, const char* name, const std::string& text) {
  std::printf("  %-4s %-18s %s\n", mark, name, text.c_str());
}

void print_opcodes(const char* title, const capabilities& c, bool supported) {
  std::string line;
  unsigned count = 0;
  for (unsigned i = 0; i < abi::op_last; ++i) count += c.opcodes[i] == supported;
  std::printf("\n%s (%u)\n", title, count);
  for (unsigned i = 0; i < abi::op_last; ++i) {
    if (c.opcodes[i] != supported) continue;
    const std::string name = abi::op_name(i);
    if (line.size() + name.size() > 92) {
      std::printf("  %s\n", line.c_str());
      line.clear();
    }
    line += (line.empty() ? "" : " ") + name;
  }
  std::printf("  %s\n", line.empty() ? "none" : line.c_str());
}

void print_text(const verdict& v, const capabilities& c, const std::vector<flag_trial>& trials) {
  std::printf("A runtime made now\n");
  row("", "is served by", v.kernel.empty() ? "nothing, it cannot be made" : v.kernel);
  row("", "because", v.reason);
  if (!v.reader.empty()) row("", "completions by", v.reader);
  std::printf("\n");
  std::printf("Kernel\n");
  row("", "release", c.around.release);
  row("", "io_uring_disabled", sysctl_text(c.around.io_uring_disabled));
  row("", "seccomp", seccomp_text(c.around.seccomp_mode));
  std::printf("\nLimits of this process\n");
  row("", "locked memory", limit(RLIMIT_MEMLOCK) + " (bounds registered buffers; not for root)");
  row("", "open files", limit(RLIMIT_NOFILE));

  std::printf("\nio_uring\n");
  if (!c.available()) {
    std::printf("  Not usable: %s: %s.\n  %s\n", parkring::ring::errno_name(c.error).c_str(),
                c.why.reason.c_str(), c.why.remedy.c_str());
    return;
  }
  std::printf("  Usable: a ring was made.\n");
  row(c.registered_descriptor ? "yes" : "no", "registered ring",
      c.registered_descriptor ? "the ring's descriptor is looked up once, not on every enter"
                              : "refused; every enter looks the descriptor up (about 60 ns)");

  std::printf("\nSet-up flags (used: by a ring of Parkring; yes: taken, not used; no: refused)\n");
  for (const flag_trial& t : trials) {
    const bool used = c.has_setup_flag(t.flag);
    const char* why = remark(t.flag);
    std::string text = why != nullptr ? why : "";
    if (t.error != 0) text = parkring::ring::errno_name(t.error) + (why ? "; " + text : "");
    row(used ? "used" : t.error == 0 ? "yes" : "no", t.name, text);
  }

  std::printf("  Not tried, because not wanted: SQ_AFF ATTACH_WQ NO_MMAP REGISTERED_FD_ONLY\n");

  std::printf("\nFeatures\n");
  for (const named_flag& f : features) {
    const bool has = c.has_feature(f.flag);
    row(has ? "yes" : "no", f.name,
        has ? f.what_for : std::string(f.what_for) + " (since Linux " + f.since + ")");
  }
  print_opcodes("Opcodes supported", c, true);
  print_opcodes("Opcodes missing", c, false);
  std::size_t unknown = 0;
  for (unsigned i = abi::op_last; i < c.opcodes.size(); ++i) unknown += c.opcodes[i];
  if (unknown != 0) std::printf("  and %zu newer ones that Parkring does not know\n", unknown);
}

// ---- JSON ----

std::string json_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(c));
      out += escape;
    } else {
      out += c;
    }
  }
  return out + '"';
}

const char* boolean(bool value) { return value ? "true" : "false"; }

void print_json(const verdict& v, const capabilities& c, const std::vector<flag_trial>& trials) {
  std::string out = "{\n  \"kernel\": " + (v.kernel.empty() ? "null" : json_string(v.kernel));
  out += ",\n  \"kernel_reason\": " + json_string(v.reason);
  out += ",\n  \"reader\": " + (v.reader.empty() ? "null" : json_string(v.reader));
  out += ",\n  \"release\": " + json_string(c.around.release);
  out += ",\n  \"io_uring_disabled\": " + std::to_string(c.around.io_uring_disabled);
  out += ",\n  \"seccomp_mode\": " + std::to_string(c.around.seccomp_mode);
  out += ",\n  \"memlock_bytes\": " +
         (c.around.memlock_unlimited ? "null" : std::to_string(c.around.memlock_bytes));
  out += std::string(",\n  \"usable\": ") + boolean(c.available());
  if (!c.available()) {
    out += ",\n  \"errno\": " + json_string(parkring::ring::errno_name(c.error));
    out += ",\n  \"reason\": " + json_string(c.why.reason);
    out += ",\n  \"remedy\": " + json_string(c.why.remedy);
  }
  out += std::string(",\n  \"registered_descriptor\": ") + boolean(c.registered_descriptor);
  out += ",\n  \"setup_flags\": {";
  const char* separator = "";
  for (const flag_trial& t : trials) {
    out += std::string(separator) + "\n    " + json_string(t.name) +
           ": {\"taken\": " + boolean(t.error == 0) +
           ", \"used\": " + boolean(c.has_setup_flag(t.flag)) + "}";
    separator = ",";
  }
  out += "\n  },\n  \"features\": {";
  separator = "";
  for (const named_flag& f : features) {
    out += std::string(separator) + "\n    " + json_string(f.name) + ": " +
           boolean(c.has_feature(f.flag));
    separator = ",";
  }
  out += "\n  },\n  \"opcodes\": {";
  separator = "";
  for (unsigned i = 0; i < abi::op_last; ++i) {
    out += std::string(separator) + "\n    " + json_string(abi::op_name(i)) + ": " +
           boolean(c.opcodes[i]);
    separator = ",";
  }
  out += "\n  }\n}\n";
  std::fputs(out.c_str(), stdout);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Prints what serves a runtime of Parkring on this machine and why, what the machine's kernel "
      "offers, what of it will be used, and why not the rest.");
  bool json = false;
  app.add_flag("--json", json, "print one JSON object instead of text");
  app.footer(
      "Exit status: 0 when a runtime can be made, on io_uring or on threads; 1 when it cannot.");
  CLI11_PARSE(app, argc, argv);
  try {
    const capabilities& here = parkring::ring::this_machine();
    std::vector<flag_trial> trials;
    if (here.available()) {
      trials = parkring::ring::try_setup_flags(parkring::kernel::linux_kernel());
    }
    const verdict v = verdict::now();
    (json ? print_json : print_text)(v, here, trials);
    return v.kernel.empty() ? 1 : 0;
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "parkring-probe: %s\n", failure.what());
    return 2;
  }
}
