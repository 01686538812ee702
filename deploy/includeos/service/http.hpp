// `tcp`: HTTP/1.1; every GET is answered with N times the letter A. Supports keep-alive, pipelining and HEAD.
#pragma once

#include <algorithm>
#include <cctype>
#include <memory>
#include <net/inet.hpp>
#include <string>
#include <string_view>

namespace jung::http {

using net::tcp::buffer_t;
using net::tcp::Connection;
using net::tcp::Connection_ptr;

// A complete reply, built once and shared by all connections.
inline buffer_t reply(const char* status, bool close, size_t body, bool head_only = false)
{
  auto text = std::string{"HTTP/1.1 "} + status + "\r\nContent-Type: text/plain\r\nContent-Length: " + std::to_string(body) + "\r\n"
    + (close ? "Connection: close\r\n" : "") + "\r\n";
  if (not head_only) text.append(body, 'A');
  return net::tcp::construct_buffer(text.begin(), text.end());
}

// Every reply that the service can send.
struct Replies {
  // By whether the connection is closed, and whether only the head was requested.
  buffer_t ok[2][2];
  buffer_t bad_request = reply("400 Bad Request", true, 0);
  buffer_t not_found[2] = {reply("404 Not Found", false, 0), reply("404 Not Found", true, 0)};
  buffer_t wrong_method = reply("405 Method Not Allowed\r\nAllow: GET, HEAD", true, 0);
  buffer_t too_large = reply("431 Request Header Fields Too Large", true, 0);

  explicit Replies(size_t body)
  {
    for (int close : {0, 1})
      for (int head_only : {0, 1}) ok[close][head_only] = reply("200 OK", close, body, head_only);
  }
};

// Case-insensitive comparison.
inline bool same(std::string_view a, std::string_view b)
{
  return std::ranges::equal(a, b, [](unsigned char a, unsigned char b) { return std::tolower(a) == std::tolower(b); });
}

// The parsed head of a request.
struct Head {
  bool get = false, head = false, root = false;
  bool valid = false, close = false;

  // `text` ends with the empty line.
  explicit Head(std::string_view text)
  {
    const auto line = text.substr(0, text.find("\r\n"));
    const auto target = line.find(' ');
    const auto version = line.rfind(' ');
    if (target == line.npos or version == target) return;
    get = line.starts_with("GET ");
    head = line.starts_with("HEAD ");
    root = line[target + 1] == '/' and (version == target + 2 or line[target + 2] == '?');
    const bool old = line.substr(version + 1) == "HTTP/1.0";
    valid = old or line.substr(version + 1) == "HTTP/1.1";
    close = old;
    for (auto fields = text.substr(line.size() + 2); fields.size() > 2;) {
      const auto end = fields.find("\r\n");
      field(fields.substr(0, end));
      fields.remove_prefix(end + 2);
    }
  }

private:
  void field(std::string_view field)
  {
    const auto colon = field.find(':');
    if (colon == field.npos) valid = false;
    const auto name = field.substr(0, colon);
    // Requests with a body are not supported.
    if (same(name, "transfer-encoding") or same(name, "content-length")) valid = false;
    if (not same(name, "connection")) return;
    auto value = field.substr(colon + 1);
    value.remove_prefix(std::min(value.find_first_not_of(' '), value.size()));
    close = close or same(value, "close");
  }
};

// A connection. It is owned by the connection's read callback.
class Session {
public:
  Session(Connection& connection, const Replies& replies) : connection{connection}, replies{replies} {}

  // Answers the requests that are complete.
  void take(std::string_view data)
  {
    constexpr size_t LARGEST_HEAD = 8192;
    if (over) return;
    if (not held.empty()) {
      held += data;
      data = held;
    }
    for (size_t end; not over and (end = data.find("\r\n\r\n")) != data.npos; data.remove_prefix(end + 4))
      answer(Head{data.substr(0, end + 4)});
    if (not over and data.size() > LARGEST_HEAD) last(replies.too_large);
    held = over ? std::string{} : std::string{data};
  }

private:
  Connection& connection;
  const Replies& replies;
  // The beginning of an incomplete request.
  std::string held;
  // No more requests are answered.
  bool over = false;

  void answer(const Head& head)
  {
    if (not head.valid) return last(replies.bad_request);
    if (not head.get and not head.head) return last(replies.wrong_method);
    const auto& reply = head.root ? replies.ok[head.close][head.head] : replies.not_found[head.close];
    if (head.close) return last(reply);
    connection.write(reply);
  }

  void last(const buffer_t& reply)
  {
    over = true;
    connection.write(reply);
    connection.close();
  }
};

// Starts serving.
inline void serve(net::Inet& inet, uint16_t port, size_t reply_bytes)
{
  using namespace std::chrono_literals;
  static const Replies replies{reply_bytes};
  // A connection closed by this side keeps some kilobytes for twice this time; IncludeOS's default of 30 s would fill a small guest.
  inet.tcp().set_MSL(1s);
  // Many clients may connect at once; IncludeOS's default of 64 would drop the oldest.
  inet.tcp().set_max_syn_backlog(1024);
  inet.tcp().listen(port, [](Connection_ptr connection) {
    if (not connection) return;
    auto session = std::make_shared<Session>(*connection, replies);
    connection->on_read(4096, [session](buffer_t data) {
      const auto alive = session;
      alive->take({reinterpret_cast<const char*>(data->data()), data->size()});
    });
  });
}

} // namespace jung::http
