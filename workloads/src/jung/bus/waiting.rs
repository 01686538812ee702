//! The tasks whose results are waited for.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::oneshot;
use uuid::Uuid;

/// Who waits for which result. A place is given up when its [`Place`] goes, so an abandoned request leaves nothing.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<HashMap<Uuid, oneshot::Sender<Vec<u8>>>>);

/// A place in the table.
#[derive(Debug)]
pub(super) struct Place<'a> {
    table: &'a Waiting,
    id: Uuid,
    result: oneshot::Receiver<Vec<u8>>,
}

impl Waiting {
    /// Waits for the result of this task from now on.
    pub(super) fn wait_for(&self, id: Uuid) -> Place<'_> {
        let (sender, result) = oneshot::channel();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id, sender);
        Place {
            table: self,
            id,
            result,
        }
    }

    /// Hands over a result; `false` if nobody waits for it (any more).
    pub(super) fn deliver(&self, id: Uuid, bytes: &[u8]) -> bool {
        let waiter = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        waiter.is_some_and(|waiter| waiter.send(bytes.to_vec()).is_ok())
    }
}

impl Place<'_> {
    /// The bytes of the result; never comes if the result does not.
    pub(super) async fn result(&mut self) -> Option<Vec<u8>> {
        (&mut self.result).await.ok()
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.table
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_result_reaches_its_waiter_once() {
        let (table, id) = (Waiting::default(), Uuid::new_v4());
        let mut place = table.wait_for(id);
        assert!(!table.deliver(Uuid::new_v4(), b"other"));
        assert!(table.deliver(id, b"mine"));
        assert!(!table.deliver(id, b"again"));
        assert_eq!(place.result().await.unwrap(), b"mine");
    }

    #[test]
    fn who_gives_up_leaves_nothing_behind() {
        let (table, id) = (Waiting::default(), Uuid::new_v4());
        drop(table.wait_for(id));
        assert!(!table.deliver(id, b"late"));
        assert!(table.0.lock().unwrap().is_empty());
    }
}
