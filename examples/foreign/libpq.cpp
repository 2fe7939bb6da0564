// PostgreSQL's own client library, awaited: queries on several connections at a time, beside reads
// of a file. libpq does all reading and writing; tasks only wait for its sockets.
//
//   libpq "host=127.0.0.1 port=5432 dbname=postgres" FILE
#include <libpq-fe.h>

#include <cstdlib>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>

#include <parkring/parkring.hpp>

namespace pr = parkring;

class connection {
 public:
  /// Connects. The socket may be another one after each step, so each step has a wait of its own.
  static pr::task<connection> open(std::string where) {
    connection c(PQconnectStart(where.c_str()));
    auto next = PGRES_POLLING_WRITING;
    while (next != PGRES_POLLING_OK) {
      c.require(next != PGRES_POLLING_FAILED && PQstatus(c.get()) != CONNECTION_BAD);
      auto fd = pr::async_fd::borrow(PQsocket(c.get()));
      if (next == PGRES_POLLING_READING)
        co_await fd.readable();
      else
        co_await fd.writable();
      co_await fd.release();  // the next step may close it
      next = PQconnectPoll(c.get());
    }
    c.require(PQsetnonblocking(c.get(), 1) == 0);
    co_return c;
  }

  /// The first field of the first row. A query that is dropped leaves the connection busy: drop it
  /// too.
  pr::task<std::string> query(std::string text) {
    auto fd = pr::async_fd::borrow(PQsocket(get()));
    require(PQsendQuery(get(), text.c_str()) == 1);
    for (int left = 1; left != 0;) {
      left = PQflush(get());
      require(left >= 0);
      if (left == 0) break;
      co_await fd.ready(pr::fd_events::readable | pr::fd_events::writable);
      require(PQconsumeInput(get()) == 1);
    }
    std::string value;
    for (;;) {
      while (PQisBusy(get()) != 0) {
        co_await fd.readable();
        require(PQconsumeInput(get()) == 1);
      }
      const std::unique_ptr<PGresult, decltype(&PQclear)> r(PQgetResult(get()), &PQclear);
      if (r == nullptr) break;
      require(PQresultStatus(r.get()) == PGRES_TUPLES_OK);
      if (PQntuples(r.get()) > 0) value = PQgetvalue(r.get(), 0, 0);
    }
    co_await fd.release();
    co_return value;
  }

 private:
  explicit connection(PGconn* c) : conn_(c, &PQfinish) { require(c != nullptr); }
  PGconn* get() const { return conn_.get(); }
  void require(bool good) const {
    if (!good) throw std::runtime_error(PQerrorMessage(get()));
  }
  std::unique_ptr<PGconn, decltype(&PQfinish)> conn_;
};

struct progress {
  int queries = 0;
  int reads = 0;
  int clients = 0;  // still at work
};

pr::task<> client(std::string where, int number, progress& made) {
  auto db = co_await connection::open(where);
  for (int i = 1; i <= 10; ++i) {
    const int n = number * 100 + i;
    const std::string answer =
        co_await db.query("select sum(k) from generate_series(1, " + std::to_string(n) + ") as k");
    if (answer != std::to_string(n * (n + 1) / 2)) throw std::runtime_error("wrong: " + answer);
    ++made.queries;
  }
  --made.clients;
}

pr::task<> reader(std::filesystem::path path, progress& made) {
  auto file = co_await pr::fs::open(path, {.inline_first = pr::fs::inline_mode::never});
  pr::buffer buf(4096);
  while (made.clients != 0) {
    co_await file.read_at(buf, 0);
    ++made.reads;
  }
}

pr::task<> all(std::string where, std::filesystem::path path, progress& made) {
  made.clients = 4;
  pr::task_group group;
  for (int i = 0; i < 4; ++i) group.spawn(client, where, i, std::ref(made));
  group.spawn(reader, path, std::ref(made));
  co_await group.join();
}

int main(int argc, char** argv) try {
  if (argc != 3) {
    std::cerr << "usage: libpq CONNECTION FILE\n";
    return 2;
  }
  progress made;
  pr::run(all(argv[1], argv[2], made));
  std::cout << made.queries << " queries were answered while the file was read "
            << (made.reads > 0 ? "too" : "never") << '\n';
  return made.queries == 40 && made.reads > 0 ? 0 : 1;
} catch (const std::exception& e) {
  std::cerr << e.what() << '\n';
  return 1;
}
