//! Bodies of requests, read within bounds of size, time and memory.
//!
//! # Invariants
//! - Of each body [`limits::FREE_BODY`] is free; what strangers have beyond that in memory is at
//!   most [`limits::STRANGER_BODIES`], of one source [`limits::STRANGER_BODIES_OF_SOURCE`]. A
//!   connection over which somebody has authenticated before is no stranger's.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::body::Body;
use axum::http::{header, request};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use towline_ssm::error::{ApiError, ErrorCode};

use crate::limits;
use crate::throttle::subscriber;

/// Memory that bodies of strangers take.
#[derive(Debug, Default)]
pub(super) struct Bodies {
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    all: usize,
    sources: HashMap<IpAddr, usize>,
}

/// What one body holds; given back when dropped.
struct Share<'b> {
    bodies: &'b Bodies,
    source: IpAddr,
    bytes: usize,
}

impl Bodies {
    /// Reads a body. `stranger`: where it comes from, when nobody has authenticated over its
    /// connection yet.
    pub(super) async fn read(
        &self,
        body: &mut Body,
        stranger: Option<IpAddr>,
    ) -> Result<Bytes, ApiError> {
        let mut share =
            stranger.map(|source| Share { bodies: self, source: subscriber(source), bytes: 0 });
        tokio::time::timeout(limits::BODY_TIMEOUT, collect(body, share.as_mut()))
            .await
            .map_err(|_| malformed("the body did not arrive in time"))?
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner) // numbers are whole between steps
    }
}

/// Takes in what a client goes on sending of a body that nobody reads, within bounds. A client that
/// is cut off while it sends does not read why.
pub(super) async fn discard(body: &mut Body) {
    let rest = async {
        let mut left = limits::DISCARDED_BODY;
        while left > 0
            && let Some(Ok(frame)) = body.frame().await
        {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
        }
    };
    let _ = tokio::time::timeout(limits::DISCARD_TIMEOUT, rest).await;
}

async fn collect(body: &mut Body, mut share: Option<&mut Share<'_>>) -> Result<Bytes, ApiError> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| malformed("the body is not whole"))?;
        let Ok(data) = frame.into_data() else { continue }; // trailers mean nothing here
        let length = whole.len() + data.len();
        if length > limits::MAX_BODY {
            return Err(too_large());
        }
        if let Some(share) = share.as_deref_mut()
            && !share.grow(length.saturating_sub(limits::FREE_BODY))
        {
            return Err(ApiError::new(
                ErrorCode::ThrottlingException,
                "too many large requests are under way: try again later",
            ));
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

impl Share<'_> {
    /// Takes up to `bytes` altogether, if there is room.
    fn grow(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        if more == 0 {
            return true;
        }
        let mut held = self.bodies.lock();
        let of_source = held.sources.get(&self.source).copied().unwrap_or(0);
        if held.all + more > limits::STRANGER_BODIES
            || of_source + more > limits::STRANGER_BODIES_OF_SOURCE
        {
            return false;
        }
        held.all += more;
        held.sources.insert(self.source, of_source + more);
        self.bytes += more;
        true
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        let mut held = self.bodies.lock();
        held.all = held.all.saturating_sub(self.bytes);
        let left = held.sources.get(&self.source).map_or(0, |of| of.saturating_sub(self.bytes));
        if left == 0 {
            held.sources.remove(&self.source);
        } else {
            held.sources.insert(self.source, left);
        }
    }
}

/// Refuses a head that announces a body beyond the bound.
pub(super) fn check_length(head: &request::Parts) -> Result<(), ApiError> {
    let announced = head.headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok());
    let announced: Option<u64> = announced.and_then(|length| length.parse().ok());
    match announced {
        Some(length) if length > limits::MAX_BODY as u64 => Err(too_large()),
        _ => Ok(()),
    }
}

fn too_large() -> ApiError {
    malformed(&format!("the body is larger than {} bytes", limits::MAX_BODY))
}

fn malformed(message: &str) -> ApiError {
    ApiError::new(ErrorCode::SerializationException, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    fn share(bodies: &Bodies, source: IpAddr) -> Share<'_> {
        Share { bodies, source, bytes: 0 }
    }

    #[test]
    fn one_source_has_a_share_and_all_together_have_a_bound() {
        let bodies = Bodies::default();
        let mut large = share(&bodies, HERE);
        assert!(large.grow(limits::STRANGER_BODIES_OF_SOURCE));
        assert!(!share(&bodies, HERE).grow(1), "the share of the source is used up");
        let mut other = share(&bodies, THERE);
        assert!(other.grow(limits::STRANGER_BODIES_OF_SOURCE));
        drop(large);
        assert!(share(&bodies, HERE).grow(1));
        drop(other);
        {
            let held = bodies.lock();
            assert_eq!((held.all, held.sources.len()), (0, 0));
        }
        let many: Vec<_> = (0..1000_u32)
            .map(|n| {
                let mut one = share(&bodies, IpAddr::from((0x0a00_0000 + n).to_be_bytes()));
                (one.grow(1 << 20), one)
            })
            .collect();
        let taken = many.iter().filter(|(taken, _)| *taken).count();
        assert_eq!(taken, limits::STRANGER_BODIES >> 20);
    }

    #[tokio::test]
    async fn small_bodies_need_no_share() {
        let bodies = Bodies::default();
        let mut all = share(&bodies, HERE);
        assert!(all.grow(limits::STRANGER_BODIES_OF_SOURCE));
        let body = |bytes| Body::from(vec![b'x'; bytes]);
        assert!(bodies.read(&mut body(limits::FREE_BODY), Some(HERE)).await.is_ok());
        let refused = bodies.read(&mut body(limits::FREE_BODY + 1), Some(HERE)).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::ThrottlingException);
        assert!(bodies.read(&mut body(limits::MAX_BODY), None).await.is_ok());
        assert!(bodies.read(&mut body(limits::MAX_BODY + 1), None).await.is_err());
    }
}
