//! Requests that wait for their results.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::oneshot;
use uuid::Uuid;

/// The pending requests by task id. Dropping a [`PendingRequest`] removes its entry.
#[derive(Debug, Default)]
pub(super) struct PendingRequests(Mutex<HashMap<Uuid, oneshot::Sender<Vec<u8>>>>);

/// A pending request.
#[derive(Debug)]
pub(super) struct PendingRequest<'a> {
    table: &'a PendingRequests,
    id: Uuid,
    result: oneshot::Receiver<Vec<u8>>,
}

impl PendingRequests {
    /// Registers a request for the result of a task.
    pub(super) fn register(&self, id: Uuid) -> PendingRequest<'_> {
        let (sender, result) = oneshot::channel();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id, sender);
        PendingRequest {
            table: self,
            id,
            result,
        }
    }

    /// Delivers a result; returns false if it is not awaited (any more).
    pub(super) fn deliver(&self, id: Uuid, bytes: &[u8]) -> bool {
        let waiter = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        waiter.is_some_and(|waiter| waiter.send(bytes.to_vec()).is_ok())
    }
}

impl PendingRequest<'_> {
    /// Waits for the result, still encoded.
    pub(super) async fn result(&mut self) -> Option<Vec<u8>> {
        (&mut self.result).await.ok()
    }
}

impl Drop for PendingRequest<'_> {
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
    async fn result_is_delivered_once() {
        let (table, id) = (PendingRequests::default(), Uuid::new_v4());
        let mut request = table.register(id);
        assert!(!table.deliver(Uuid::new_v4(), b"other"));
        assert!(table.deliver(id, b"mine"));
        assert!(!table.deliver(id, b"again"));
        assert_eq!(request.result().await.unwrap(), b"mine");
    }

    #[test]
    fn dropped_request_is_removed() {
        let (table, id) = (PendingRequests::default(), Uuid::new_v4());
        drop(table.register(id));
        assert!(!table.deliver(id, b"late"));
        assert!(table.0.lock().unwrap().is_empty());
    }
}
