// What requests about names share, whether these start from the working directory or another.
#pragma once

#include <cstdint>
#include <filesystem>

#include <parkring/detail/file_ref.hpp>
#include <parkring/fs/options.hpp>
#include <parkring/fs/paths.hpp>
#include <parkring/task.hpp>

namespace parkring::fs {

/// The flags of open(2).
[[nodiscard]] int open_flags(const open_options& options) noexcept;

/// RENAME_NOREPLACE and RENAME_EXCHANGE of renameat2(2), or 0.
[[nodiscard]] std::uint32_t rename_flags(rename_mode mode) noexcept;

/// `read_link`, from a directory on.
[[nodiscard]] task<std::filesystem::path> read_link_at(detail::file_ref at,
                                                       std::filesystem::path path);

}  // namespace parkring::fs
