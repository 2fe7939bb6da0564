// Streams of values: anything with a `next()` that is awaited and gives an optional, empty at the
// end. Adaptors make new streams, by a pipe, and do nothing until they are asked:
//
//   co_await (lines(file) | pr::map(look_up) | pr::buffered(8) | pr::for_each(print));
//
// A stream on the left that is an rvalue is kept, another is used by reference. Dropping a `next`
// stops waiting and loses no value; after one has thrown, destroy the stream.
#pragma once

#include <parkring/stream/buffered.hpp>
#include <parkring/stream/collect.hpp>
#include <parkring/stream/filter.hpp>
#include <parkring/stream/for_each.hpp>
#include <parkring/stream/map.hpp>
#include <parkring/stream/merge.hpp>
#include <parkring/stream/take.hpp>
#include <parkring/stream/timeout.hpp>
