// A stranger's program that has a libuv loop too.
#include <cstdio>
#include <parkring/guests/libuv.hpp>
#include <parkring/parkring.hpp>

namespace pr = parkring;

int main() {
  uv_loop_t loop;
  uv_loop_init(&loop);
  {
    pr::guest guest = pr::guests::libuv(&loop);
    pr::runtime rt;
    rt.park_on(guest);
    rt.run(pr::nop());
  }
  const bool good = uv_loop_close(&loop) == 0;
  std::puts(good ? "both loops have ended" : "the loop is still busy");
  return good ? 0 : 1;
}
