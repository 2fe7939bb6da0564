#include "store.hpp"

#include <cerrno>
#include <functional>
#include <utility>

#include <parkring/as_result.hpp>
#include <parkring/spawn.hpp>

#include "record.hpp"

namespace pr = parkring;

namespace kv {
namespace {

// The snapshot begins with: magic, its sequence number, how many records follow, their checksum
// (each has one of its own) being that of these 24 bytes.
constexpr std::string_view snapshot_magic = "kvsnap1\n";
constexpr std::size_t snapshot_header = 8 + 8 + 8 + 4;
constexpr std::size_t snapshot_piece = std::size_t{256} << 10;

constexpr pr::fs::open_options fresh{
    .access = pr::fs::access::write, .creation = pr::fs::creation::if_missing, .truncate = true};

std::filesystem::path directory_above(const std::filesystem::path& directory) {
  // "db/" and "db" are one directory.
  const auto named = directory.has_filename() ? directory : directory.parent_path();
  const auto above = named.parent_path();
  return above.empty() ? std::filesystem::path(".") : above;
}

// A step that may find its work done: `number` is no error of it.
template <class Operation>
pr::task<> allowing(int number, Operation operation) {
  const auto r = co_await pr::as_result(std::move(operation));
  if (!r && r.error().number() != number) throw pr::io_error(r.error());
}

// Writes all of `bytes`. A write may be short: the rest is written by further ones.
pr::task<> write_whole(pr::fs::file& file, std::string bytes, std::uint64_t offset) {
  while (!bytes.empty()) {
    auto written = co_await file.write_at(std::move(bytes), offset);
    if (written.count == 0)
      throw pr::io_error(
          pr::error(EIO, "write_at", file.path().native(), "the device takes no more bytes"));
    bytes = std::move(written.memory);
    bytes.erase(0, written.count);
    offset += written.count;
  }
}

void check_length(const char* what, std::size_t size, std::size_t longest) {
  if (size > longest)
    throw std::invalid_argument("a " + std::string(what) + " of " + std::to_string(size) +
                                " bytes is too long; at most " + std::to_string(longest));
}

std::exception_ptr closed_error() {
  return std::make_exception_ptr(
      store_failed("the store was closed before the change was durable"));
}

}  // namespace

// ---- opening ----

store::store(std::filesystem::path directory, store_flaws flaws)
    : directory_(std::move(directory)), flaws_(flaws), gathering_(std::make_shared<batch>()) {}

store::~store() {
  tasks_.abort_all();
  for (const auto& waited_for : {committing_, gathering_})
    if (waited_for != nullptr) {
      waited_for->error = closed_error();
      waited_for->done.set();
    }
  if (compaction_ != nullptr) {
    compaction_->error = closed_error();
    compaction_->done.set();
  }
}

pr::task<std::unique_ptr<store>> store::open(std::filesystem::path directory, store_flaws flaws) {
  std::unique_ptr<store> s(new store(std::move(directory), flaws));
  co_await s->recover();
  s->tasks_.spawn(&store::run_committer, std::ref(*s));
  co_return s;
}

pr::task<> store::recover() {
  co_await allowing(EEXIST, pr::fs::create_directory(directory_));
  // Also if it was there: who made it may have died before it was durable.
  if (!flaws_.skip_directory_sync) co_await pr::fs::sync_directory(directory_above(directory_));
  co_await allowing(ENOENT, pr::fs::remove(directory_ / "snapshot.new"));
  co_await allowing(ENOENT, pr::fs::remove(directory_ / "wal.new"));
  co_await sync_names();  // names that are read must stay, before anything is built on them
  co_await read_snapshot();
  co_await replay_log();
}

pr::task<> store::read_snapshot() {
  const auto path = directory_ / "snapshot";
  const auto read = co_await pr::as_result(pr::fs::read_file(path));
  if (!read) {
    if (read.error().number() != ENOENT) throw pr::io_error(read.error());
    co_return;
  }
  const std::string_view bytes(*read);
  // It got its name after it was whole and durable, so whatever is wrong with it is damage.
  const store_corrupt damaged(path.native() +
                              ": the snapshot is damaged; restore the directory from a copy");
  if (bytes.size() < snapshot_header || !bytes.starts_with(snapshot_magic) ||
      crc32c(bytes.substr(0, snapshot_header - 4)) != u32_at(bytes, snapshot_header - 4))
    throw damaged;
  snapshot_sequence_ = u64_at(bytes, 8);
  const std::uint64_t count = u64_at(bytes, 16);
  std::string_view rest = bytes.substr(snapshot_header);
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto r = parse_record(rest);
    if (!r || !r->value || r->sequence != snapshot_sequence_) throw damaged;
    values_.insert_or_assign(std::string(r->key), std::string(*r->value));
    rest.remove_prefix(r->size);
  }
  if (!rest.empty()) throw damaged;
}

