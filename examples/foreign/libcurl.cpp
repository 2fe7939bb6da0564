// libcurl's multi interface, awaited: many downloads at a time, beside reads of a file. libcurl
// says which sockets it waits for, and for how long; tasks do the waiting.
//
//   libcurl FOLDER URL: downloads each file of FOLDER from below URL, and compares
#include <curl/curl.h>

#include <chrono>
#include <filesystem>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include <parkring/parkring.hpp>

namespace pr = parkring;

class downloads {
 public:
  downloads() : multi_(curl_multi_init()) {
    curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, &on_socket);
    curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this);
    curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, &on_timer);
    curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this);
    curl_multi_setopt(multi_, CURLMOPT_MAX_TOTAL_CONNECTIONS, 4L);
  }
  downloads(const downloads&) = delete;
  downloads& operator=(const downloads&) = delete;
  ~downloads() {
    curl_multi_cleanup(multi_);  // tells us to let go of the sockets
  }

  /// Downloads `url`. When it is dropped, so is the transfer.
  pr::task<std::string> get(std::string url) {
    transfer t(multi_, url);
    co_await t.done.wait();
    if (t.result != CURLE_OK) throw std::runtime_error(url + ": " + curl_easy_strerror(t.result));
    co_return std::move(t.body);
  }

 private:
  struct transfer {
    transfer(CURLM* m, const std::string& url) : multi(m), easy(curl_easy_init()) {
      curl_easy_setopt(easy, CURLOPT_URL, url.c_str());
      curl_easy_setopt(easy, CURLOPT_PRIVATE, this);
      curl_easy_setopt(easy, CURLOPT_FAILONERROR, 1L);
      curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
      curl_easy_setopt(easy, CURLOPT_WRITEDATA, &body);
      curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &append);
      curl_multi_add_handle(multi, easy);
    }
    transfer(const transfer&) = delete;
    transfer& operator=(const transfer&) = delete;
    ~transfer() {
      curl_multi_remove_handle(multi, easy);
      curl_easy_cleanup(easy);
    }
    static std::size_t append(const char* data, std::size_t, std::size_t n, std::string* to) {
      to->append(data, n);
      return n;
    }
    CURLM* multi;
    CURL* easy;
    std::string body;
    pr::event done;
    CURLcode result = CURLE_OK;
  };

  void act(curl_socket_t socket, int flags) {
    int running = 0;
    curl_multi_socket_action(multi_, socket, flags, &running);
    int left = 0;
    while (const CURLMsg* m = curl_multi_info_read(multi_, &left)) {
      if (m->msg != CURLMSG_DONE) continue;
      transfer* t = nullptr;
      curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &t);
      t->result = m->data.result;
      t->done.set();
    }
  }

  pr::task<> watch(curl_socket_t socket, pr::fd_events wanted) {
    const auto fd = pr::async_fd::borrow(socket);
    for (;;) {
      const auto seen = co_await fd.ready(wanted);
      using enum pr::fd_events;
      act(socket, (has(seen, readable | hang_up) ? CURL_CSELECT_IN : 0) |
                      (has(seen, writable) ? CURL_CSELECT_OUT : 0) |
                      (has(seen, error) ? CURL_CSELECT_ERR : 0));
    }
  }
  // Sockets that libcurl closes now: dropping the wait is enough, the kernel lets go with the next
  // turn.
  static int on_socket(CURL*, curl_socket_t socket, int what, void* self, void*) {
    auto& d = *static_cast<downloads*>(self);
    d.watchers_.erase(socket);  // aborts it; if it is the one that runs, when it waits again
    if (what == CURL_POLL_REMOVE) return 0;
    auto wanted = pr::fd_events::none;
    if (what != CURL_POLL_OUT) wanted = wanted | pr::fd_events::readable;
    if (what != CURL_POLL_IN) wanted = wanted | pr::fd_events::writable;
    d.watchers_.emplace(socket, pr::spawn(&downloads::watch, &d, socket, wanted));
    return 0;
  }

  pr::task<> time_out(long ms) {
    co_await pr::sleep_for(std::chrono::milliseconds(ms));
    act(CURL_SOCKET_TIMEOUT, 0);
  }
  static int on_timer(CURLM*, long ms, void* self) {
    auto& d = *static_cast<downloads*>(self);
    d.timer_.reset();
    if (ms >= 0) d.timer_.emplace(pr::spawn(&downloads::time_out, &d, ms));
    return 0;
  }

  CURLM* multi_;
  std::map<curl_socket_t, pr::join_handle<void>> watchers_;
  std::optional<pr::join_handle<void>> timer_;
};

pr::task<> compare(downloads& d, std::string url, std::filesystem::path path, int& same) {
  auto [there, here] = co_await pr::when_all(d.get(url), pr::fs::read_file(path));
  if (there != here) throw std::runtime_error(url + " differs from " + path.string());
  ++same;
}

pr::task<int> all(std::filesystem::path folder, std::string url) {
  downloads d;
  int same = 0;
  pr::task_group group;
  for (const auto& f : std::filesystem::directory_iterator(folder))
    group.spawn(compare, std::ref(d), url + "/" + f.path().filename().string(), f.path(),
                std::ref(same));
  co_await group.join();
  // One that nobody waits for to the end.
  (void)co_await pr::timeout(std::chrono::milliseconds(0), d.get(url));
  co_return same;
}

int main(int argc, char** argv) try {
  if (argc != 3) {
    std::cerr << "usage: libcurl FOLDER URL\n";
    return 2;
  }
  curl_global_init(CURL_GLOBAL_DEFAULT);
  const int same = pr::run(all(argv[1], argv[2]));
  curl_global_cleanup();
  std::cout << same << " files came as they are on disk\n";
  return same > 0 ? 0 : 1;
} catch (const std::exception& e) {
  std::cerr << e.what() << '\n';
  return 1;
}
