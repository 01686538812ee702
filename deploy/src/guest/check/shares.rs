
use super::Checks;
use crate::guest::description::Share;
use crate::guest::raw::{RawGuest, RawShare};

/// The tag of OSv's shared root; OSv mounts the first share, whatever its tag.
pub(crate) const ROOT: &str = "root";
/// Longest virtio-fs tag, bytes (Virtual I/O Device 1.2, section 5.11.4).
const TAG_BYTES: usize = 36;

impl Checks {
    pub(super) fn shares(&mut self, raw: &RawGuest) -> Vec<Share> {
        let makes_one = raw.image.as_deref() == Some("virtiofs");
        if raw.virtiofsd.is_some() && raw.shares.is_empty() && !makes_one {
            let what = "there are no shares to serve: remove this key";
            self.wrong("virtiofsd", what.into());
        }
        let mut shares: Vec<Share> = Vec::new();
        for share in &raw.shares {
            let Some(share) = self.share(share) else { continue };
            let is_taken = shares.iter().any(|other| other.tag == share.tag) || makes_one && share.tag == ROOT;
            if is_taken {
                let what = format!(
                    "{:?} is the tag of another share: every share needs a tag of its own",
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
                format!("{tag:?} is not a valid tag: use 1 to {TAG_BYTES} letters, digits, `-`, `_` and `.`");
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
