// A small key-value store that loses nothing: a write-ahead log, group commit, snapshots.
//
// Everything it does to the world goes through parkring: no threads, no clock, no system call of
// its own. So the same code runs on a disk and, in tests, on a simulated machine whose power fails.
//
// Files, in a directory of the store's own
//   wal           every change since the snapshot (or before: see below), in order; record.hpp
//   snapshot      all keys and values as of one sequence number, and that number
//   *.new         unfinished; removed when the store is opened
//
// What makes it survive a power cut
//   A change is acknowledged after its record was written and the log synced; and the log's own
//   name was made durable, by a sync of its directory, before the first record went into it.
//   A record that is torn fails its checksum and ends the log there: it was not acknowledged.
//   A compaction writes and syncs `snapshot.new`, renames it, syncs the directory; only then it
//   puts an empty log in place the same way, and only then that log takes records. A cut between
//   the two leaves a log that begins before the snapshot: sequence numbers tell what to skip, so a
//   deleted key does not come back.
//   Opening writes the log anew, from its valid records. So nothing lies behind them that might
//   look like their continuation; and nothing is trusted that was read from the page cache only,
//   where a failed sync leaves what the disk does not have.
//   After a write or sync that failed nobody knows what is on the disk, and a second sync may
//   succeed without the lost pages. So the store fails for good; opening it again reads what is
//   there.
//
// Who does what. `put` and `del` add a record to the batch that gathers, and wait. One task, the
// committer, takes the batch, writes it, syncs, applies it to the map in memory, and lets its
// writers go; meanwhile the next batch gathers. It runs compactions too, so nothing is appended
// during one. All of it on one runtime, on one thread: nothing is locked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <parkring/event.hpp>
#include <parkring/fs.hpp>
#include <parkring/task.hpp>
#include <parkring/task_group.hpp>

namespace kv {

/// Mistakes that the store can be told to make, so that tests can show that they would be found.
/// For tests only: each of them loses acknowledged data.
struct store_flaws {
  bool skip_directory_sync = false;      // new names are not made durable
  bool acknowledge_before_sync = false;  // writers are told before their records are durable
  bool ignore_short_writes = false;      // what a short write left out is not written again
};

/// The store's files cannot be what it wrote: said when it is opened.
class store_corrupt : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// An earlier write or sync failed, so this store takes no more changes.
class store_failed : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct store_counters {
  std::uint64_t changes = 0;      // puts and deletes acknowledged
  std::uint64_t commits = 0;      // batches written and synced; each is one sync
  std::uint64_t compactions = 0;  // snapshots made
  std::uint64_t replayed = 0;     // records of the log that opening has applied
  std::uint64_t cut = 0;          // bytes behind the last valid record that opening cut off
};

/// An open store.
///
/// *Owns* its files and its committer. *Thread*: the runtime's that opened it. *Drop*: destroying
/// it without `close` stops the committer; who waits for a change is told `store_failed`, and that
/// change may or may not be found later. Requests of it may still be under way: open the directory
/// again when its runtime has ended, or after `close`. One store at a time may have a directory
/// open: nothing checks that.
class store {
 public:
  /// Opens the store in `directory`, which is created if it is missing (its parent is not).
  ///
  /// *Completes when* all that was acknowledged is in memory and durable. *Owns* the path.
  /// *Thread*: inside a task. *Drop*: the files stay as they are. *Errors*: `pr::io_error`;
  /// `store_corrupt`.
  [[nodiscard]] static parkring::task<std::unique_ptr<store>> open(std::filesystem::path directory,
                                                                   store_flaws flaws = {});
  store(const store&) = delete;
  store& operator=(const store&) = delete;
  ~store();

  /// Sets the value of a key.
  ///
  /// *Completes when* the change is durable, and visible to `get`. Changes take effect in the order
  /// in which they were begun. *Owns* key and value. *Thread*: the store's. *Drop*: the change may
  /// happen all the same. *Errors*: `store_failed`; `std::invalid_argument` for a key or value that
  /// is too long.
  [[nodiscard]] parkring::task<> put(std::string key, std::string value);

  /// Deletes a key; it need not exist. As `put`.
  ///
  /// *Completes when* the change is durable. *Owns* the key. *Thread*: the store's. *Drop*: the
  /// change may happen all the same. *Errors*: as `put`.
  [[nodiscard]] parkring::task<> del(std::string key);

  /// Replaces snapshot and log by a new snapshot and an empty log. Changes wait meanwhile.
  ///
  /// *Completes when* both are durable. *Owns* nothing. *Thread*: the store's. *Drop*: goes on in
  /// the background. *Errors*: `pr::io_error` when there was no way to write the snapshot, after
  /// which the store is as before; `store_failed` when it failed later.
  [[nodiscard]] parkring::task<> compact();

  /// Waits for the changes that were begun, and closes the files.
  ///
  /// *Completes when* the committer has ended. *Owns* nothing. *Thread*: the store's. *Drop*:
  /// closes all the same, later. *Errors*: `store_failed`, if it has; `pr::io_error` of close(2).
  [[nodiscard]] parkring::task<> close();

  /// The durable value of a key. Answers from memory, also when the store has failed.
  [[nodiscard]] std::optional<std::string> get(std::string_view key) const;

  /// Calls `fn(key, value)` for each key, in order. `fn` may not await.
  template <class Fn>
  void for_each(Fn&& fn) const {
    for (const auto& [key, value] : values_) fn(key, value);
  }

  [[nodiscard]] std::size_t size() const noexcept { return values_.size(); }
  [[nodiscard]] const store_counters& counters() const noexcept { return counters_; }

 private:
  struct change {
    std::string key;
    std::optional<std::string> value;  // none: deleted
  };
  // Shared by the committer and the writers that wait for it; so a writer needs the store no more.
  struct batch {
    std::string bytes;  // the records
    std::vector<change> changes;
    std::uint64_t last_sequence = 0;
    std::exception_ptr error;  // set before `done`, if it failed
    parkring::event done;
  };
  struct compaction {
    std::exception_ptr error;
    parkring::event done;
  };

  store(std::filesystem::path directory, store_flaws flaws);

  parkring::task<> recover();
  parkring::task<> read_snapshot();
  parkring::task<> replay_log();

  parkring::task<> enqueue(change c);
  static parkring::task<> run_committer(store& s);
  parkring::task<> commit();
  parkring::task<> append(std::string bytes);
  parkring::task<> replace_files();
  parkring::task<> write_snapshot();
  parkring::task<> start_log(std::string records);
  parkring::task<> sync_names();
  void apply(change&& c);
  void fail(const std::string& why);
  void check_usable() const;

  const std::filesystem::path directory_;
  const store_flaws flaws_;
  std::map<std::string, std::string, std::less<>> values_;  // what is durable
  std::uint64_t next_sequence_ = 1;                         // of the next change to begin
  std::uint64_t durable_sequence_ = 0;                      // of the last one acknowledged
  std::uint64_t snapshot_sequence_ = 0;                     // what the snapshot contains
  parkring::fs::file log_;
  std::uint64_t log_size_ = 0;

  std::shared_ptr<batch> gathering_, committing_;
  std::shared_ptr<compaction> compaction_;  // asked for
  parkring::event work_;                    // there is a batch, a compaction, or the end
  std::exception_ptr failure_;              // why nothing is taken any more
  bool closing_ = false;
  store_counters counters_;
  parkring::task_group tasks_;  // the committer; goes first, for it uses all the above
};

}  // namespace kv
