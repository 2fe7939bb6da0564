// Files.
#pragma once

#include <parkring/fs/copy_stream.hpp>
#include <parkring/fs/copy.hpp>
#include <parkring/fs/file.hpp>
#include <parkring/fs/lines.hpp>
#include <parkring/fs/metadata.hpp>
#include <parkring/fs/log.hpp>
#include <parkring/fs/log_options.hpp>
#include <parkring/fs/options.hpp>
#include <parkring/fs/paths.hpp>
#include <parkring/fs/read_dir.hpp>
#include <parkring/fs/read_write.hpp>
#include <parkring/fs/reader.hpp>
#include <parkring/fs/writer.hpp>
#include <parkring/fs/remove_all.hpp>
#include <parkring/fs/walk.hpp>