pr::task<> store::replay_log() {
  const auto path = directory_ / "wal";
  auto read = co_await pr::as_result(pr::fs::read_file(path));
  if (!read && read.error().number() != ENOENT) throw pr::io_error(read.error());
  const std::string content = read ? std::move(*read) : std::string();
  std::string_view rest(content);
  std::string kept;
  std::uint64_t last = 0;
  durable_sequence_ = snapshot_sequence_;
  while (const auto r = parse_record(rest)) {
    if (last == 0 && r->sequence > snapshot_sequence_ + 1)
      throw store_corrupt(path.native() + ": the log begins with change " +
                          std::to_string(r->sequence) + ", but the snapshot ends with " +
                          std::to_string(snapshot_sequence_) +
                          ": what lies between is lost; restore the directory from a copy");
    if (last != 0 && r->sequence != last + 1) break;
    last = r->sequence;
    if (last > snapshot_sequence_) {
      kept += rest.substr(0, r->size);
      apply({std::string(r->key), r->value ? std::optional<std::string>(*r->value) : std::nullopt});
      durable_sequence_ = last;
      ++counters_.replayed;
    }
    rest.remove_prefix(r->size);
  }
  counters_.cut = rest.size();
  next_sequence_ = durable_sequence_ + 1;
  co_await start_log(std::move(kept));
}

// ---- changing ----

void store::check_usable() const {
  if (failure_ != nullptr) std::rethrow_exception(failure_);
  if (closing_) throw std::logic_error("the store is closed; open it again to change it");
}

pr::task<> store::put(std::string key, std::string value) {
  return enqueue({std::move(key), std::move(value)});
}

pr::task<> store::del(std::string key) { return enqueue({std::move(key), std::nullopt}); }

pr::task<> store::enqueue(change c) {
  check_length("key", c.key.size(), longest_key);
  if (c.value) check_length("value", c.value->size(), longest_value);
  check_usable();
  const std::shared_ptr<batch> mine = gathering_;
  append_record(mine->bytes, next_sequence_, c.key, c.value);
  mine->changes.push_back(std::move(c));
  mine->last_sequence = next_sequence_++;
  work_.set();
  co_await mine->done.wait();
  // The store may be gone by now.
  if (mine->error != nullptr) std::rethrow_exception(mine->error);
}

pr::task<> store::run_committer(store& s) {
  for (;;) {
    co_await s.work_.wait();
    s.work_.reset();
    try {
      while (s.failure_ == nullptr && !s.gathering_->changes.empty()) co_await s.commit();
      if (s.failure_ == nullptr && s.compaction_ != nullptr) {
        co_await s.replace_files();
        s.work_.set();  // what has gathered meanwhile
      }
    } catch (const std::exception& e) {
      s.fail(e.what());
    }
    const bool idle = s.gathering_->changes.empty() && s.compaction_ == nullptr;
    if (s.closing_ && (idle || s.failure_ != nullptr)) co_return;
  }
}

pr::task<> store::commit() {
  committing_ = std::exchange(gathering_, std::make_shared<batch>());
  batch& b = *committing_;
  co_await append(std::move(b.bytes));
  if (!flaws_.acknowledge_before_sync) co_await log_.datasync();
  counters_.changes += b.changes.size();
  ++counters_.commits;
  for (change& c : b.changes) apply(std::move(c));
  durable_sequence_ = b.last_sequence;
  b.done.set();
  if (flaws_.acknowledge_before_sync) co_await log_.datasync();
  committing_.reset();
}

