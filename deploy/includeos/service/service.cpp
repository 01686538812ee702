// Jung's services for IncludeOS: `tcp` and `udp`, like `workload tcp` and `workload udp` on other platforms.
//
// The boot arguments are `ip mask gateway port [arguments of the workload]`, as the preset `includeos` passes them; what precedes the first address is the path of
// the image. Supported arguments of the workload: `tcp` or `udp` (default: both) and `--reply-bytes N`. Nothing is printed while requests are served.

#include <os>
#include <service>
#include <boot/multiboot.h>
#include <net/interfaces>

#include "arguments.hpp"
#include "http.hpp"
#include "udp.hpp"

// Set by the kernel's first instructions.
extern uint32_t __multiboot_magic, __multiboot_addr;

// The command line where the boot loader left it. The argument of `Service::start` has been freed by then.
static std::string_view command_line()
{
  if (__multiboot_magic != MULTIBOOT_BOOTLOADER_MAGIC) return {};
  const auto* info = reinterpret_cast<const multiboot_info_t*>(static_cast<uintptr_t>(__multiboot_addr));
  if (not (info->flags & MULTIBOOT_INFO_CMDLINE)) return {};
  return reinterpret_cast<const char*>(static_cast<uintptr_t>(info->cmdline));
}

void Service::start(const std::string&)
{
  const auto [arguments, wrong] = jung::Arguments::parse(command_line());
  if (wrong != nullptr) os::panic(wrong);

  auto& inet = net::Interfaces::get(0);
  inet.network_config(net::ip4::Addr{arguments.ip}, net::ip4::Addr{arguments.mask}, net::ip4::Addr{arguments.gateway});
  if (arguments.tcp) jung::http::serve(inet, arguments.port, arguments.reply_bytes);
  if (arguments.udp) jung::udp::serve(inet, arguments.port, arguments.reply_bytes);
  const auto* both = arguments.tcp and arguments.udp ? "tcp and udp" : arguments.tcp ? "tcp" : "udp";
  printf("Service started: %s on %s:%u, replies of %zu bytes\n", both, arguments.ip.c_str(), arguments.port, arguments.reply_bytes);
}
