// test-args: {work}/trees
// Trees: makes one, walks through it, copies it while it tells how far it is, and removes both.
#include <cstdint>
#include <filesystem>
#include <iostream>
#include <string>

#include <parkring/parkring.hpp>

namespace pr = parkring;
using path = std::filesystem::path;

pr::task<> make_tree(path root) {
  for (const char* folder : {"", "texts", "texts/old", "cache"})
    co_await pr::fs::create_directory(root / folder);
  for (const char* file : {"texts/a", "texts/b", "texts/old/c", "cache/junk"})
    co_await pr::fs::write_file(root / file, std::string(1000, 'x'));
}

pr::task<std::uint64_t> bytes_below(path root) {
  std::uint64_t bytes = 0;
  pr::fs::walk entries(root, {.metadata = true, .order = pr::fs::walk_order::depth_first});
  while (true) {
    auto e = co_await entries.next();
    if (!e) break;
    if (e->failure) {  // it cannot be listed, or asked; the rest comes all the same
      std::cerr << e->failure->message() << '\n';
      continue;
    }
    if (e->name == "cache") entries.skip();  // what is in it does not come
    std::cout << std::string(2 * e->depth, ' ') << e->name << '\n';
    if (e->metadata->is_regular()) bytes += e->metadata->size;
  }
  co_return bytes;
}

pr::task<> copy_tree(path from, path to) {
  pr::fs::copy_options how;
  how.existing = pr::fs::existing::replace;
  how.permissions = how.times = true;
  how.progress = [](const pr::fs::copy_counts& so_far) { std::cout << so_far.files << " files\n"; };
  how.on_error = [](const pr::error& e) {
    std::cerr << e.message() << '\n';
    return true;  // the rest is copied
  };
  const auto copied = co_await pr::fs::copy_all(from, to, how);
  std::cout << copied.files << " files, " << copied.bytes << " bytes copied\n";
}

pr::task<> use(path root) {
  co_await pr::fs::remove_all(root);  // which may not be there
  co_await pr::fs::create_directory(root);
  co_await make_tree(root / "tree");
  std::cout << co_await bytes_below(root / "tree") << " bytes\n";
  co_await copy_tree(root / "tree", root / "copy");
  const auto removed = co_await pr::fs::remove_all(root);
  std::cout << removed.files << " files, " << removed.directories << " directories removed\n";
}

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  pr::run(use(argv[1]));
}
