// fio, the program by which disks are usually measured: what it is told, and what it answers.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "../measurement.hpp"
#include "../session.hpp"

namespace lab {

/// The command that makes fio read as the plan says, as the limit contender does it.
std::vector<std::string> fio_command(const session_plan& plan);

/// The figures in what fio printed. Throws std::runtime_error when there are none, with the first
/// line of what it printed instead.
measurement fio_figures(std::string_view printed);

}  // namespace lab
