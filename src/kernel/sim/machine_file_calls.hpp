// Calls about files on the simulated machine, made beside its rings.
//
// Each is a step: the power may go before it, and what can go wrong with a request of its kind can
// go wrong with it, as far as it is told at once (errors, short transfers, failed syncs, stalls).
// It takes its time while nothing else happens, as the program that makes it is what runs. Thread:
// the machine's.
#pragma once

#include <string>
#include <string_view>

#include "kernel/file_calls.hpp"
#include "kernel/sim/machine.hpp"

namespace parkring::kernel::sim {

class machine_file_calls final : public file_calls {
 public:
  explicit machine_file_calls(machine& m) noexcept : m_(m) {}

  int open(int at, const char* path, int flags, unsigned mode) noexcept override;
  int close(int fd) noexcept override;
  int duplicate(int fd) noexcept override;
  int reopen(int fd, int flags) noexcept override;
  int stat(int at, const char* path, int flags, unsigned mask, struct statx& out) noexcept override;
  std::int64_t read_entries(int fd, std::span<std::byte> out) noexcept override;
  std::int64_t read_link(int at, const char* path, std::span<char> out) noexcept override;
  int make_directory(int at, const char* path, unsigned mode) noexcept override;
  int make_symlink(const char* target, int at, const char* path) noexcept override;
  int make_fifo(int at, const char* path, unsigned mode) noexcept override;
  int remove(int at, const char* path, int flags) noexcept override;
  int rename(int from_at, const char* from, int to_at, const char* to,
             unsigned flags) noexcept override;
  int link(int from_at, const char* from, int to_at, const char* to, int flags) noexcept override;

  int change_mode(int at, const char* path, unsigned mode, int flags) noexcept override;
  int change_owner(int at, const char* path, uid_t user, gid_t group, int flags) noexcept override;
  int set_times(int at, const char* path, const timespec (&times)[2], int flags) noexcept override;
  std::int64_t get_attribute(const attribute_place& of, const char* name,
                             std::span<std::byte> out) noexcept override;
  int set_attribute(const attribute_place& of, const char* name, std::span<const std::byte> value,
                    int flags) noexcept override;
  std::int64_t list_attributes(const attribute_place& of, std::span<char> out) noexcept override;
  int remove_attribute(const attribute_place& of, const char* name) noexcept override;

  std::int64_t read(int fd, std::span<std::byte> out, std::uint64_t offset) noexcept override;
  std::int64_t write(int fd, std::span<const std::byte> data,
                     std::uint64_t offset) noexcept override;
  int sync(int fd, bool data_only) noexcept override;
  int truncate(int fd, std::uint64_t size) noexcept override;
  std::int64_t copy_range(int from, std::uint64_t from_offset, int to, std::uint64_t to_offset,
                          std::uint64_t count) noexcept override;
  int clone(int from, int to) noexcept override;
  std::int64_t seek(int fd, std::uint64_t offset, int whence) noexcept override;
  int advise(int fd, std::uint64_t offset, std::uint64_t length, int advice) noexcept override;
  int lock(int fd, short type, std::uint64_t offset, std::uint64_t length) noexcept override;
  int inspect_file_system(int at, const char* path, file_system_facts& out) noexcept override;

 private:
  // What is asked for, and what goes wrong with it.
  struct call {
    parkring::sim::operation what;
    nature of{};
    int subject = -1;
    std::uint64_t length = ~std::uint64_t{0};  // it transfers no more
    bool refused_sync = false;
  };
  template <class Act>
  std::int64_t make(call c, Act act) noexcept;
  int begin(call& c);
  std::int64_t place(int at, std::string_view path, open_file*& out,
                     bool may_be_empty = false) const noexcept;
  int place_of_details(int at, std::string_view path, int flags, open_file*& out) const noexcept;
  open_file* file(int fd) const noexcept;
  template <class Act>
  std::int64_t on_file(int fd, call c, Act act) noexcept;
  template <class Act>
  std::int64_t on_attributes(const attribute_place& of, const char* operation, const char* name,
                             int without, Act act) noexcept;

  machine& m_;
};

}  // namespace parkring::kernel::sim
