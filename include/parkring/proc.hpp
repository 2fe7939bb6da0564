// Processes and signals.
#pragma once

#include <parkring/proc/command.hpp>
#include <parkring/proc/exit_status.hpp>
#include <parkring/proc/process.hpp>
#include <parkring/proc/signals.hpp>
