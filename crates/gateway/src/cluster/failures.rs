//! Failures of strangers count at all gateways together.
//!
//! Data flow: the throttles of this gateway -> the store, once in a second -> those of the others.
//!
//! # Invariants
//! - Each source is written at most once in [`FAILURES_AGAIN`], at most [`MAX_FAILURES_TOLD`] of
//!   one kind at a time. Without a failure nothing is written.
//! - While the store does not answer, each gateway goes on with what it knows.
//!
//! # Not here
//! - What a number means: [`crate::throttle`].

use std::sync::Arc;

use towline_host::clock::{Clock, UnixMillis};
use towline_host::entropy;
use towline_store::{CountedFailures, Store, StoreError};

use super::directory::Directory;
use crate::limits::{
    FAILURE_WINDOW, FAILURES_AGAIN, MAX_FAILURES_HEARD, MAX_FAILURES_TOLD, PRUNE_FAILURES,
    PRUNED_AT_ONCE, PRUNED_PARTS,
};
use crate::throttle::{Shared, Window};

/// Throttles by the kind of failure that they count.
pub type Throttles = Vec<(&'static str, Arc<dyn Shared>)>;

/// Does so as long as the process lives.
pub async fn keep(store: Store, directory: Arc<Directory>, throttles: Throttles, clock: Clock) {
    // A process of this gateway before this one has counted, too.
    let Ok(teller) = entropy::uuid() else {
        tracing::error!("no random bytes: failures of strangers count at this gateway alone");
        return;
    };
    let (mut since_prune, mut is_away) = (0, false);
    loop {
        tokio::time::sleep(FAILURES_AGAIN).await;
        let gateways = u32::try_from(directory.others().len() + 1).unwrap_or(u32::MAX);
        throttles.iter().for_each(|(_, throttle)| throttle.among(gateways));
        let done = exchange(&store, &teller, &throttles, &clock).await;
        if let Err(error) = &done {
            if !is_away {
                tracing::warn!(%error, "failures of strangers count at this gateway alone for now");
            }
        } else if is_away {
            tracing::info!("failures of strangers count at all gateways together again");
        }
        is_away = done.is_err();
        since_prune += 1;
        if since_prune >= PRUNE_FAILURES && !is_away {
            since_prune = 0;
            if let Err(error) = prune(&store, clock.now()).await {
                tracing::warn!(%error, "old failures of strangers stay in the store for now");
            }
        }
    }
}

/// Removes what counts no more, part by part. What is left after the last one goes another time.
async fn prune(store: &Store, now: UnixMillis) -> Result<(), StoreError> {
    // Windows of a gateway whose clock is behind are kept for as long again.
    let before = now.minus(FAILURE_WINDOW);
    for _ in 0..PRUNED_PARTS {
        let removed = store.failures().prune(before, i64::from(PRUNED_AT_ONCE)).await?;
        if removed < u64::from(PRUNED_AT_ONCE) {
            break;
        }
    }
    Ok(())
}

/// Tells what the others do not know, and hears what they told.
async fn exchange(
    store: &Store,
    teller: &str,
    throttles: &Throttles,
    clock: &Clock,
) -> Result<(), StoreError> {
    let now = clock.now();
    let tell = |(kind, throttle): &(&'static str, Arc<dyn Shared>)| {
        (*kind, Arc::clone(throttle), throttle.tell(MAX_FAILURES_TOLD, now))
    };
    let news: Vec<_> = throttles.iter().map(tell).collect();
    for (kind, _, all) in &news {
        let row = |(source, window): &(String, Window)| CountedFailures {
            kind: (*kind).to_owned(),
            source: source.clone(),
            number: window.failures,
            ends_at: window.ends,
        };
        let rows: Vec<_> = all.iter().map(row).collect();
        store.failures().tell(teller, &rows).await?;
    }
    let heard = store.failures().hear(teller, now, MAX_FAILURES_HEARD).await?;
    for (kind, throttle, all) in &news {
        let own = heard.iter().filter(|one| one.kind == *kind);
        let window = |one: &CountedFailures| Window { ends: one.ends_at, failures: one.number };
        throttle.hear(own.map(|one| (one.source.clone(), window(one))).collect(), now);
        throttle.told(all, clock.now());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use towline_store::testing::scratch;

    use super::*;
    use crate::limits::MAX_FAILURES;
    use crate::throttle::Throttle;

    fn of(all: &[(&'static str, &Arc<Throttle<IpAddr>>)]) -> Throttles {
        let shared = |(kind, one): &(&'static str, &Arc<Throttle<IpAddr>>)| {
            let one: Arc<dyn Shared> = Arc::<Throttle<IpAddr>>::clone(one);
            (*kind, one)
        };
        all.iter().map(shared).collect()
    }

    #[tokio::test]
    async fn what_one_gateway_counts_blocks_at_the_other_and_each_kind_is_its_own() {
        let (store, _dir) = scratch().await;
        let now = UnixMillis(1_000_000);
        let clock = Clock::manual(now);
        let (a, b) = (Arc::<Throttle<IpAddr>>::default(), Arc::<Throttle<IpAddr>>::default());
        let other = Arc::<Throttle<IpAddr>>::default();
        let at_a = of(&[("requests", &a)]);
        let at_b = of(&[("requests", &b), ("devices", &other)]);
        let source: IpAddr = "2001:db8::1".parse().unwrap();
        for _ in 0..MAX_FAILURES {
            a.failed(source, now);
        }
        exchange(&store, "a", &at_a, &clock).await.unwrap();
        exchange(&store, "b", &at_b, &clock).await.unwrap();
        assert!(b.blocks(source, now) && !other.blocks(source, now));
        assert!(b.blocks("2001:db8::2".parse().unwrap(), now), "of one subscriber");
        assert!(!b.blocks(source, now.plus(FAILURE_WINDOW)));
        // Nothing new is written again, and what has ended is not heard.
        let rows = store.failures().hear("c", now, 10).await.unwrap();
        assert_eq!(rows.len(), 1);
        store.failures().prune(rows[0].ends_at.plus(FAILURE_WINDOW), 10).await.unwrap();
        exchange(&store, "a", &at_a, &clock).await.unwrap();
        assert!(store.failures().hear("c", now, 10).await.unwrap().is_empty());
        exchange(&store, "b", &at_b, &clock).await.unwrap();
        assert!(!b.blocks(source, now));
    }

    #[tokio::test]
    async fn a_store_that_does_not_answer_leaves_the_own_count_and_what_was_heard() {
        let (store, _dir) = scratch().await;
        let now = UnixMillis(1_000_000);
        let clock = Clock::manual(now);
        let b = Arc::<Throttle<IpAddr>>::default();
        let at_b = of(&[("requests", &b)]);
        let (heard, own): (IpAddr, IpAddr) =
            ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let window = Window { ends: now.plus(FAILURE_WINDOW), failures: MAX_FAILURES };
        b.hear(vec![(heard.to_string(), window)], now);
        store.close().await;
        for _ in 0..MAX_FAILURES {
            b.failed(own, now);
            assert!(exchange(&store, "b", &at_b, &clock).await.is_err());
        }
        assert!(b.blocks(heard, now) && b.blocks(own, now));
    }
}
