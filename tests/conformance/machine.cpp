#include "conformance/machine.hpp"

#include <stdlib.h>
#include <sys/vfs.h>

#include <filesystem>
#include <optional>
#include <ostream>

#include <parkring/sim/world.hpp>

#include "ring/capabilities.hpp"
#include "support/machine.hpp"
#include "support/scratch.hpp"

namespace parkring::conformance {

namespace {

// A kernel of this process's own system, in a directory of a real file system.
class real_machine final : public machine {
 public:
  real_machine(kernel::kernel& k, const std::filesystem::path& where)
      : kernel_(k), directory_(where), root_(directory_.root().native()) {}
  [[nodiscard]] kernel::kernel& served_by() noexcept override { return kernel_; }
  [[nodiscard]] const std::string& root() const noexcept override { return root_; }

 private:
  kernel::kernel& kernel_;
  testing::scratch directory_;
  std::string root_;
};

bool in_memory(const std::filesystem::path& where) {
  struct statfs s {};
  constexpr long tmpfs = 0x01021994;
  return ::statfs(where.c_str(), &s) == 0 && s.f_type == tmpfs;
}

// The first place for temporary files that is on a disk.
std::optional<std::filesystem::path> on_disk() {
  for (const std::filesystem::path& where :
       {std::filesystem::temp_directory_path(), std::filesystem::path("/var/tmp"),
        std::filesystem::current_path()}) {
    if (std::filesystem::is_directory(where) && !in_memory(where)) return where;
  }
  return std::nullopt;
}

bool has_rings(std::string& why) {
  const ring::capabilities& here = ring::this_machine();
  if (!here.available()) why = here.why.reason;
  return here.available();
}

std::unique_ptr<machine> linux_disk(std::string& why) {
  if (!has_rings(why)) return nullptr;
  const auto where = on_disk();
  if (!where) {
    why = "neither the directory for temporary files, nor /var/tmp, nor this one is on a disk";
    return nullptr;
  }
  return std::make_unique<real_machine>(kernel::linux_kernel(), *where);
}

std::unique_ptr<machine> linux_tmpfs(std::string& why) {
  if (!has_rings(why)) return nullptr;
  if (!in_memory("/dev/shm")) {
    why = "/dev/shm is no tmpfs";
    return nullptr;
  }
  return std::make_unique<real_machine>(kernel::linux_kernel(), "/dev/shm");
}

std::unique_ptr<machine> threads(std::string&) {
  return std::make_unique<real_machine>(kernel::threads_kernel(),
                                        on_disk().value_or(std::filesystem::temp_directory_path()));
}

// A world, entered as long as the machine lives.
class simulated_machine final : public machine {
 public:
  simulated_machine() { world_.create_directory(root_); }
  [[nodiscard]] kernel::kernel& served_by() noexcept override {
    return *kernel::this_thread_kernel;
  }
  [[nodiscard]] const std::string& root() const noexcept override { return root_; }

 private:
  std::string root_ = "/root";
  sim::world world_{testing::seed()};
  sim::world::entered inside_{world_};
};

std::unique_ptr<machine> simulated(std::string&) { return std::make_unique<simulated_machine>(); }

}  // namespace

const std::vector<machine_kind>& machines() {
  static const std::vector<machine_kind> all = {
      {"linux_disk", linux_disk},
      {"linux_tmpfs", linux_tmpfs},
      {"threads", threads},
      {"sim", simulated},
  };
  return all;
}

void PrintTo(const machine_kind& kind, std::ostream* out) { *out << kind.name; }

void on_machine::SetUp() {
  std::string why;
  machine_ = GetParam().make(why);
  if (machine_ == nullptr) GTEST_SKIP() << GetParam().name << ": " << why;
  io_ = std::make_unique<client>(machine_->served_by());
}

void on_machine::TearDown() {
  io_.reset();
  machine_.reset();
}

}  // namespace parkring::conformance
