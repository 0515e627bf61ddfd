//! The monitoring listener: `/healthz`, `/readyz` and `/metrics`, plain HTTP, on an address of its
//! own and off by default.
//!
//! # Invariants
//! - Nothing here can be asked to do anything: three GETs, no body is read.
//! - At most [`limits::MAX_MONITOR_CONNECTIONS`] connections; the others are closed.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode, header};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use towline_store::Store;
use tracing::warn;

use crate::limits;
use crate::listener::stopped;
use crate::metrics::Metrics;
use crate::readiness::{self, Readiness};

/// What is monitored.
#[derive(Clone)]
pub struct Monitor {
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// The store, asked for the number of devices.
    pub store: Store,
    /// Whether new work is taken.
    pub ready: Arc<Readiness>,
}

impl Monitor {
    /// Serves until `stop` becomes true.
    pub async fn serve(self, listener: TcpListener, mut stop: watch::Receiver<bool>) {
        let routes = Router::new()
            .route("/metrics", get(metrics))
            .with_state(self.clone())
            .merge(readiness::routes(Arc::clone(&self.ready)));
        let places = Arc::new(Semaphore::new(limits::MAX_MONITOR_CONNECTIONS));
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stopped(&mut stop) => return,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    warn!(%error, "cannot accept a monitoring connection");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
            let service = TowerToHyperService::new(routes.clone());
            tokio::spawn(async move {
                let _ = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(limits::HEAD_TIMEOUT)
                    .max_buf_size(limits::MAX_HEAD)
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
                drop(place);
            });
        }
    }
}

async fn metrics(State(monitor): State<Monitor>) -> Response<Body> {
    let devices = monitor.store.devices().count_by_status().await.unwrap_or_default();
    let mut text = monitor.metrics.render(&devices);
    text.push_str(&monitor.ready.metrics().await);
    answer(StatusCode::OK, text)
}

fn answer(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let plain = header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}
