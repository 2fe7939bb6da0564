// How tasks wait for each other, on one runtime or several, and plain threads with them.
#pragma once

#include <parkring/event.hpp>
#include <parkring/sync/barrier.hpp>
#include <parkring/sync/broadcast.hpp>
#include <parkring/sync/channel.hpp>
#include <parkring/sync/condition.hpp>
#include <parkring/sync/latch.hpp>
#include <parkring/sync/mutex.hpp>
#include <parkring/sync/once.hpp>
#include <parkring/sync/oneshot.hpp>
#include <parkring/sync/semaphore.hpp>
#include <parkring/sync/watch.hpp>
