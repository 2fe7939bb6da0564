#include "conformance/fuzz/program.hpp"

#include <fcntl.h>

#include <iterator>
#include <sstream>

namespace parkring::conformance::fuzz {

namespace {

// Steele's and Vigna's splitmix64: the standard's distributions differ between libraries.
class dice {
 public:
  explicit dice(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    state_ += 0x9e3779b97f4a7c15u;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  unsigned below(unsigned n) { return static_cast<unsigned>(next() % n); }
  bool one_in(unsigned n) { return below(n) == 0; }
  template <class T, std::size_t N>
  T one_of(const T (&all)[N]) {
    return all[below(N)];
  }

 private:
  std::uint64_t state_;
};

std::string some_path(dice& d) {
  std::string p(1, d.one_of(names));
  if (d.one_in(2)) p = p + "/" + d.one_of(names);
  if (d.one_in(12)) p = p + "/" + d.one_of(names);
  if (d.one_in(40)) p += "/";
  if (d.one_in(40)) p = std::string(1, d.one_of(names)) + "/../" + p;
  if (d.one_in(40)) p = "./" + p;
  return p;
}

constexpr std::uint32_t open_flags[] = {
    O_RDWR | O_CREAT,
    O_RDWR | O_CREAT,
    O_RDWR | O_CREAT,
    O_RDWR,
    O_RDONLY,
    O_WRONLY | O_CREAT,
    O_RDWR | O_CREAT | O_EXCL,
    O_RDWR | O_CREAT | O_TRUNC,
    O_WRONLY | O_TRUNC,
    O_RDWR | O_CREAT | O_APPEND,
    O_RDONLY | O_DIRECTORY,
    O_RDONLY | O_NOFOLLOW,
    O_RDONLY | O_CREAT,
};

// Offsets near the borders of pages and blocks find more than others.
std::uint64_t some_offset(dice& d) {
  switch (d.below(4)) {
    case 0:
      return d.below(64);
    case 1:
      return d.below(16) * 4096u + d.below(5) - (d.one_in(2) ? 0 : 2) + 2;
    default:
      return d.below(65536);
  }
}
std::uint32_t some_length(dice& d) {
  switch (d.below(6)) {
    case 0:
      return d.below(3);
    case 1:
      return 4096;
    case 2:
      return 512 * d.below(17);
    default:
      return d.below(most_bytes + 1);
  }
}

constexpr abi::op changing[] = {
    abi::op_openat,     abi::op_openat,   abi::op_openat,    abi::op_openat,   abi::op_write,
    abi::op_write,      abi::op_write,    abi::op_writev,    abi::op_read,     abi::op_read,
    abi::op_readv,      abi::op_fsync,    abi::op_fallocate, abi::op_statx,    abi::op_ftruncate,
    abi::op_ftruncate,  abi::op_renameat, abi::op_renameat,  abi::op_unlinkat, abi::op_unlinkat,
    abi::op_mkdirat,    abi::op_mkdirat,  abi::op_linkat,    abi::op_nop,      abi::op_symlinkat,
    abi::op_read_fixed, abi::op_close,    abi::op_statx,     abi::op_write,    abi::op_write_fixed,
};
constexpr abi::op looking[] = {abi::op_read,       abi::op_read,  abi::op_readv,
                               abi::op_read_fixed, abi::op_statx, abi::op_nop};

constexpr abi::op waiting[] = {
    abi::op_read,         abi::op_read,           abi::op_read,        abi::op_write,
    abi::op_write,        abi::op_write,          abi::op_poll_add,    abi::op_poll_add,
    abi::op_async_cancel, abi::op_async_cancel,   abi::op_poll_remove, abi::op_link_timeout,
    abi::op_timeout,      abi::op_timeout_remove, abi::op_close,
};

// Whether a failure of it ends its chain on every machine; see Links in links_test.cpp.
bool ends_its_chain(abi::op opcode) {
  switch (opcode) {
    case abi::op_fsync:
    case abi::op_fallocate:
    case abi::op_ftruncate:
    case abi::op_statx:
    case abi::op_renameat:
    case abi::op_unlinkat:
    case abi::op_mkdirat:
    case abi::op_symlinkat:
    case abi::op_linkat:
      return false;
    default:
      return true;
  }
}

operation some_operation(dice& d, abi::op opcode) {
  operation o;
  o.opcode = opcode;
  o.place = d.below(places);
  o.path = some_path(d);
  o.other_path = some_path(d);
  o.at_position = d.one_in(4);
  o.offset = some_offset(d);
  o.length = some_length(d);
  o.pattern = static_cast<std::uint8_t>(d.next());
  o.hard_linked = d.one_in(4) || !ends_its_chain(opcode);
  switch (opcode) {
    case abi::op_openat:
      o.flags = d.one_of(open_flags);
      break;
    case abi::op_fsync:
      o.flags = d.below(2) != 0 ? abi::fsync_datasync : 0;
      break;
    case abi::op_fallocate:
      o.flags = d.below(2);  // FALLOC_FL_KEEP_SIZE
      break;
    case abi::op_renameat:
      o.flags = d.one_in(2) ? 0 : d.below(3);  // RENAME_NOREPLACE, RENAME_EXCHANGE
      break;
    case abi::op_unlinkat:
      o.flags = d.one_in(2) ? 0x200 : 0;  // AT_REMOVEDIR
      break;
    case abi::op_linkat:
      o.flags = d.one_in(3) ? AT_SYMLINK_FOLLOW : 0;
      break;
    case abi::op_statx:
      o.by_place = d.one_in(2);
      o.place = d.below(direct_from);  // STATX takes no slot
      o.flags = d.one_in(2) ? AT_SYMLINK_NOFOLLOW : 0;
      break;
    case abi::op_ftruncate:
      break;
    default:
      break;
  }
  return o;
}

operation some_wait(dice& d) {
  operation o;
  o.opcode = d.one_of(waiting);
  o.place = d.below(pipes);
  o.length = d.one_in(4) ? d.below(3) : some_length(d);
  o.flags = d.below(4);
  o.pattern = static_cast<std::uint8_t>(d.next());
  return o;
}

}  // namespace

program generate(std::uint64_t seed, unsigned steps) {
  dice d(seed);
  program p;
  while (p.size() < steps) {
    step s;
    const unsigned shape = d.below(12);
    if (shape < 6) {
      s.operations.push_back(some_operation(d, d.one_of(changing)));
    } else if (shape < 9) {
      s.how = step::shape::chain;
      const unsigned place = d.below(places);
      const unsigned count = 2 + d.below(4);
      while (s.operations.size() < count) {
        operation o = some_operation(d, d.one_of(changing));
        // A closed descriptor's number may be given to another file in the middle of a chain.
        if (o.opcode == abi::op_close) o.place = direct_from + o.place % (places - direct_from);
        // Chains are about one file, mostly.
        if (d.one_in(2) && o.opcode != abi::op_close && !o.by_place) o.place = place;
        s.operations.push_back(o);
      }
    } else if (shape < 11) {
      s.how = step::shape::waits;
      const unsigned count = 3 + d.below(6);
      while (s.operations.size() < count) s.operations.push_back(some_wait(d));
    } else {
      s.how = step::shape::batch;
      const unsigned count = 2 + d.below(6);
      while (s.operations.size() < count) {
        operation o = some_operation(d, d.one_of(looking));
        o.at_position = false;  // who comes first would matter
        s.operations.push_back(o);
      }
    }
    p.push_back(s);
  }
  return p;
}

std::string describe(const operation& o) {
  std::ostringstream out;
  const char* name = abi::op_name(o.opcode);
  out << (name != nullptr ? name : "?") << "(";
  const auto transfer = [&] {
    out << "file " << o.place << ", " << o.length << " bytes at ";
    if (o.at_position)
      out << "the position";
    else
      out << o.offset;
  };
  switch (o.opcode) {
    case abi::op_read:
    case abi::op_readv:
    case abi::op_read_fixed:
      transfer();
      break;
    case abi::op_write:
    case abi::op_writev:
    case abi::op_write_fixed:
      transfer();
      out << ", pattern " << unsigned{o.pattern};
      break;
    case abi::op_openat:
      out << "file " << o.place << ", \"" << o.path << "\", 0" << std::oct << o.flags << std::dec;
      break;
    case abi::op_close:
      out << "file " << o.place;
      break;
    case abi::op_fsync:
      out << "file " << o.place << ", " << o.flags;
      break;
    case abi::op_fallocate:
      out << "file " << o.place << ", mode " << o.flags << ", " << o.length << " at " << o.offset;
      break;
    case abi::op_ftruncate:
      out << "file " << o.place << ", " << o.offset;
      break;
    case abi::op_statx:
      if (o.by_place)
        out << "file " << o.place;
      else
        out << "\"" << o.path << "\", 0x" << std::hex << o.flags << std::dec;
      break;
    case abi::op_renameat:
    case abi::op_linkat:
      out << "\"" << o.path << "\", \"" << o.other_path << "\", 0x" << std::hex << o.flags
          << std::dec;
      break;
    case abi::op_symlinkat:
      out << "to \"" << o.path << "\", \"" << o.other_path << "\"";
      break;
    case abi::op_unlinkat:
      out << "\"" << o.path << "\", 0x" << std::hex << o.flags << std::dec;
      break;
    case abi::op_mkdirat:
      out << "\"" << o.path << "\"";
      break;
    default:
      break;
  }
  out << ")";
  return out.str();
}

std::string describe_wait(const operation& o) {
  std::ostringstream out;
  const char* name = abi::op_name(o.opcode);
  out << (name != nullptr ? name : "?") << "(pipe " << o.place << ", " << o.length << " bytes, way "
      << o.flags << ", pattern " << unsigned{o.pattern} << ")";
  return out.str();
}

std::string describe(const program& p) {
  std::string text;
  for (std::size_t i = 0; i < p.size(); ++i) {
    const step& s = p[i];
    for (std::size_t k = 0; k < s.operations.size(); ++k) {
      const bool last = k + 1 == s.operations.size();
      const operation& o = s.operations[k];
      text += k == 0 ? std::to_string(i) + ". " : std::string("   ");
      text += s.how == step::shape::waits ? describe_wait(o) : describe(o);
      if (!last && s.how == step::shape::chain)
        text += s.operations[k].hard_linked ? " =>" : " ->";
      else if (!last && s.how == step::shape::batch)
        text += " ||";
      text += "\n";
    }
  }
  return text;
}

std::size_t size_of(const program& p) {
  std::size_t n = 0;
  for (const step& s : p) n += s.operations.size();
  return n;
}

}  // namespace parkring::conformance::fuzz
