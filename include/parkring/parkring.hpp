// Everything, in the order of a tour.
#pragma once

#include <parkring/literals.hpp>

#include <parkring/error.hpp>

#include <parkring/task.hpp>

#include <parkring/runtime.hpp>

#include <parkring/buffer.hpp>
#include <parkring/memory.hpp>

#include <parkring/fs.hpp>

#include <parkring/as_result.hpp>
#include <parkring/link.hpp>
#include <parkring/race.hpp>
#include <parkring/spawn.hpp>
#include <parkring/task_group.hpp>
#include <parkring/when_all.hpp>

#include <parkring/spawn_anywhere.hpp>
#include <parkring/this_task.hpp>
#include <parkring/time.hpp>
#include <parkring/timeout.hpp>

#include <parkring/deadline.hpp>
#include <parkring/shield.hpp>
#include <parkring/stop.hpp>
#include <parkring/task_local.hpp>

#include <parkring/generator.hpp>
#include <parkring/stream.hpp>

#include <parkring/sync.hpp>

#include <parkring/shards.hpp>

#include <parkring/proc.hpp>

#include <parkring/async_fd.hpp>
#include <parkring/guest.hpp>
#include <parkring/hosted.hpp>

#include <parkring/blocking.hpp>
#include <parkring/nop.hpp>

#include <parkring/counters.hpp>
#include <parkring/dump.hpp>
#include <parkring/trace.hpp>
