//! A hardened HTTP server: the sizes of heads and bodies and the number of connections are limited, and slow clients
//! time out.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Maximum number of open connections; more wait in the accept queue.
const MAX_CONNECTIONS: usize = 1024;

/// Maximum number of header fields; more are refused with 431.
const MAX_HEADERS: usize = 64;

/// Maximum size of a request head in bytes; a larger one is refused with 431.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// Timeout for receiving a request head, and idle timeout of a connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// How long requests in flight may take during shutdown.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

/// Opens a listener.
///
/// # Errors
/// Operating system errors, e.g. that the address is in use.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let mut listeners = crate::listen::tcp(address, 1)?;
    let listener = listeners.pop().ok_or(io::ErrorKind::AddrNotAvailable)?;
    TcpListener::from_std(listener)
}

/// Serves until `shutdown`, then finishes the requests in flight.
pub async fn serve(listener: TcpListener, router: Router, shutdown: impl Future<Output = ()>) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let (closing, _) = watch::channel(());
    tokio::pin!(shutdown);
    loop {
        let (stream, slot) = tokio::select! {
            () = &mut shutdown => break,
            accepted = accept(&listener, &slots) => accepted,
        };
        tokio::spawn(serve_connection(stream, router.clone(), closing.subscribe(), slot));
    }
    drop(listener);
    // Fails if there are no connections.
    let _ = closing.send(());
    let _ = tokio::time::timeout(SHUTDOWN_GRACE, closing.closed()).await;
}

/// Accepts the next connection once a slot is free.
async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    // The semaphore is never closed.
    let slot = Arc::clone(slots).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, slot),
            // Out of descriptors, or the peer has disconnected: retry after a pause.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn serve_connection(
    stream: TcpStream,
    router: Router,
    mut closing: watch::Receiver<()>,
    _slot: Option<OwnedSemaphorePermit>,
) {
    let _ = stream.set_nodelay(true);
    let service = TowerToHyperService::new(router);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    // Errors are ignored: hyper has replied to invalid heads, and resets need no reply.
    tokio::select! {
        _ = &mut connection => return,
        _ = closing.changed() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}
