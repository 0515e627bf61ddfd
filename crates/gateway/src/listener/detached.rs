//! Requests that go on to their end when their client hangs up.
//!
//! Data flow: a request's head -> a task of its own -> the routes -> the connection, which waits
//! for the answer. A client that leaves takes away the connection, and not the task.
//!
//! # Invariants
//! - An operation is never dropped half done, and its audit line is written: no client chooses
//!   whether what it changed is on record.
//! - A request that goes on without its client holds the place of its connection among
//!   [`super::Bounds`]: leaving early opens no further places.
//!
//! # Not here
//! - How long an operation may take: its own bounds. A body ends with an error when its client has
//!   left.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use futures_util::future::BoxFuture;
use hyper::body::Incoming;
use tower::{Service, ServiceExt as _};

/// Adds to a request what is known of its connection.
type Prepare = Arc<dyn Fn(&mut Request<Incoming>) + Send + Sync>;

/// Serves each request of a connection as a task of its own.
#[derive(Clone)]
pub(crate) struct Detached<H> {
    /// What serves it.
    pub(crate) routes: Router,
    /// Called for each request before it is served.
    pub(crate) prepare: Prepare,
    /// What is held until the last request of the connection has ended.
    pub(crate) held: H,
}

impl<H: Clone + Send + 'static> Service<Request<Incoming>> for Detached<H> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Incoming>) -> Self::Future {
        (self.prepare)(&mut request);
        let (routes, held) = (self.routes.clone(), self.held.clone());
        let task = tokio::spawn(async move {
            let answer = routes.oneshot(request).await;
            drop(held);
            answer
        });
        Box::pin(async move {
            task.await.unwrap_or_else(|error| {
                tracing::error!(%error, "a request was not served to its end");
                let mut failed = Response::new(Body::empty());
                *failed.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                Ok(failed)
            })
        })
    }
}
