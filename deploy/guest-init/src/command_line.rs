//! The kernel command line.

use std::net::Ipv4Addr;

/// The address of `eth0`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The IP address.
    pub ip: Ipv4Addr,
    /// The network mask.
    pub mask: Ipv4Addr,
    /// The default gateway.
    pub gateway: Ipv4Addr,
}

/// The options of `guest-init`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    /// The address, if there is one.
    pub address: Option<Address>,
    /// The shares to mount by virtio-fs: tag and mount point.
    pub shares: Vec<(String, String)>,
    /// The program to start.
    pub workload: String,
}

impl CommandLine {
    /// Reads `/proc/cmdline`.
    pub fn read() -> Result<Self, String> {
        let text = std::fs::read_to_string("/proc/cmdline").map_err(|error| format!("/proc/cmdline: {error}"))?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let own = text.split(" -- ").next().unwrap_or_default();
        let value = |key: &str| own.split_whitespace().find_map(|word| word.strip_prefix(key));
        let shares = own
            .split_whitespace()
            .filter_map(|word| word.strip_prefix("jung.mount="))
            .map(share);
        Ok(Self {
            address: Self::address(value)?,
            shares: shares.collect::<Result<_, _>>()?,
            workload: value("jung.workload=").unwrap_or("/workload").to_owned(),
        })
    }

    fn address<'a>(value: impl Fn(&str) -> Option<&'a str>) -> Result<Option<Address>, String> {
        let Some(ip) = value("jung.ip=") else {
            return Ok(None);
        };
        let address = |key: &str| {
            let text = value(key).ok_or_else(|| format!("{key} is missing on the kernel command line"))?;
            text.parse().map_err(|_| format!("{key}{text} is not an IPv4 address"))
        };
        Ok(Some(Address {
            ip: ip.parse().map_err(|_| format!("jung.ip={ip} is not an IPv4 address"))?,
            mask: address("jung.mask=")?,
            gateway: address("jung.gateway=")?,
        }))
    }
}

/// `tag:/mount/point`.
fn share(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((tag, place)) if !tag.is_empty() && place.starts_with('/') => Ok((tag.into(), place.into())),
        _ => Err(format!("jung.mount={text} is not a tag, a colon and an absolute path")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_parsed() {
        let text =
            "console=ttyS0 jung.ip=10.1.2.3 jung.mask=255.255.255.0 jung.gateway=10.1.2.1 -- tcp jung.ip=1.1.1.1\n";
        let address = CommandLine::parse(text).unwrap().address.unwrap();
        assert_eq!(address.ip, Ipv4Addr::new(10, 1, 2, 3));
        assert_eq!(address.gateway, Ipv4Addr::new(10, 1, 2, 1));
    }

    #[test]
    fn shares_and_the_program_are_parsed() {
        let line =
            CommandLine::parse("jung.mount=a:/a jung.mount=b:/b/c jung.workload=/b/w -- jung.mount=x:/x").unwrap();
        let pair = |tag: &str, place: &str| (tag.to_owned(), place.to_owned());
        assert_eq!(line.shares, [pair("a", "/a"), pair("b", "/b/c")]);
        assert_eq!(line.workload, "/b/w");
        assert_eq!(CommandLine::parse("quiet").unwrap().workload, "/workload");
        for bad in ["jung.mount=a", "jung.mount=:/a", "jung.mount=a:b"] {
            assert!(CommandLine::parse(bad).unwrap_err().contains(bad));
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(CommandLine::parse("quiet -- jung.ip=1.1.1.1").unwrap().address, None);
        let missing = CommandLine::parse("jung.ip=10.1.2.3").unwrap_err();
        assert!(missing.contains("jung.mask="), "{missing}");
        let bad = CommandLine::parse("jung.ip=10.1.2").unwrap_err();
        assert!(bad.contains("10.1.2"), "{bad}");
    }
}
