// The service's arguments, from its command line.
#pragma once

#include <charconv>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace jung {

struct Arguments {
  std::string ip, mask, gateway;
  uint16_t port = 0;
  bool tcp = false, udp = false;
  // Letters in a reply.
  size_t reply_bytes = 1000;

  // Most letters in a reply of `tcp`.
  static constexpr size_t MOST_TCP = 1 << 20;
  // Most letters in a reply of `udp`: with the number's 8 bytes one frame of 1500 bytes, as IncludeOS does not fragment packets.
  static constexpr size_t MOST_UDP = 1464;

  // The arguments, or what is wrong with the command line.
  static std::pair<Arguments, const char*> parse(std::string_view line)
  {
    const auto all = words(line);
    size_t at = 0;
    while (at < all.size() and not is_address(all[at])) at++;
    if (all.size() < at + 4 or not is_address(all[at + 1]) or not is_address(all[at + 2]))
      return {{}, "the command line has no `ip mask gateway port`"};

    Arguments it{.ip{all[at]}, .mask{all[at + 1]}, .gateway{all[at + 2]}};
    if (not number(all[at + 3], it.port) or it.port == 0) return {{}, "the port is no number from 1 to 65535"};
    for (at += 4; at < all.size(); at++) {
      constexpr std::string_view reply_bytes = "--reply-bytes";
      auto word = all[at];
      if (word == "tcp") it.tcp = true;
      if (word == "udp") it.udp = true;
      if (not word.starts_with(reply_bytes)) continue;
      word.remove_prefix(reply_bytes.size());
      if (word.empty() and at + 1 < all.size()) word = all[++at];
      else if (word.starts_with('=')) word.remove_prefix(1);
      if (not number(word, it.reply_bytes)) return {{}, "--reply-bytes is no number"};
    }
    if (not it.tcp and not it.udp) it.tcp = it.udp = true;
    if (it.reply_bytes > (it.udp ? MOST_UDP : MOST_TCP))
      return {{}, "--reply-bytes is more than this service sends: 1464 for udp, 1048576 for tcp"};
    return {it, nullptr};
  }

private:
  static std::vector<std::string_view> words(std::string_view line)
  {
    std::vector<std::string_view> all;
    while (true) {
      const auto begin = line.find_first_not_of(' ');
      if (begin == line.npos) return all;
      const auto end = std::min(line.find(' ', begin), line.size());
      all.push_back(line.substr(begin, end - begin));
      line.remove_prefix(end);
    }
  }

  template <typename T>
  static bool number(std::string_view word, T& into)
  {
    const auto [rest, error] = std::from_chars(word.begin(), word.end(), into);
    return error == std::errc{} and rest == word.end();
  }

  static bool is_address(std::string_view word)
  {
    for (int part = 0; part < 4; part++) {
      const auto dot = std::min(word.find('.'), word.size());
      uint8_t value;
      if (not number(word.substr(0, dot), value) or (dot == word.size()) != (part == 3)) return false;
      word.remove_prefix(std::min(dot + 1, word.size()));
    }
    return true;
  }
};

} // namespace jung
