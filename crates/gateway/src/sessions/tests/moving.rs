//! A session that changes gateways while the answer of the store is lost: the store has given it to
//! this one, which does not know.

use towline_host::clock::UnixMillis;
use towline_store::testing::{joined, new_database};
use towline_store::{Connection, Known, Store};
use towline_testkit::postgres::Postgres;

use super::failing::{FIRST, hub_on, open};

const DEVICE: &str = "mi-0123456789abcdef0";

#[tokio::test(flavor = "multi_thread")]
async fn a_session_whose_gateway_does_not_know_that_it_has_it_is_kept_after_all() {
    let server = Postgres::start(&["fsync = off"]).unwrap();
    let address = new_database(&server.address("postgres")).await;
    let made = Store::create_on(&address).await.unwrap();
    made.principals().create("ann", &[], UnixMillis(1)).await.unwrap();
    made.close().await;
    let (at_a, at_b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (a, device) = hub_on(joined(&address, "a").await, at_a.path()).await;
    let (b, _) = hub_on(joined(&address, "b").await, at_b.path()).await;
    open(&a, &device, FIRST).await.unwrap();
    let link = |number| Connection { boot: [7; 16], number };

    // The device comes to b. The store does as it is asked, and its answer is lost.
    let known = Known::default();
    b.store().presences().arrive(DEVICE, link(1), known, UnixMillis(2)).await.unwrap();
    b.moves.lock().await.arrived(DEVICE, false);
    assert!(b.session(FIRST).is_none());
    let (_, from) = b.arrive(DEVICE, link(2), false).await.unwrap();
    assert!(b.session(FIRST).is_some(), "it comes with the device that comes again");
    assert!(from.is_empty(), "b itself had it: {from:?}");

    // The same, and the device does not come again: two looks find it.
    let lost = || b.session(FIRST).is_none();
    b.remove(&b.session(FIRST).unwrap());
    b.take_over_from_the_dead().await;
    assert!(lost(), "its end may be on its way to the store");
    b.take_over_from_the_dead().await;
    assert!(!lost());
    // Nothing is in doubt any more.
    b.remove(&b.session(FIRST).unwrap());
    for _ in 0..3 {
        b.take_over_from_the_dead().await;
    }
    assert!(lost());

    // What becomes unsure between two looks has two looks of its own.
    let unsure = || async { b.moves.lock().await.look() };
    let two_looks = || async {
        b.take_over_from_the_dead().await;
        b.take_over_from_the_dead().await;
    };
    unsure().await;
    two_looks().await;
    assert!(!lost());
    unsure().await;
    b.take_over_from_the_dead().await;
    b.remove(&b.session(FIRST).unwrap());
    unsure().await;
    two_looks().await;
    assert!(!lost());
}
