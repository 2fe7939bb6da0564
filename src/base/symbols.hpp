// The names of functions, found by address.
//
// dladdr(3) knows the module and its exported names. Coroutines are local symbols, so the module's
// own table (.symtab) is read, where it was not stripped. For reports only: it opens files.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace parkring::base {

struct symbol {
  std::string function;      // demangled, without what compilers append; empty: not known
  std::string module;        // the file; empty: not known
  std::uint64_t offset = 0;  // in it, as addr2line takes it
};

/// Reads each module's table once; keep it for the time of a report.
class symbols {
 public:
  symbols();
  symbols(const symbols&) = delete;
  symbols& operator=(const symbols&) = delete;
  ~symbols();

  [[nodiscard]] symbol of(const void* code);

 private:
  struct module_table;
  module_table& table_of(const std::string& file);

  std::vector<std::unique_ptr<module_table>> tables_;
};

/// "ns::f(int)" of a mangled name, also of the parts into which compilers cut a coroutine.
[[nodiscard]] std::string readable_name(const std::string& mangled);

}  // namespace parkring::base
