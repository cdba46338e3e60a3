//! Connections: so many at once, none that says nothing, and an end that lets answers finish.

use crate::interrupt;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

/// Connections at once; more wait in the system's queue.
const CONNECTIONS: usize = 128;
/// How long a request's headers may take.
const HEADERS: Duration = Duration::from_secs(10);
/// Bytes of a request's headers.
const HEADER_BYTES: usize = 16 * 1024;
/// How often Ctrl-C is looked for.
const GLANCE: Duration = Duration::from_millis(100);
/// How long answers that are under way may take after Ctrl-C.
const FAREWELL: Duration = Duration::from_secs(3);

/// Answers until Ctrl-C.
pub async fn until_interrupted(listener: TcpListener, router: Router) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    let farewell = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADERS).max_buf_size(HEADER_BYTES);
    while !interrupt::asked() {
        let Ok(Ok(permit)) = timeout(GLANCE, connections.clone().acquire_owned()).await else { continue };
        match timeout(GLANCE, listener.accept()).await {
            Ok(Ok((stream, _))) => {
                let service = TowerToHyperService::new(router.clone());
                let connection = http.serve_connection(TokioIo::new(stream), service);
                let watched = farewell.watch(connection);
                tokio::spawn(async move {
                    // A connection that breaks is its client's affair.
                    drop(watched.await);
                    drop(permit);
                });
            }
            // Such as too many open files: gone as soon as connections end.
            Ok(Err(_)) => sleep(GLANCE).await,
            Err(_) => {}
        }
    }
    drop(timeout(FAREWELL, farewell.shutdown()).await);
}
