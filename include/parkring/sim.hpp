// Everything for programs that run on a simulated machine. Not part of parkring.hpp: programs do
// not need it, their tests do.
#pragma once

#include <parkring/sim/disk.hpp>
#include <parkring/sim/explore.hpp>
#include <parkring/sim/faults.hpp>
#include <parkring/sim/network.hpp>
#include <parkring/sim/options.hpp>
#include <parkring/sim/world.hpp>
