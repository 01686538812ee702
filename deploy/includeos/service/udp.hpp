// `udp`: every packet is answered with N times the letter A followed by the packet's number (workloads/src/udp/packet.rs).
#pragma once

#include <algorithm>
#include <net/inet.hpp>
#include <string>
#include <string_view>

namespace jung::udp {

// Bytes of a packet's number.
constexpr size_t NUMBER_BYTES = 8;
// Bytes of a request for the counters that are returned with them.
constexpr size_t ASK_BYTES = 12;

// Starts serving.
inline void serve(net::Inet& inet, uint16_t port, size_t reply_bytes)
{
  static uint64_t answered = 0;
  static std::string reply;
  reply.assign(reply_bytes + NUMBER_BYTES, 'A');

  auto& socket = inet.udp().bind(port);
  socket.on_read([&socket, reply_bytes](net::Addr from, uint16_t port, const char* data, size_t length) {
    const std::string_view packet{data, length};
    if (packet.starts_with("STAT")) {
      const auto count = std::to_string(answered);
      const auto counters = std::string{packet.substr(0, ASK_BYTES)} + "received " + count + "\nanswered " + count + "\n";
      socket.sendto(from, port, counters.data(), counters.size());
      return;
    }
    answered++;
    if (packet.starts_with("LAST")) {
      socket.sendto(from, port, data, length);
      return;
    }
    const auto kept = std::min(length, NUMBER_BYTES);
    std::copy_n(data, kept, reply.begin() + reply_bytes);
    socket.sendto(from, port, reply.data(), reply_bytes + kept);
  });
}

} // namespace jung::udp
