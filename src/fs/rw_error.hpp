// Failed reads and writes, in words.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include <parkring/detail/rw.hpp>
#include <parkring/error.hpp>

#include "fs/file_state.hpp"

namespace parkring::fs {

/// Appends "read_at(/data/x, offset 0, 4096 bytes)".
void describe_rw(std::string& out, const detail::file_state& f, detail::direction way,
                 std::uint64_t offset, std::size_t size);

[[nodiscard]] error rw_error(int number, const detail::file_state& f, detail::direction way,
                             std::uint64_t offset, std::size_t size, const std::byte* data);

/// An error about the file as a whole: "datasync(/data/x): ...".
[[nodiscard]] error file_error(int number, const char* operation, const detail::file_state& f);

}  // namespace parkring::fs
