//! A node's chain of any records, signed, and one change of its lines: what is still believed is a
//! beginning of what was signed. The second input steers the change.
//!
//! Run by the fuzzer (`fuzz_targets/signed_chain.rs`), and as a property test with the others
//! (`tests/fuzz_bodies.rs`).

use std::collections::BTreeSet;
use std::sync::OnceLock;

use towline_evidence::checkpoint::SigningKey;
use towline_evidence::digest::Digest;
use towline_evidence::node::{NodeChain, Record, What};
use towline_evidence::verify::{NodeFault, NodeVerifier, ProvenChain};

type Lines = Vec<Vec<u8>>;

/// One run.
pub(crate) fn run(input: (Vec<(u8, u8)>, [u16; 3])) {
    let (records, change) = input;
    let Some(key) = key() else { return };
    let whole = chain(&records, key);
    let chain = verify(&whole, key);
    let chain = chain.unwrap_or_else(|fault| unreachable!("untouched, and yet: {fault}"));
    assert_eq!(chain.records, whole.len() as u64);
    judge(&chain);

    let mut changed = whole.clone();
    tamper(&mut changed, change);
    if let Ok(chain) = verify(&changed, key) {
        judge(&chain);
        assert!(begins(&whole, &changed), "a change was not noticed");
    }
}

/// Made once a process: its bytes decide nothing but signatures.
fn key() -> Option<&'static SigningKey> {
    static KEY: OnceLock<Option<SigningKey>> = OnceLock::new();
    KEY.get_or_init(|| SigningKey::from_pkcs8(&SigningKey::generate().ok()?).ok()).as_ref()
}

fn chain(records: &[(u8, u8)], key: &SigningKey) -> Lines {
    let mut chain = NodeChain::new("gw");
    let mut lines = Vec::new();
    for (at, (kind, name)) in records.iter().enumerate() {
        let (at, name) = (at as i64, format!("s{}", name % 8));
        let (head, number) = (Digest::of(&[&[*kind]]), u64::from(*kind));
        let what = match kind % 8 {
            0 => What::Open { session: name },
            1 => What::Progress { session: name, lines: number, head },
            2 => What::End {
                object: format!("{name}.cast.gz"),
                session: name,
                lines: number,
                head,
                gaps: 0,
                sha256: head,
                bytes: number,
            },
            3 => What::File { object: name, sha256: head, bytes: number, records: 1 },
            4 => What::Removed { object: format!("{name}.cast.gz"), why: "30 days".into() },
            5 => What::Lost { name, why: "no room".into() },
            6 => What::Follows { node: name, checkpoint: None, backup: 1 },
            _ => {
                lines.push(chain.checkpoint(at, key).into_bytes());
                continue;
            }
        };
        lines.push(chain.push(at, what).into_bytes());
    }
    lines.push(chain.checkpoint(records.len() as i64, key).into_bytes());
    lines
}

fn tamper(lines: &mut Lines, [kind, first, second]: [u16; 3]) {
    let (at, other) = (usize::from(first) % lines.len(), usize::from(second) % lines.len());
    match kind % 5 {
        0 => {
            let place = usize::from(second) % lines[at].len();
            lines[at][place] ^= (kind >> 8) as u8;
        }
        1 => drop(lines.remove(at)),
        2 => lines.insert(at, lines[other].clone()),
        3 => lines.swap(at, other),
        _ => lines.truncate(at),
    }
}

fn verify(lines: &Lines, key: &SigningKey) -> Result<ProvenChain, NodeFault> {
    let mut verifier = NodeVerifier::new(key.public());
    lines.iter().try_for_each(|line| verifier.line(line))?;
    verifier.finish()
}

/// Whether `lines` are a beginning of `whole`. The last one may be spelt in another way: its
/// signature covers what it says.
fn begins(whole: &Lines, lines: &Lines) -> bool {
    let Some((last, front)) = lines.split_last() else { return false };
    let record = |line: &[u8]| serde_json::from_slice::<Record>(line).ok();
    whole.starts_with(front)
        && whole.get(front.len()).is_some_and(|signed| record(signed) == record(last))
}

fn judge(chain: &ProvenChain) {
    for (object, ended) in &chain.objects {
        assert_eq!(chain.check(object, ended.sha256, None), Ok(()));
        let _ = chain.heads(object);
    }
    assert!(chain.missing(&BTreeSet::new()).count() <= chain.objects.len());
    let last = chain.last_checkpoint;
    assert!(last.is_some_and(|last| chain.holds(&format!("{}:{}", last.n, last.head))));
}
