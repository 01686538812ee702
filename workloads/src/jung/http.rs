//! An HTTP server that is hard to take down: heads and bodies are bounded, slow senders are hung up on, and the number of
//! connections is limited.

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

/// The most connections at a time; more wait to be accepted.
const CONNECTIONS: usize = 1024;

/// The most header fields of a request; more are answered 431.
const HEADERS: usize = 64;

/// The largest head of a request, bytes; a larger one is answered 431.
const HEAD_BYTES: usize = 16 * 1024;

/// How long a head may take to come, or a connection may idle.
const HEAD_DEADLINE: Duration = Duration::from_secs(30);

/// How long requests under way may take to end once the server is asked to.
const GRACE: Duration = Duration::from_secs(2);

/// Listens for HTTP.
///
/// # Errors
/// Those of the operating system, e.g. that the address is in use.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let mut listeners = crate::listen::tcp(address, 1)?;
    let listener = listeners.pop().ok_or(io::ErrorKind::AddrNotAvailable)?;
    TcpListener::from_std(listener)
}

/// Serves until `shutdown`, then ends the requests under way.
pub async fn serve(listener: TcpListener, router: Router, shutdown: impl Future<Output = ()>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let (end, _) = watch::channel(());
    tokio::pin!(shutdown);
    loop {
        let (stream, place) = tokio::select! {
            () = &mut shutdown => break,
            accepted = accept(&listener, &places) => accepted,
        };
        tokio::spawn(converse(stream, router.clone(), end.subscribe(), place));
    }
    drop(listener);
    // Nobody receives, and that is fine: nobody is connected.
    let _ = end.send(());
    let _ = tokio::time::timeout(GRACE, end.closed()).await;
}

/// The next connection, once there is a place for it.
async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    // An error means that the semaphore is closed, which nobody does.
    let place = Arc::clone(places).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, place),
            // Out of descriptors, or the peer is gone already: neither is better at once.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn converse(
    stream: TcpStream,
    router: Router,
    mut end: watch::Receiver<()>,
    _place: Option<OwnedSemaphorePermit>,
) {
    let _ = stream.set_nodelay(true);
    let service = TowerToHyperService::new(router);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_headers(HEADERS)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    // A connection's error is its peer's trouble: a broken head was answered, a reset needs no answer.
    tokio::select! {
        _ = &mut connection => return,
        _ = end.changed() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}
