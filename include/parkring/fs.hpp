// Files.
#pragma once

#include <parkring/fs/file.hpp>
#include <parkring/fs/log.hpp>
#include <parkring/fs/log_options.hpp>
#include <parkring/fs/options.hpp>
#include <parkring/fs/paths.hpp>
#include <parkring/fs/read_write.hpp>
