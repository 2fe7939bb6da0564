// Readers, writers, lines and copies, dropped at every point.
#include <gtest/gtest.h>

#include <string>

#include <parkring/parkring.hpp>

#include "support/drop_everywhere.hpp"
#include "support/machine.hpp"
#include "support/scratch.hpp"

namespace pr = parkring;
using namespace parkring::testing;
using namespace std::chrono_literals;

namespace {

constexpr pr::fs::open_options by_ring{.inline_first = pr::fs::inline_mode::never};
constexpr pr::fs::open_options to_write{.access = pr::fs::access::write,
                                        .creation = pr::fs::creation::if_missing,
                                        .inline_first = pr::fs::inline_mode::never};

std::string text_of_size(std::size_t n) {
  std::string s;
  while (s.size() < n) s += "line " + std::to_string(s.size()) + "\n";
  s.resize(n);
  return s;
}

TEST(DroppedStreams, readers_leave_nothing) {
  scratch dir;
  const auto text = text_of_size(2'000);
  const auto path = dir.file("data", text);
  EXPECT_GT(drop_everywhere([&]() -> pr::task<> {
              return [](std::filesystem::path p, std::string want) -> pr::task<> {
                pr::fs::reader r(co_await pr::fs::open(p, by_ring),
                                 {.buffer_size = 512, .read_ahead = 1'024});
                std::string all((co_await r.read(100)).text());
                all += (co_await r.read_exactly(600)).text();
                EXPECT_EQ(co_await r.skip(700), 700u);
                while (auto piece = co_await r.next()) all += piece->text();
                EXPECT_EQ(all, want.substr(0, 700) + want.substr(1'400));
              }(path, text);
            }),
            20u);
}

TEST(DroppedStreams, a_dropped_read_is_asked_for_again) {
  scratch dir;
  const auto text = text_of_size(3'000);
  const auto path = dir.file("data", text);
  drop_everywhere([&]() -> pr::task<> {
    return [](std::filesystem::path p, std::string want) -> pr::task<> {
      pr::fs::reader r(co_await pr::fs::open(p, by_ring),
                       {.buffer_size = 512, .read_ahead = 1'024});
      std::string all;
      for (int i = 0;; ++i) {
        auto dropped = pr::spawn(r.next());
        co_await pr::yield();
        if (dropped.done()) {
          auto piece = co_await std::move(dropped);
          if (!piece) break;
          all += piece->text();
        } else {
          dropped.abort();
          auto piece = co_await r.next();
          if (!piece) break;
          all += piece->text();
        }
      }
      EXPECT_EQ(all, want);
    }(path, text);
  });
}

TEST(DroppedStreams, lines_leave_nothing) {
  scratch dir;
  const auto path = dir.file("data", text_of_size(600));
  drop_everywhere([&]() -> pr::task<> {
    return [](std::filesystem::path p) -> pr::task<> {
      auto text = pr::fs::lines(pr::fs::reader(co_await pr::fs::open(p, by_ring),
                                               {.buffer_size = 200, .read_ahead = 400}));
      std::size_t bytes = 0;
      while (auto line = co_await text.next()) bytes += line->size() + 1;
      EXPECT_EQ(bytes, 601u);  // the last one is cut within
    }(path);
  });
}

TEST(DroppedStreams, writers_leave_nothing) {
  scratch dir;
  const auto path = dir / "written";
  drop_everywhere([&]() -> pr::task<> {
    return [](std::filesystem::path p) -> pr::task<> {
      pr::fs::writer w(co_await pr::fs::open(p, to_write), {.buffer_size = 100, .in_flight = 2});
      for (int i = 0; i < 4; ++i) co_await w.write(std::string_view("0123456789").substr(0, 9));
      co_await w.write(std::string(250, 'x'));
      co_await w.write(pr::buffer(300));
      co_await w.flush();
      co_await w.write("z");
      co_await w.close();
    }(path);
  });
  EXPECT_EQ(content_of(path).size(), 587u);
}

TEST(DroppedStreams, copies_leave_nothing) {
  scratch dir;
  const auto path = dir.file("data", text_of_size(900)), to = dir / "copy";
  drop_everywhere([&]() -> pr::task<> {
    return [](std::filesystem::path p, std::filesystem::path q) -> pr::task<> {
      auto from = co_await pr::fs::open(p, by_ring);
      auto into = co_await pr::fs::open(q, to_write);
      pr::fs::copy_stream_options o{.from = {.buffer_size = 512, .read_ahead = 512}};
      EXPECT_EQ((co_await pr::fs::copy_stream(from, into, std::move(o))).bytes, 900u);
    }(path, to);
  });
  EXPECT_EQ(content_of(to), text_of_size(900));
}

TEST(DroppedStreams, copies_through_pipes_leave_nothing) {
  scratch dir;
  const auto path = dir.file("data", text_of_size(300)), to = dir / "copy";
  const auto fifo = dir.fifo("fifo");
  drop_everywhere([&]() -> pr::task<> {
    return [](std::filesystem::path p, std::filesystem::path q,
              std::filesystem::path between) -> pr::task<> {
      // Held open for both: whoever opens an end of it finds the other.
      auto keep = co_await pr::fs::open(between, {.access = pr::fs::access::read_write});
      auto out = co_await pr::fs::open(between);
      auto from = co_await pr::fs::open(p, by_ring);
      auto in = co_await pr::fs::open(between, {.access = pr::fs::access::write});
      EXPECT_EQ((co_await pr::fs::copy_stream(from, in)).bytes, 300u);
      auto into = co_await pr::fs::open(q, to_write);
      pr::fs::copy_stream_options o{.from = {.length = 300}};
      EXPECT_EQ((co_await pr::fs::copy_stream(out, into, std::move(o))).bytes, 300u);
    }(path, to, fifo);
  });
}

TEST(DroppedStreams, turns_at_a_device_leave_nothing) {
  scratch dir;
  const auto path = dir.file("data", text_of_size(700));
  drop_everywhere([&]() -> pr::task<> {
    return [](std::filesystem::path p) -> pr::task<> {
      using pr::fs::io_class;
      pr::fs::io_scheduler s(
          {.background{.operations_per_second = 200'000}, .queue_depth = 2, .latency_target = 1h});
      auto f = co_await pr::fs::open(p, by_ring);
      auto scan = pr::spawn(
          [](pr::fs::file from, pr::fs::io_lane lane) -> pr::task<> {
            pr::fs::reader r(std::move(from),
                             {.buffer_size = 512, .read_ahead = 1'024, .lane = lane});
            std::size_t n = 0;
            while (auto piece = co_await r.next()) n += piece->size();
            EXPECT_EQ(n, 700u);
          },
          co_await pr::fs::open(p, by_ring), s.lane(io_class::background));
      pr::buffer b(512);
      for (int i = 0; i < 2; ++i) {
        const auto n = co_await s.run(io_class::foreground, f.read_at(b, 0));
        EXPECT_EQ(n, 512u);
      }
      auto permit = co_await s.acquire(io_class::sync, 0);
      co_await std::move(scan);
    }(path);
  });
}

TEST(DroppedStreams, pieces_of_requests_leave_nothing) {
  scratch dir;
  const auto path = dir.file("data", text_of_size(150'000));
  drop_everywhere([&]() -> pr::task<> {
    return [](std::filesystem::path p) -> pr::task<> {
      using pr::fs::io_class;
      pr::fs::io_scheduler s({.queue_depth = 2, .latency_target = 1h});
      auto f = co_await pr::fs::open(
          p, {.access = pr::fs::access::read_write, .inline_first = pr::fs::inline_mode::never});
      pr::buffer b(150'000);
      const auto front = co_await s.acquire(io_class::foreground, 0);
      EXPECT_EQ(co_await s.run(io_class::background, f.read_at(b, 0)), 150'000u);
      EXPECT_EQ(co_await s.run(io_class::background, f.write_at(b, 0)), 150'000u);
      EXPECT_EQ(s.counters(io_class::background).operations, 2u * 3);
    }(path);
  });
}

}  // namespace
