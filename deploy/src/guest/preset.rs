
#[must_use]
pub fn text(name: &str) -> Option<&'static str> {
    match name {
        "osv" => Some(include_str!("../../osv/guest.toml")),
        "osv-image" => Some(include_str!("../../osv/image.toml")),
        "osv-virtiofs" => Some(include_str!("../../osv/virtiofs.toml")),
        "includeos" => Some(include_str!("../../includeos/guest.toml")),
        "cloud" => Some(include_str!("../../linux/cloud.toml")),
        "linux" => Some(include_str!("../../linux/guest.toml")),
        _ => None,
    }
}

pub const NAMES: &str = "osv, osv-image, osv-virtiofs, includeos, linux, cloud";
