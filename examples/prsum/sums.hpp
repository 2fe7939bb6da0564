// Checksums of files, and lines with them as sha256sum and its like write and read.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include <parkring/task.hpp>

namespace prsum {

/// Whether OpenSSL has a hash of this name: "sha256", "sha1", "blake2b512".
[[nodiscard]] bool knows(const std::string& algorithm);

/// How many its checksums have, of a hash that OpenSSL knows.
[[nodiscard]] std::size_t digits_of(const std::string& algorithm);

/// The checksum of a file's content, in hexadecimal digits. Reads piece by piece.
parkring::task<std::string> sum_of(std::filesystem::path file, std::string algorithm);

/// "DIGITS  NAME"; with a backslash in front where one or a line's end in the name is escaped.
[[nodiscard]] std::string line_of(std::string_view digits, std::string_view name);

struct expectation {
  std::string digits, name;
};
/// What such a line says; nothing if it is none. Takes "DIGITS *NAME", too.
[[nodiscard]] std::optional<expectation> read_line(std::string_view line);

}  // namespace prsum
