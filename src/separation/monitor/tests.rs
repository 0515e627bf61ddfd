//! A hostile network process: it says anything at any time, and gets one signature of one form.

use super::*;
use crate::link::tls::client_config;
use crate::state::Dir;
use crate::state::key::DeviceKey;
use ring::signature::{ED25519, UnparsedPublicKey};
use towline_wire::separation::certificate_verify;

/// What the network process did: it has said all of `said`, and each message of the monitor was
/// read.
struct Story {
    result: Result<Line, Failure>,
    heard: Vec<ToNetwork>,
    key: DeviceKey,
}

fn order(tls: &ClientConfig) -> Order<'_> {
    static GATEWAY: std::sync::LazyLock<Address> =
        std::sync::LazyLock::new(|| Address { host: "gw.example".into(), port: 8443 });
    Order { gateway: &GATEWAY, proxy: None, addresses: Vec::new(), tls }
}

fn separation(trust: &Trust, pins: &Pins) -> Separation {
    let wanted = (Separated::Demanded, "games");
    let runtime = Path::new("/no/such/directory");
    Separation::of(wanted, runtime, trust, pins, &SignedSeconds::default()).unwrap()
}

fn with_runtime<F: Future>(story: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(story)
}

fn played(said: &[Result<Vec<u8>, towline_wire::message::MessageError>], pins: &Pins) -> Story {
    let temp = tempfile::tempdir().unwrap();
    let key = DeviceKey::make(&Dir::at(temp.path())).unwrap();
    let trust = Trust::Pin([1; 32]);
    let tls =
        client_config(&trust, key.for_tls().unwrap(), &SignedSeconds::default(), pins).unwrap();
    let (ours, theirs) =
        socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).unwrap();
    for message in said {
        say(theirs.as_fd(), message.clone(), false).unwrap();
    }
    let result = with_runtime(async {
        // Not among the children: nothing is killed in its name.
        let (pid, children) = (Pid::this(), Children::default());
        let process = Process { pid, control: watch(ours).unwrap(), children };
        let stream = Socket::new(UnixStream::pair().unwrap().0.into()).unwrap();
        separation(&trust, pins).task(process, stream, order(&tls)).await
    });
    let mut heard = Vec::new();
    while let Ok(Some(message)) = hear(theirs.as_fd(), true, decode::<ToNetwork>) {
        heard.push(message);
    }
    Story { result, heard, key }
}

fn story(said: &[FromNetwork]) -> Story {
    played(&said.iter().map(encode).collect::<Vec<_>>(), &Pins::default())
}

fn signatures(story: &Story) -> Vec<&Vec<u8>> {
    let signatures = story.heard.iter().filter_map(|message| match message {
        ToNetwork::Signature(signature) => Some(signature),
        _ => None,
    });
    signatures.collect()
}

fn linked(met_next: bool) -> FromNetwork {
    FromNetwork::Linked { local: "10.0.0.7".into(), met_next }
}

#[track_caller]
fn broke_the_rules(story: &Story) {
    let Err(Failure::Failed(why)) = &story.result else { panic!("{:?}", story.result) };
    assert!(why.contains("broke the rules"), "{why}");
}

#[test]
fn one_handshake_is_signed_in_the_form_of_a_handshake() {
    let story = story(&[FromNetwork::Sign(vec![7; 32]), linked(false)]);
    assert_eq!(story.result.as_ref().unwrap().local_address(), "10.0.0.7");
    let [signature] = signatures(&story)[..] else { panic!("{:?}", story.heard) };
    let form = certificate_verify(&[7; 32]).unwrap();
    let public = UnparsedPublicKey::new(&ED25519, story.key.spki()[12..].to_vec());
    public.verify(&form, signature).unwrap();
}

#[test]
fn a_second_signature_and_one_over_something_else_are_refused() {
    let twice = story(&[FromNetwork::Sign(vec![7; 32]), FromNetwork::Sign(vec![8; 32])]);
    broke_the_rules(&twice);
    assert_eq!(signatures(&twice).len(), 1);
    for length in [0, 31, 33, 64, 4_000] {
        let other = story(&[FromNetwork::Sign(vec![7; length])]);
        broke_the_rules(&other);
        assert!(signatures(&other).is_empty(), "{length}");
    }
}

#[test]
fn messages_that_are_not_due_end_the_process() {
    for said in [
        linked(false), // without a handshake
        FromNetwork::Confined { landlock: 7 },
        FromNetwork::Addresses(Vec::new()),
        FromNetwork::NotConfined("once more".into()),
    ] {
        broke_the_rules(&story(&[said]));
    }
}

#[test]
fn bytes_that_are_no_message_are_a_failure_and_no_reason_to_go_on_as_one_process() {
    let said = [vec![0xff; 100], vec![0; 16 * 1024], vec![3, 1]];
    for bytes in said {
        let result = played(&[Ok(bytes)], &Pins::default()).result;
        assert!(matches!(result, Err(Failure::Failed(_))), "{result:?}");
    }
}

#[test]
fn texts_of_the_process_forge_no_line_and_have_a_bound() {
    let text = format!("no\nway \u{1b}[2J{}", "x".repeat(5_000));
    let story = story(&[FromNetwork::Failed { text, note: String::new() }]);
    let Err(Failure::Failed(why)) = story.result else { panic!("{:?}", story.result) };
    assert!(why.starts_with("no way  [2Jx") && why.chars().count() == limits::SEPARATED_TEXT);
}

#[test]
fn the_next_key_can_be_met_only_where_the_authority_announced_one() {
    let said = [encode(&FromNetwork::Sign(vec![7; 32])), encode(&linked(true))];
    let pins = Pins::default();
    played(&said, &pins).result.unwrap();
    assert!(!pins.has_met_next());
    pins.expect(Some([2; 32]));
    played(&said, &pins).result.unwrap();
    assert!(pins.has_met_next());
}

#[test]
fn addresses_are_the_same_on_both_sides() {
    for text in ["10.1.2.3:443", "[fd00::1]:8443", "[fe80::1%3]:1"] {
        let address: SocketAddr = text.parse().unwrap();
        assert_eq!(address_of(&place_of(address)), address);
    }
}

#[test]
fn a_program_that_cannot_be_executed_is_given_up_at_once_and_a_want_of_memory_is_not() {
    let failure = |errno: Errno| not_started(&io::Error::from(errno));
    for errno in [Errno::ENOEXEC, Errno::ENOENT, Errno::EACCES, Errno::EPERM] {
        assert!(matches!(failure(errno), Failure::Unavailable(_)), "{errno}");
    }
    for errno in [Errno::ENOMEM, Errno::EAGAIN, Errno::EMFILE] {
        assert!(matches!(failure(errno), Failure::Failed(_)), "{errno}");
    }
}
