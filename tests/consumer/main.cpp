// A stranger's program: it sees the installed headers and libraries, and nothing else.
#include <cstdio>
#include <parkring/parkring.hpp>

namespace pr = parkring;

pr::task<int> answer() { co_return 42; }

int main() {
  const int value = pr::run(answer());
  std::printf("%d\n", value);
  return value == 42 ? 0 : 1;
}