pr::task<> store::append(std::string bytes) {
  const std::uint64_t at = log_size_;
  log_size_ += bytes.size();
  if (flaws_.ignore_short_writes)
    co_await log_.write_at(std::move(bytes), at);
  else
    co_await write_whole(log_, std::move(bytes), at);
}

void store::apply(change&& c) {
  if (c.value)
    values_.insert_or_assign(std::move(c.key), std::move(*c.value));
  else
    values_.erase(c.key);
}

void store::fail(const std::string& why) {
  failure_ = std::make_exception_ptr(
      store_failed("the store has failed and takes no more changes: " + why +
                   "; open it again: what was acknowledged is there"));
  for (const auto& waited_for : {committing_, gathering_})
    if (waited_for != nullptr) {
      waited_for->error = failure_;
      waited_for->done.set();
    }
  committing_.reset();
  gathering_ = std::make_shared<batch>();
  if (compaction_ != nullptr) {
    compaction_->error = failure_;
    std::exchange(compaction_, nullptr)->done.set();
  }
}

// ---- compacting ----

pr::task<> store::compact() {
  check_usable();
  if (compaction_ == nullptr) compaction_ = std::make_shared<compaction>();
  const std::shared_ptr<compaction> mine = compaction_;
  work_.set();
  co_await mine->done.wait();
  if (mine->error != nullptr) std::rethrow_exception(mine->error);
}

// Up to the rename nothing that counts has been touched, so an error there is the caller's alone.
pr::task<> store::replace_files() {
  std::exception_ptr not_written;
  try {
    co_await write_snapshot();
  } catch (const pr::io_error&) {
    not_written = std::current_exception();
  }
  if (not_written == nullptr) {
    co_await pr::fs::rename(directory_ / "snapshot.new", directory_ / "snapshot");
    co_await sync_names();
    snapshot_sequence_ = durable_sequence_;
    co_await start_log({});
    ++counters_.compactions;
  } else {
    // It may hold the space that was missing. What cannot be removed is, by the next opening.
    (void)co_await pr::as_result(pr::fs::remove(directory_ / "snapshot.new"));
  }
  compaction_->error = not_written;
  std::exchange(compaction_, nullptr)->done.set();
}

pr::task<> store::write_snapshot() {
  std::string piece(snapshot_magic);
  append_u64(piece, durable_sequence_);
  append_u64(piece, values_.size());
  append_u32(piece, crc32c(piece));
  auto file = co_await pr::fs::open(directory_ / "snapshot.new", fresh);
  std::uint64_t at = 0;
  // No change is applied meanwhile: only the committer does that, and this is the committer.
  for (const auto& [key, value] : values_) {
    append_record(piece, durable_sequence_, key, value);
    if (piece.size() < snapshot_piece) continue;
    const std::size_t size = piece.size();
    co_await write_whole(file, std::exchange(piece, std::string()), at);
    at += size;
  }
  co_await write_whole(file, std::move(piece), at);
  co_await file.sync();
  co_await std::move(file).close();
}

// Under its final name, and durable with it, before another record goes into it.
pr::task<> store::start_log(std::string records) {
  const std::uint64_t size = records.size();
  auto file = co_await pr::fs::open(directory_ / "wal.new", fresh);
  co_await write_whole(file, std::move(records), 0);
  co_await file.sync();
  co_await std::move(file).close();
  co_await pr::fs::rename(directory_ / "wal.new", directory_ / "wal");
  co_await sync_names();
  log_ = co_await pr::fs::open(directory_ / "wal", {.access = pr::fs::access::write});
  log_size_ = size;
}

pr::task<> store::sync_names() {
  if (!flaws_.skip_directory_sync) co_await pr::fs::sync_directory(directory_);
}

// ---- the rest ----

std::optional<std::string> store::get(std::string_view key) const {
  const auto found = values_.find(key);
  if (found == values_.end()) return std::nullopt;
  return found->second;
}

pr::task<> store::close() {
  if (closing_) throw std::logic_error("the store is closed already");
  closing_ = true;
  work_.set();
  co_await tasks_.join();
  const auto closed = co_await pr::as_result(std::move(log_).close());
  if (failure_ != nullptr) std::rethrow_exception(failure_);
  if (!closed) throw pr::io_error(closed.error());
}

}  // namespace kv
