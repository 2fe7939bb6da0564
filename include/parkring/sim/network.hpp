// How the network of a simulated machine behaves: how long what is sent travels, and what happens
// to it on the way.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace parkring::sim {

/// How latencies are spread between their least and their greatest value.
enum class spread : std::uint8_t {
  uniform,      ///< each value is as likely as any other
  exponential,  ///< mostly near the least, seldom near the greatest
};

/// One way from one host to another, or from a host to itself. Probabilities are in [0, 1].
struct link_options {
  /// How long a segment or datagram travels: drawn for each one. Equal values make it fixed.
  std::chrono::nanoseconds latency_min{0};
  /// Segments of one connection keep their order whatever is drawn, so a late one delays the rest.
  std::chrono::nanoseconds latency_max{0};
  /// How the latency is spread.
  spread latency_spread = spread::uniform;
  /// A datagram that is lost is gone; a segment of a connection is sent again 200 ms later, then
  /// after twice as long, so that loss shows as delay.
  double loss = 0;
  /// A datagram arrives twice.
  double duplication = 0;
  /// A datagram is held back, so that later ones overtake it.
  double reorder = 0;
  /// A send over a connection makes both its ends see a reset.
  double reset = 0;
  /// What passes in a second; 0 is without limit. All that goes this way shares it.
  std::uint64_t bytes_per_second = 0;
};

/// The network of one simulated machine, and of those it talks to.
struct network_options {
  /// From a host to itself.
  link_options loopback{.latency_min = std::chrono::microseconds(5),
                        .latency_max = std::chrono::microseconds(15)};
  /// Between two hosts.
  link_options remote{.latency_min = std::chrono::microseconds(100),
                      .latency_max = std::chrono::microseconds(500)};
  /// Bytes that a connection takes from its sender before they arrive.
  std::size_t send_buffer = 128 * 1024;
  /// Bytes that arrive before the receiver reads them; a slow reader holds up its sender by this.
  std::size_t receive_buffer = 128 * 1024;
};

}  // namespace parkring::sim
