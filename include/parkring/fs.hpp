// Files.
#pragma once

#include <parkring/fs/copy_stream.hpp>
#include <parkring/fs/file.hpp>
#include <parkring/fs/io_scheduler.hpp>
#include <parkring/fs/lines.hpp>
#include <parkring/fs/options.hpp>
#include <parkring/fs/paths.hpp>
#include <parkring/fs/read_write.hpp>
#include <parkring/fs/reader.hpp>
#include <parkring/fs/writer.hpp>
