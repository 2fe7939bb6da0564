// Files.
#pragma once

#include <parkring/fs/allocate.hpp>
#include <parkring/fs/direct_file.hpp>
#include <parkring/fs/file.hpp>
#include <parkring/fs/options.hpp>
#include <parkring/fs/paths.hpp>
#include <parkring/fs/read_many.hpp>
#include <parkring/fs/read_write.hpp>
#include <parkring/fs/transfer_options.hpp>
#include <parkring/fs/vectored.hpp>
