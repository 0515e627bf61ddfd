//! A session that changes gateways: who has its seat has it there; and the answer of the store is
//! lost, which has given the session to a gateway that does not know.

use tokio::time::Instant;
use towline_host::clock::UnixMillis;
use towline_store::testing::{joined, new_database};
use towline_store::{Connection, Known, ServerAddress, Store};
use towline_testkit::postgres::Postgres;
use towline_wire::lane::Lanes;

use super::failing::{FIRST, hub_on, open};
use crate::plane::Sitter;
use crate::sessions::token::{FIRST_SEAT, Token};

const DEVICE: &str = "mi-0123456789abcdef0";

async fn made(server: &Postgres) -> ServerAddress {
    let address = new_database(&server.address("postgres")).await;
    let made = Store::create_on(&address).await.unwrap();
    made.principals().create("ann", &[], UnixMillis(1)).await.unwrap();
    made.close().await;
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_the_seat_of_a_session_has_it_at_the_gateway_to_which_the_session_goes() {
    let server = Postgres::start(&["fsync = off"]).unwrap();
    let address = made(&server).await;
    let (at_a, at_b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (a, device) = hub_on(joined(&address, "a").await, at_a.path()).await;
    let (b, _) = hub_on(joined(&address, "b").await, at_b.path()).await;
    open(&a, &device, FIRST).await.unwrap();
    let here = a.session(FIRST).unwrap();
    let bob = Sitter { arn: "bob".into(), person_id: "AIDA1".into(), principal_id: "AIDA1".into() };
    let ids = ["AIDA1".to_owned()];
    for (number, has_it) in [(1, true), (3, false)] {
        let (token, text) = Token::fresh(Instant::now()).unwrap();
        here.set_token_of(token, Some(bob.clone()));
        here.attach(&text, None, Lanes::new(100, 0), None).unwrap();
        assert!(has_it || here.leave_seat(&ids, true), "her rights are removed");
        a.store_seat(&here);
        while here.unstored_seat().is_some() {
            tokio::task::yield_now().await;
        }
        let link = Connection { boot: [7; 16], number };
        b.arrive(DEVICE, link, false).await.unwrap();
        let there = b.session(FIRST).unwrap();
        assert_eq!(there.is_held_by(&bob), has_it);
        // Her client has it as well: the one that began the session was away.
        assert_eq!(there.taken_over(None, Some(FIRST_SEAT)).is_some(), has_it);
        b.remove(&b.session(FIRST).unwrap());
        // As if a had never lost it.
        let back = Connection { boot: [7; 16], number: number + 1 };
        a.store().presences().arrive(DEVICE, back, Known::default(), UnixMillis(2)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_whose_gateway_does_not_know_that_it_has_it_is_kept_after_all() {
    let server = Postgres::start(&["fsync = off"]).unwrap();
    let address = made(&server).await;
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
