#include "base/symbols.hpp"

#include <cxxabi.h>
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <span>
#include <string_view>
#include <utility>

namespace parkring::base {
namespace {

std::string demangled(const std::string& mangled) {
  int status = 0;
  char* text = abi::__cxa_demangle(mangled.c_str(), nullptr, nullptr, &status);
  std::string result = status == 0 && text != nullptr ? text : mangled;
  std::free(text);
  return result;
}

// The names that everybody writes.
void shorten(std::string& name) {
  constexpr std::pair<std::string_view, std::string_view> shorter[] = {
      {"std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >",
       "std::string"},
      {"std::basic_string<char, std::char_traits<char>, std::allocator<char> >", "std::string"},
      {"std::filesystem::__cxx11::", "std::filesystem::"}};
  for (const auto& [from, to] : shorter)
    for (auto at = name.find(from); at != std::string::npos; at = name.find(from, at))
      name.replace(at, from.size(), to);
}

}  // namespace

std::string readable_name(const std::string& mangled) {
  // GCC calls the parts of f(int) by the name of a function `f(f(int)::_Z1fi.Frame*)`.
  constexpr std::string_view frame = ".Frame";
  if (const auto end = mangled.rfind(frame); end != std::string::npos) {
    const auto begin = mangled.rfind("_Z", end);
    if (begin != std::string::npos && begin != 0)
      return readable_name(mangled.substr(begin, end - begin));
  }
  std::string name = demangled(mangled);
  for (const std::string_view part : {" [clone .actor]", " [clone .resume]", " [clone .destroy]",
                                      " [clone .cleanup]", " (.resume)", " (.actor)"})
    if (const auto at = name.find(part); at != std::string::npos) name.resize(at);
  shorten(name);
  return name;
}

struct symbols::module_table {
  struct function {
    std::uint64_t begin, size;
    const char* name;
  };

  explicit module_table(std::string path) : file(std::move(path)) {
    // Always of the machine that the program runs on, also beside a simulated one.
    const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    struct stat facts;
    if (::fstat(fd, &facts) == 0 && facts.st_size > 0) {
      const auto size = static_cast<std::size_t>(facts.st_size);
      void* const at = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
      if (at != MAP_FAILED) image = {static_cast<const char*>(at), size};
    }
    ::close(fd);
    read();
  }
  module_table(const module_table&) = delete;
  module_table& operator=(const module_table&) = delete;
  ~module_table() {
    if (!image.empty()) ::munmap(const_cast<char*>(image.data()), image.size());
  }

  // `n` objects at `offset`, or none where the file is shorter.
  template <class T>
  [[nodiscard]] std::span<const T> part(std::uint64_t offset, std::uint64_t n) const {
    if (offset > image.size() || n > (image.size() - offset) / sizeof(T)) return {};
    if (offset % alignof(T) != 0) return {};
    return {reinterpret_cast<const T*>(image.data() + offset), n};
  }

  void read() {
    const auto header = part<ElfW(Ehdr)>(0, 1);
    if (header.empty() || std::memcmp(header[0].e_ident, ELFMAG, SELFMAG) != 0) return;
    if (header[0].e_ident[EI_CLASS] != (sizeof(void*) == 8 ? ELFCLASS64 : ELFCLASS32)) return;
    const auto sections = part<ElfW(Shdr)>(header[0].e_shoff, header[0].e_shnum);
    for (const auto& s : sections) {
      if (s.sh_type != SHT_SYMTAB && s.sh_type != SHT_DYNSYM) continue;
      if (s.sh_link >= sections.size()) continue;
      const auto& names = sections[s.sh_link];
      const auto text = part<char>(names.sh_offset, names.sh_size);
      if (text.empty() || text.back() != '\0') continue;
      for (const auto& y : part<ElfW(Sym)>(s.sh_offset, s.sh_size / sizeof(ElfW(Sym)))) {
        const bool code = (y.st_info & 0xf) == STT_FUNC && y.st_shndx != SHN_UNDEF;
        if (code && y.st_size != 0 && y.st_name < text.size())
          functions.push_back({y.st_value, y.st_size, &text[y.st_name]});
      }
    }
    std::ranges::sort(functions, {}, &function::begin);
  }

  [[nodiscard]] const char* name_at(std::uint64_t offset) const {
    const auto behind = std::ranges::upper_bound(functions, offset, {}, &function::begin);
    if (behind == functions.begin()) return nullptr;
    const function& f = *std::prev(behind);
    return offset - f.begin < f.size ? f.name : nullptr;
  }

  std::string file;
  std::span<const char> image;
  std::vector<function> functions;
};

symbols::symbols() = default;
symbols::~symbols() = default;

symbols::module_table& symbols::table_of(const std::string& file) {
  for (auto& t : tables_)
    if (t->file == file) return *t;
  return *tables_.emplace_back(std::make_unique<module_table>(file));
}

symbol symbols::of(const void* code) {
  Dl_info info;
  link_map* map = nullptr;
  if (code == nullptr || ::dladdr1(const_cast<void*>(code), &info, reinterpret_cast<void**>(&map),
                                   RTLD_DL_LINKMAP) == 0)
    return {};
  symbol s;
  // The program itself has no name in the list, and `dli_fname` is only what it was called by.
  const bool itself = map == nullptr || map->l_name == nullptr || map->l_name[0] == '\0';
  const std::uint64_t bias = map != nullptr ? map->l_addr : 0;
  s.module = info.dli_fname != nullptr ? info.dli_fname : "";
  s.offset = reinterpret_cast<std::uint64_t>(code) - bias;
  if (const char* name = table_of(itself ? "/proc/self/exe" : s.module).name_at(s.offset))
    s.function = readable_name(name);
  else if (info.dli_sname != nullptr)
    s.function = readable_name(info.dli_sname);
  return s;
}

}  // namespace parkring::base
