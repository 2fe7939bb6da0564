#include <parkring/sim/world.hpp>

#include <fcntl.h>
#include <sys/stat.h>

#include <cstring>
#include <system_error>

#include "kernel/sim/machine.hpp"
#include "kernel/sim/sim_kernel.hpp"

namespace parkring::sim {

using kernel::sim::machine;
using kernel::sim::open_ref;

struct world::parts {
  parts(std::uint64_t s, const world_options& o) : seed(s), m(s, o), k(m) {}
  std::uint64_t seed;
  std::optional<std::uint64_t> forced_cut;
  machine m;
  kernel::sim::sim_kernel k;
};

world::world(std::uint64_t seed, const world_options& options)
    : parts_(std::make_unique<parts>(seed, options)) {}
world::~world() = default;

// A new life begins with the first program that runs in it, so that the one before has ended.
world::entered::entered(world& w) : before_(kernel::this_thread_kernel) {
  auto& p = *w.parts_;
  if (p.m.stopped() == machine::stop_reason::power_cut) {
    p.k.settle();
    p.m.restart();
  }
  kernel::this_thread_kernel = &p.k;
}
world::entered::~entered() { kernel::this_thread_kernel = before_; }

void world::check_power() {
  const auto why = parts_->m.stopped();
  if (why == machine::stop_reason::power_cut || why == machine::stop_reason::too_many_steps)
    explain_stop();
}

void world::explain_stop() {
  const std::string at =
      " at step " + std::to_string(steps()) + " of seed " + std::to_string(parts_->seed);
  if (parts_->m.stopped() == machine::stop_reason::power_cut)
    throw power_cut("the power was cut" + at);
  if (parts_->m.stopped() == machine::stop_reason::too_many_steps)
    throw too_many_steps("the program seems to hang: world_options::max_steps are over" + at +
                         "; the last events were:\n" + trace(20));
  throw nothing_can_happen("every task waits, and nothing can happen any more" + at +
                           "; the last events were:\n" + trace(20));
}

void world::cut_at_step(std::uint64_t n) {
  parts_->m.cut_at_step(std::exchange(parts_->forced_cut, std::nullopt).value_or(n));
}
void world::cut_at(std::chrono::nanoseconds t) {
  if (parts_->forced_cut) return cut_at_step(0);
  parts_->m.cut_at_time(machine::start_ns + static_cast<std::uint64_t>(t.count()));
}
void world::cut_within(std::uint64_t n) { cut_at_step(steps() + random(n)); }
void world::cut_now() { cut_at_step(parts_->m.steps()); }
void world::keep_power() noexcept { parts_->m.keep_power(); }
void world::force_cut_step(std::uint64_t n) { parts_->forced_cut = n; }
void world::calm() { parts_->m.be_calm(); }
std::optional<std::uint64_t> world::first_cut() const noexcept { return parts_->m.first_cut(); }
std::optional<std::uint64_t> world::last_cut() const noexcept { return parts_->m.last_cut(); }
std::uint64_t world::steps() const noexcept { return parts_->m.steps(); }
std::uint64_t world::operations() const noexcept { return parts_->m.operations; }
unsigned world::power_cuts() const noexcept { return parts_->m.life(); }

std::uint64_t world::seed() const noexcept { return parts_->seed; }
std::uint64_t world::random(std::uint64_t n) { return parts_->m.program.below(n); }
bool world::chance(double p) { return parts_->m.program.chance(p); }

const faults& world::faults() const noexcept { return parts_->m.faults.faults(); }
void world::set_faults(const sim::faults& f) { parts_->m.set_faults(f); }
std::vector<world::injection> world::injected() const {
  std::vector<injection> all;
  for (const auto& i : parts_->m.injected())
    all.push_back({i.ordinal, std::string(name_of(i.what))});
  return all;
}
void world::suppress(std::uint64_t ordinal) { parts_->m.suppress(ordinal); }

std::chrono::nanoseconds world::now() const noexcept {
  return std::chrono::nanoseconds(parts_->m.now_ns() - machine::start_ns);
}
std::uint64_t world::hash() const noexcept { return parts_->m.log_book.hash(); }
std::string world::trace(std::size_t n) const { return parts_->m.log_book.text(n); }
void world::note(const std::string& words) { parts_->m.note(words); }

namespace {

template <class T>
T checked(T answer, const char* what, std::string_view path) {
  if (answer < 0)
    throw std::system_error(static_cast<int>(-answer), std::generic_category(),
                            std::string(what) + " of the simulated disk: " + std::string(path));
  return answer;
}

open_ref opened(machine& m, std::string_view path, int flags, const char* what) {
  open_ref file;
  checked(m.files.open(nullptr, path, flags, 0644, file), what, path);
  return file;
}

}  // namespace

void world::write_file(std::string_view path, std::string_view content) {
  auto& m = parts_->m;
  const open_ref file = opened(m, path, O_RDWR | O_CREAT | O_TRUNC, "write_file");
  const auto written =
      checked(m.files.write(*file, std::as_bytes(std::span(content)), 0), "write_file", path);
  if (static_cast<std::size_t>(written) != content.size()) checked(-ENOSPC, "write_file", path);
  checked(m.files.persist(path), "write_file", path);
}

std::string world::read_file(std::string_view path) const {
  auto& m = parts_->m;
  const open_ref file = opened(m, path, O_RDONLY, "read_file");
  struct statx s {};
  m.files.stat(*file, s);
  std::string content(s.stx_size, '\0');
  // Up to a sector that cannot be read it gives what is there; only then it says so.
  for (std::size_t done = 0; done < content.size();) {
    const auto rest = std::as_writable_bytes(std::span(content)).subspan(done);
    done += static_cast<std::size_t>(
        checked(m.files.read(*file, rest, static_cast<std::int64_t>(done)), "read_file", path));
  }
  return content;
}

bool world::exists(std::string_view path) const {
  struct statx s {};
  return parts_->m.files.stat(nullptr, path, 0, STATX_TYPE, s) == 0;
}

void world::create_directory(std::string_view path) {
  auto& m = parts_->m;
  checked(m.files.mkdir(nullptr, path, 0755), "create_directory", path);
  checked(m.files.persist(path), "create_directory", path);
}

void world::remove(std::string_view path) {
  auto& m = parts_->m;
  int answer = m.files.unlink(nullptr, path);
  if (answer == -EISDIR) answer = m.files.unlink(nullptr, path, AT_REMOVEDIR);
  checked(answer, "remove", path);
  checked(m.files.persist(path), "remove", path);
}

std::vector<std::string> world::list(std::string_view path) const {
  std::vector<std::string> names;
  checked(parts_->m.files.list(nullptr, path, names), "list", path);
  return names;
}

void world::damage(std::string_view path, std::uint64_t offset, std::uint64_t size) {
  auto& m = parts_->m;
  m.files.mark_bad(*opened(m, path, O_RDWR, "damage"), offset, size);
}

void world::drop_caches() { parts_->m.files.drop_caches(); }

namespace {

using kernel::sim::endpoint;

kernel::sim::ref<endpoint> stream_of(machine& m, int fd, const char* what) {
  const auto* const found = m.table.find(fd);
  if (found == nullptr || !found->stream)
    throw std::system_error(EBADF, std::generic_category(),
                            std::string(what) + " of a simulated world");
  return found->stream;
}

}  // namespace

world::pipe world::make_pipe() {
  auto& m = parts_->m;
  const int subject = m.log_book.subject("pipe");
  const auto ends = kernel::sim::make_pipe(m.net.all());
  pipe made{};
  made.read_end =
      checked(m.table.add({kernel::sim::ref<endpoint>(ends.reader), {}, subject}), "make_pipe", "");
  made.write_end =
      checked(m.table.add({kernel::sim::ref<endpoint>(ends.writer), {}, subject}), "make_pipe", "");
  return made;
}

void world::make_fifo(std::string_view path) {
  auto& m = parts_->m;
  checked(m.files.mkfifo(nullptr, path, 0600), "make_fifo", path);
  checked(m.files.persist(path), "make_fifo", path);
}

std::size_t world::put(int write_end, std::string_view bytes) {
  const auto to = stream_of(parts_->m, write_end, "put");
  const long n = to->write(bytes.data(), bytes.size());
  if (n == -EAGAIN) return 0;
  return static_cast<std::size_t>(checked(n, "put", "a pipe"));
}

std::string world::take(int read_end, std::size_t most) {
  const auto from = stream_of(parts_->m, read_end, "take");
  std::string bytes(most, '\0');
  const long n = from->read(bytes.data(), most);
  bytes.resize(n == -EAGAIN ? 0 : static_cast<std::size_t>(checked(n, "take", "a pipe")));
  return bytes;
}

void world::close(int fd) { checked(parts_->m.table.close(fd), "close", ""); }

namespace {
constexpr kernel::sim::host_id id(host h) noexcept { return kernel::sim::host_id{h.number}; }
}  // namespace

host world::add_host() { return {static_cast<unsigned>(parts_->m.net.add_host())}; }
void world::use_host(host h) { parts_->m.current_host = id(h); }
host world::host_in_use() const noexcept {
  return {static_cast<unsigned>(parts_->m.current_host)};
}
void world::set_link(host a, host b, const link_options& options) {
  parts_->m.net.set_link(id(a), id(b), options);
}
void world::partition(host a, host b) { parts_->m.net.partition(id(a), id(b)); }
void world::block(host from, host to) { parts_->m.net.cut(id(from), id(to)); }
void world::heal(host a, host b) { parts_->m.net.heal(id(a), id(b)); }
void world::heal() { parts_->m.net.heal(); }
void world::reset_connections(host h) { parts_->m.net.reset(id(h)); }
void world::crash(host h) { parts_->m.net.crash(id(h)); }

std::size_t world::open_descriptors() const noexcept { return parts_->m.table.open(); }

}  // namespace parkring::sim
