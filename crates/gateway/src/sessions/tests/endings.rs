//! Sessions that end while the store is away: it gets each end once it is back.

use std::time::Duration;

use tokio::time::{sleep, timeout};
use towline_host::clock::UnixMillis;
use towline_store::Store;
use towline_store::testing::new_database;
use towline_testkit::postgres::Postgres;

use super::failing::{FIRST, SECOND, hub_on, open};
use crate::plane::EndReason;

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_was_away_learns_of_sessions_that_ended_and_of_starts_that_failed() {
    let mut server = Postgres::start(&["fsync = off"]).unwrap();
    let store = Store::create_on(&new_database(&server.address("postgres")).await).await.unwrap();
    store.principals().create("ann", &[], UnixMillis(1)).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (hub, device) = hub_on(store, dir.path()).await;
    open(&hub, &device, FIRST).await.unwrap();
    open(&hub, &device, SECOND).await.unwrap();
    let (first, second) = (hub.session(FIRST).unwrap(), hub.session(SECOND).unwrap());

    server.kill().unwrap();
    hub.end(&first, EndReason::Terminated, "terminated");
    hub.start_failed(&second, "the device left".to_owned()).await;
    for name in [FIRST, SECOND] {
        assert!(hub.endings.has(name), "nobody keeps {name} again");
    }

    server.start_again().unwrap();
    let stored = async {
        while hub.endings.has(FIRST) || hub.endings.has(SECOND) {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(120), stored).await.unwrap();
    for (name, why) in [(FIRST, "terminated"), (SECOND, "the device left")] {
        let row = hub.store().sessions().get(name).await.unwrap().unwrap();
        assert!(row.ended_at.is_some(), "{name}");
        assert!(row.details.starts_with(why), "{name}: {}", row.details);
    }
}
