// Files.
#pragma once

#include <parkring/fs/attributes.hpp>
#include <parkring/fs/directory.hpp>
#include <parkring/fs/durable.hpp>
#include <parkring/fs/extended_attributes.hpp>
#include <parkring/fs/file.hpp>
#include <parkring/fs/file_lock.hpp>
#include <parkring/fs/mapping.hpp>
#include <parkring/fs/metadata.hpp>
#include <parkring/fs/options.hpp>
#include <parkring/fs/paths.hpp>
#include <parkring/fs/read_write.hpp>
#include <parkring/fs/temporary.hpp>
