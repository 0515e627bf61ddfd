//! The agent's real binary is asked for a new key by a scripted gateway: sessions go on, and no
//! crash locks it out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod scripted;

use ring::signature::{ED25519, UnparsedPublicKey};
use scripted::{DEVICE, Gateway, story};
use std::path::Path;
use towline_agent::state::Dir;
use towline_agent::state::key::DeviceKey;
use towline_wire::message::{FromAgent, Launch, RefusalCode, ToAgent};
use towline_wire::rotation::NewKey;

/// The key that the agent's current link shows.
fn shown(gateway: &Gateway) -> Vec<u8> {
    gateway.link.as_ref().unwrap().get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

fn stored(gateway: &Gateway) -> Vec<u8> {
    DeviceKey::load(&Dir::at(&gateway.path("state"))).unwrap().spki()
}

fn new_key_of(message: &FromAgent) -> Option<NewKey> {
    if let FromAgent::NewKey(new) = message { Some(new.clone()) } else { None }
}

/// Asks for a new key, and takes it.
async fn rotate(gateway: &mut Gateway) -> NewKey {
    gateway.send(&ToAgent::RotateKey).await;
    gateway.message(new_key_of).await
}

/// Refuses the agent's next link, and gives the key that it showed.
async fn refuse(gateway: &mut Gateway) -> Vec<u8> {
    gateway.accept().await;
    let FromAgent::Hello(_) = gateway.next_message().await else { panic!("no hello") };
    let (code, text) = (RefusalCode::UnknownDevice, "who?".to_owned());
    gateway.send(&ToAgent::Refuse { code, text, retry_after: 600 }).await;
    let key = shown(gateway);
    while gateway.step().await {}
    key
}

#[test]
fn a_shell_goes_on_while_the_key_is_replaced() {
    story(async || {
        let mut gateway = Gateway::with_agent("").await;
        let old = shown(&gateway);
        let shell = gateway.session("ann-1", &Launch::Shell).await;
        gateway.type_in(shell, "mine=kept; echo a-$((6 * 7))\n").await;
        gateway.until(shell, "a-42").await;

        let new = rotate(&mut gateway).await;
        let signed = NewKey::signed_bytes(&gateway.challenge, DEVICE);
        UnparsedPublicKey::new(&ED25519, &new.spki[12..])
            .verify(&signed, &new.proof)
            .expect("the new key is proved");
        assert_ne!(new.spki, old);
        assert_eq!(stored(&gateway), old, "until the new one was welcomed");

        gateway.send(&ToAgent::KeyAdded).await;
        while gateway.step().await {}
        gateway.cut();
        let held = gateway.welcome().await;
        assert!(
            matches!(&held[..], [FromAgent::Held(held)] if held.session == "ann-1"),
            "{held:?}"
        );
        assert_eq!(shown(&gateway), new.spki);
        gateway.attach("ann-1", shell).await;
        gateway.type_in(shell, "echo b-$mine\n").await;
        gateway.until(shell, "b-kept").await;
        assert_eq!(stored(&gateway), new.spki);
        assert!(!gateway.path("state").join("device.key.new").exists());
    });
}

#[test]
fn a_link_lost_before_the_answer_leaves_a_device_that_is_let_in_with_either_key() {
    story(async || {
        let mut gateway = Gateway::with_agent("gateway.reconnect_max = \"1s\"").await;
        let old = shown(&gateway);
        let new = rotate(&mut gateway).await;
        gateway.cut();
        assert_eq!(refuse(&mut gateway).await, new.spki, "the new key is tried first");
        gateway.cut();
        gateway.welcome().await;
        assert_eq!(shown(&gateway), old, "then the old one, without the pause that was asked for");
        assert_eq!(stored(&gateway), old);
    });
}

#[test]
fn an_agent_killed_between_the_keys_comes_back_with_the_new_one_and_keeps_it() {
    story(async || {
        let mut gateway = Gateway::with_agent("").await;
        let new = rotate(&mut gateway).await;
        gateway.kill_agent();
        gateway.cut();
        gateway.start();
        gateway.welcome().await;
        assert_eq!(shown(&gateway), new.spki);
        gateway.logged("linked by the new key").await;
        gateway.kill_agent();
        gateway.cut();
        gateway.start();
        gateway.welcome().await;
        assert_eq!((shown(&gateway), stored(&gateway)), (new.spki.clone(), new.spki));
    });
}

#[test]
fn a_state_directory_that_cannot_be_written_keeps_the_old_key_and_says_why() {
    story(async || {
        let mut gateway = Gateway::with_agent("").await;
        let old = shown(&gateway);
        // Root writes through any mode; a directory in the file's place stops it as a read-only
        // file system does.
        let in_the_way = gateway.path("state").join("device.key.new");
        std::fs::create_dir(&in_the_way).unwrap();
        gateway.send(&ToAgent::RotateKey).await;
        let why = gateway
            .message(
                |m| if let FromAgent::NoNewKey { text } = m { Some(text.clone()) } else { None },
            )
            .await;
        assert!(why.contains("cannot write") && why.contains("device.key.new"), "{why}");
        assert_eq!(stored(&gateway), old);
        assert_eq!(leftovers(&gateway.path("state")), 0, "no half-written key lies about");

        std::fs::remove_dir(&in_the_way).unwrap();
        assert_ne!(rotate(&mut gateway).await.spki, old);
    });
}

/// Files that a write left beside its target.
fn leftovers(state: &Path) -> usize {
    let names = std::fs::read_dir(state)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.matches(".new").count() == 2).count()
}

#[test]
fn keys_are_not_made_one_after_another() {
    story(async || {
        let mut gateway = Gateway::with_agent("").await;
        let new = rotate(&mut gateway).await;
        gateway.send(&ToAgent::RotateKey).await;
        let why = gateway
            .message(
                |m| if let FromAgent::NoNewKey { text } = m { Some(text.clone()) } else { None },
            )
            .await;
        assert!(why.contains("less than"), "{why}");
        gateway.send(&ToAgent::KeyAdded).await;
        while gateway.step().await {}
        gateway.cut();
        gateway.welcome().await;
        assert_eq!(shown(&gateway), new.spki);
    });
}
