//! Directories that a guest can mount.

use super::Checks;
use crate::guest::description::Share;
use crate::guest::raw::{RawGuest, RawShare};

/// The name under which OSv's root is shared; OSv mounts the first share, whatever its name.
pub(crate) const ROOT: &str = "root";
/// Bytes that virtio-fs has for a name (Virtual I/O Device 1.2, 5.11.4).
const TAG_BYTES: usize = 36;

impl Checks {
    pub(super) fn shares(&mut self, raw: &RawGuest) -> Vec<Share> {
        let makes_one = raw.image.as_deref() == Some("virtiofs");
        if raw.virtiofsd.is_some() && raw.shares.is_empty() && !makes_one {
            let what = "it serves shares, and there are none: leave it out";
            self.wrong("virtiofsd", what.into());
        }
        let mut shares: Vec<Share> = Vec::new();
        for share in &raw.shares {
            let Some(share) = self.share(share) else { continue };
            let is_taken = shares.iter().any(|other| other.tag == share.tag) || makes_one && share.tag == ROOT;
            if is_taken {
                let what = format!(
                    "{:?} is taken by another share: every share needs a name of its own",
                    share.tag
                );
                self.wrong("shares.tag", what);
            } else {
                shares.push(share);
            }
        }
        shares
    }

    fn share(&mut self, raw: &RawShare) -> Option<Share> {
        let path = self.path("shares.path", Some(raw.path.clone()));
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let tag = &raw.tag;
        if tag.is_empty() || tag.len() > TAG_BYTES || !tag.chars().all(plain) {
            let what =
                format!("{tag:?} is no name for a share: use 1 to {TAG_BYTES} letters, digits, `-`, `_` and `.`");
            self.wrong("shares.tag", what);
            return None;
        }
        Some(Share {
            path: path?,
            tag: tag.clone(),
            writable: raw.writable,
        })
    }
}
