// Counts words on all cores, share-nothing: each shard has the words that a hash gives it, and its
// map needs no lock. A word goes to its shard in a call; the sum is asked of all.
#include <functional>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <parkring/parkring.hpp>

namespace pr = parkring;
using counts = std::map<std::string, int>;

counts& mine() {  // of the shard that runs this
  static thread_local counts words;
  return words;
}

void add(const std::vector<std::string>& words) {
  for (const auto& word : words) ++mine()[word];
}

pr::task<> count_words(pr::shards& shards, std::string_view text) {
  // Words are sent in batches: a call between cores costs much more than a word.
  std::vector<std::vector<std::string>> batches(shards.size());
  std::istringstream in{std::string(text)};
  for (std::string word; in >> word;)
    batches[std::hash<std::string>()(word) % shards.size()].push_back(word);
  for (unsigned i = 0; i < shards.size(); ++i) co_await shards.on(i, add, std::move(batches[i]));
}

pr::task<counts> all_counts(pr::shards& shards) {
  const auto own = [](unsigned) { return mine(); };
  const auto join = [](counts all, counts part) {
    all.merge(part);
    return all;
  };
  co_return co_await shards.map_reduce(own, counts(), join);
}

int main() try {
  pr::shards shards({.shards = 2});
  pr::runtime rt;  // this thread's: any runtime may call
  constexpr std::string_view text = "the ring the park layer and the ring";
  rt.run(count_words(shards, text));
  const auto found = rt.run(all_counts(shards));
  for (const auto& [word, n] : found) std::cout << word << ' ' << n << '\n';
  return found.at("the") == 3 && found.at("ring") == 2 ? 0 : 1;
} catch (const std::exception& e) {
  std::cerr << e.what() << '\n';
  return 1;
}
