//! Boot arguments with placeholders that are filled in when a guest starts.
//!
//! `{ip}`, `{mask}` and `{gateway}` are the guest's addresses, `{port}` is the port of its service, `{service}` the service's name, and `{args}` the arguments of
//! the workload program. Each guest splits its command line by its own rules, so what is filled in is limited to characters that have no special meaning to
//! any guest.

use std::net::Ipv4Addr;

/// The known placeholders.
pub(super) const PLACEHOLDERS: &str = "{ip} {mask} {gateway} {port} {service} {args}";

/// A text with placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Ip,
    Mask,
    Gateway,
    Port,
    Service,
    Args,
}

/// Why a text is not a valid template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// An unknown placeholder.
    #[error("unknown placeholder {{{0}}}")]
    UnknownPlaceholder(String),
    /// An unmatched brace.
    #[error("unmatched brace")]
    UnmatchedBrace,
    /// A control character.
    #[error("it contains a control character")]
    Control,
}

/// The values of the placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Values<'a> {
    /// The guest's address.
    pub ip: Ipv4Addr,
    /// The mask of its network.
    pub mask: Ipv4Addr,
    /// The host's address in that network.
    pub gateway: Ipv4Addr,
    /// The service's port; 0: it does not listen.
    pub port: u16,
    /// The service's name.
    pub service: &'a str,
    /// The arguments of the workload program.
    pub args: &'a [String],
}

/// An argument that a guest's command line cannot carry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the argument {argument:?} cannot be passed on a guest's command line: use letters, digits and ._-:/=@+%~, only"
)]
pub struct UnsafeArgument {
    /// The argument, cut to 80 characters.
    pub argument: String,
}

impl std::str::FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        if text.contains(char::is_control) {
            return Err(TemplateError::Control);
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find(['{', '}']) {
            let (before, from_brace) = rest.split_at(open);
            let (name, after) = from_brace
                .strip_prefix('{')
                .and_then(|inside| inside.split_once('}'))
                .ok_or(TemplateError::UnmatchedBrace)?;
            parts.push(Part::Text(before.to_owned()));
            parts.push(Part::placeholder(name)?);
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self { parts })
    }
}

impl Template {
    /// The text with every placeholder filled in.
    ///
    /// # Errors
    /// [`UnsafeArgument`].
    pub fn fill(&self, values: &Values<'_>) -> Result<String, UnsafeArgument> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(literal) => text.push_str(literal),
                Part::Ip => text.push_str(&values.ip.to_string()),
                Part::Mask => text.push_str(&values.mask.to_string()),
                Part::Gateway => text.push_str(&values.gateway.to_string()),
                Part::Port => text.push_str(&values.port.to_string()),
                Part::Service => text.push_str(values.service),
                Part::Args => text.push_str(&words(values.args)?),
            }
        }
        Ok(text)
    }
}

impl Part {
    fn placeholder(name: &str) -> Result<Self, TemplateError> {
        match name {
            "ip" => Ok(Self::Ip),
            "mask" => Ok(Self::Mask),
            "gateway" => Ok(Self::Gateway),
            "port" => Ok(Self::Port),
            "service" => Ok(Self::Service),
            "args" => Ok(Self::Args),
            other => Err(TemplateError::UnknownPlaceholder(other.chars().take(40).collect())),
        }
    }
}

fn words(args: &[String]) -> Result<String, UnsafeArgument> {
    check(args).map(|()| args.join(" "))
}

/// Checks that every guest takes all arguments literally.
///
/// # Errors
/// [`UnsafeArgument`] for the first that a guest might not.
pub fn check(args: &[String]) -> Result<(), UnsafeArgument> {
    match args.iter().find(|arg| !is_plain(arg)) {
        None => Ok(()),
        Some(arg) => Err(UnsafeArgument {
            argument: arg.chars().take(80).collect(),
        }),
    }
}

/// Whether every guest takes an argument literally: it is not empty and has nothing that splits, quotes, expands or ends a command. A lone `--` is excluded
/// because Linux takes what follows it as arguments of the first process.
fn is_plain(arg: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-:/=@+%~,".contains(c);
    !arg.is_empty() && arg != "--" && arg.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(template: &str, args: &[&str]) -> Result<String, UnsafeArgument> {
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        template.parse::<Template>().unwrap().fill(&Values {
            ip: Ipv4Addr::new(10, 1, 2, 3),
            mask: Ipv4Addr::new(255, 255, 255, 0),
            gateway: Ipv4Addr::new(10, 1, 2, 1),
            port: 5000,
            service: "tcp",
            args: &args,
        })
    }

    #[test]
    fn every_placeholder_is_filled_in() {
        assert_eq!(
            fill(
                "a={ip}/{mask} gw={gateway} {service}:{port} -- {args}",
                &["tcp", "--listen=0.0.0.0:5000"]
            )
            .unwrap(),
            "a=10.1.2.3/255.255.255.0 gw=10.1.2.1 tcp:5000 -- tcp --listen=0.0.0.0:5000"
        );
        assert_eq!(fill("quiet", &["; reboot"]).unwrap(), "quiet", "not used, so harmless");
    }

    #[test]
    fn invalid_templates_are_refused() {
        let parse = |text: &str| text.parse::<Template>().unwrap_err();
        assert_eq!(parse("{host}"), TemplateError::UnknownPlaceholder("host".into()));
        assert_eq!(parse("{ip"), TemplateError::UnmatchedBrace);
        assert_eq!(parse("ip}"), TemplateError::UnmatchedBrace);
        assert_eq!(parse("a\nb"), TemplateError::Control);
    }

    #[test]
    fn an_argument_cannot_inject_another() {
        for bad in [
            "a b", "a;reboot", "&", "\"", "'", "$HOME", "a\n", "", "é", "--", "`x`", "a\\", "{ip}", "#", "a\0",
        ] {
            assert!(fill("{args}", &["tcp", bad]).is_err(), "{bad:?}");
        }
    }
}
