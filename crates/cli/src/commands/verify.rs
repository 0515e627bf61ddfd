//! `verify`: the integrity of recordings. Files and directories need no gateway; a directory needs
//! the public key. The seals of a single recording show that it is complete. Only the signed chain
//! in the directory shows that it is the original.
//!
//! # Invariants
//! - The first fault of each thing is named; anything but a clean result is a failure of the
//!   command.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Serialize;
use towline_evidence::checkpoint::PublicKey;
use towline_evidence::digest::{Digest, Running};
use towline_evidence::layout;
use towline_evidence::verify::{
    Fault, Followed, NodeVerifier, ProvenChain, RecordingVerifier, Sealed, SetFault,
};
use towline_ssm::clock::format_iso8601;
use towline_ssm::ids::SessionId;

use super::cast_file::{Lines, is_file};
use super::context::read_document;
use crate::args::evidence::VerifyArgs;
use crate::exit::Failure;
use crate::limits::FILE_READ;
use crate::output::Output;

/// Why a session of an older chain is lost.
const WAS_OPEN: &str = "it was open when the gateway was lost and restored";

/// What was found.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Report {
    recordings: usize,
    other_files: usize,
    chain_records: u64,
    gaps: u64,
    /// The last signed head, to be given to `--checkpoint` another day.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    checkpoints: BTreeMap<String, String>,
    /// Sessions that are still recorded, or were when this was copied.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_ended: Vec<String>,
    /// Where a chain goes on after the gateway was restored from a backup.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    restored: Vec<String>,
    /// What the gateway itself wrote down as lost.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lost: Vec<String>,
    /// What is wrong, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    faults: Vec<String>,
}

/// `verify`.
pub(super) fn run(args: &VerifyArgs, output: Output) -> Result<(), Failure> {
    let report = if args.path.is_dir() {
        folder(args)?
    } else {
        // Else the words say what can be named here.
        is_file(&args.path.to_string_lossy())?;
        file(&args.path)?
    };
    answer(&report, output)
}

/// Whether this names no file or folder and may name a session.
pub(super) fn is_session(path: &Path) -> bool {
    !path.exists() && path.to_str().is_some_and(|name| name.parse::<SessionId>().is_ok())
}

/// `verify` of a session's recording, fetched part by part; `open` when the session goes on.
pub(super) fn session(
    parts: Vec<(String, Lines)>,
    open: bool,
    output: Output,
) -> Result<(), Failure> {
    let (mut report, last) = (Report::default(), parts.len().saturating_sub(1));
    for (at, (name, lines)) in parts.into_iter().enumerate() {
        let told = recorded(lines, Some(&name), Vec::new())?;
        // A recording that goes on may have been fetched in the middle of a line.
        let unfinished = match &told {
            Ok(sealed) => !sealed.ended,
            Err(fault) => matches!(fault, Fault::Truncated(_)),
        };
        report.recordings += 1;
        if open && unfinished && at == last {
            report.gaps += told.map_or(0, |sealed| sealed.gaps);
            report.not_ended.push(name);
        } else {
            let one = single(&name, told);
            report.gaps += one.gaps;
            report.faults.extend(one.faults);
        }
    }
    answer(&report, output)
}

fn answer(report: &Report, output: Output) -> Result<(), Failure> {
    output.answer(report, |_| text(report))?;
    match report.faults.first() {
        None => Ok(()),
        Some(first) => Err(Failure::BadDocument(format!("verification failed: {first}"))),
    }
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    for fault in &report.faults {
        text.push_str(&format!("FAULT  {fault}\n"));
    }
    for restored in &report.restored {
        text.push_str(&format!("gap    {restored}\n"));
    }
    for lost in &report.lost {
        text.push_str(&format!("lost   {lost} (recorded by the gateway)\n"));
    }
    for open in &report.not_ended {
        text.push_str(&format!("open   {open} has not ended\n"));
    }
    text.push_str(&format!(
        "{} recordings, {} other files, {} chain records, {} gaps, {} faults\n",
        report.recordings,
        report.other_files,
        report.chain_records,
        report.gaps,
        report.faults.len()
    ));
    for (node, checkpoint) in &report.checkpoints {
        text.push_str(&format!("checkpoint of {node}: {checkpoint}\n"));
    }
    text
}

/// One recording by itself: its seals, without a signed head.
fn file(path: &Path) -> Result<Report, Failure> {
    Ok(single(&path.display().to_string(), recording(path, None, Vec::new())?))
}

fn single(name: &str, told: Result<Sealed, Fault>) -> Report {
    let mut report = Report { recordings: 1, ..Report::default() };
    match told {
        Ok(sealed) if !sealed.ended => {
            report
                .faults
                .push(format!("{name}: {}", Fault::Truncated(sealed.lines - sealed.unsealed)));
        }
        Ok(sealed) => report.gaps = sealed.gaps,
        Err(fault) => report.faults.push(format!("{name}: {fault}")),
    }
    report
}

fn recording(
    path: &Path,
    session: Option<&str>,
    signed: Vec<(u64, Digest)>,
) -> Result<Result<Sealed, Fault>, Failure> {
    recorded(Lines::open(path)?, session, signed)
}

fn recorded(
    mut lines: Lines,
    session: Option<&str>,
    signed: Vec<(u64, Digest)>,
) -> Result<Result<Sealed, Fault>, Failure> {
    let mut verifier = RecordingVerifier::new(session, signed);
    while let Some(line) = lines.next()? {
        if let Err(fault) = verifier.line(&line) {
            return Ok(Err(fault));
        }
    }
    Ok(verifier.finish())
}

/// A whole sink.
fn folder(args: &VerifyArgs) -> Result<Report, Failure> {
    let key = key(args)?;
    let mut files = BTreeMap::new();
    walk(&args.path, "", &mut files)?;
    let mut segments: BTreeMap<String, BTreeMap<u64, PathBuf>> = BTreeMap::new();
    for (name, path) in &files {
        if let Some((node, first)) = layout::segment_of(name) {
            segments.entry(node.to_owned()).or_default().insert(first, path.clone());
        }
    }
    let mut report = Report::default();
    if segments.is_empty() {
        report.faults.push("truncated: no node chain found".to_owned());
    }
    let (mut chains, mut broken) = (Vec::new(), BTreeMap::new());
    for (node, segments) in &segments {
        match read_chain(key, segments, 0)? {
            Ok(chain) => chains.push(chain),
            Err(fault) => {
                broken.insert(node.clone(), fault);
            }
        }
    }
    restored(&mut report, key, &segments, &mut chains, &mut broken)?;
    report.faults.extend(broken.iter().map(|(node, fault)| format!("{node}: {fault}")));
    for chain in &chains {
        note(&mut report, chain);
    }
    // A checkpoint belongs to one of the chains, whichever that is.
    let held = |wanted: &&String| chains.iter().any(|chain| chain.holds(wanted));
    report.faults.extend(args.checkpoint.iter().filter(|wanted| !held(wanted)).map(|wanted| {
        format!("truncated or rewritten: no chain contains the checkpoint {wanted}")
    }));
    // With a broken chain nothing can be said about what it should name.
    if report.faults.is_empty() {
        objects(&mut report, &files, &chains)?;
    }
    Ok(report)
}

fn key(args: &VerifyArgs) -> Result<PublicKey, Failure> {
    let given = args.key.as_deref().ok_or_else(|| {
        Failure::Usage("--key is required for a directory: the gateway's evidence.pub".to_owned())
    })?;
    let text = match given.parse::<PublicKey>() {
        Ok(key) => return Ok(key),
        Err(_) => read_document(Path::new(given))?,
    };
    text.parse().map_err(|error| Failure::Usage(format!("--key: {error}")))
}

/// Chains that other ones go on from. What of such a chain is not here was lost with the old
/// server: a gap, and not a fault, because the new chain says so under its signature.
fn restored(
    report: &mut Report,
    key: PublicKey,
    segments: &BTreeMap<String, BTreeMap<u64, PathBuf>>,
    chains: &mut Vec<ProvenChain>,
    broken: &mut BTreeMap<String, String>,
) -> Result<(), Failure> {
    let followed: Vec<(String, Followed)> = chains
        .iter()
        .flat_map(|chain| chain.follows.iter().map(|one| (chain.node.clone(), one.clone())))
        .collect();
    for (node, old) in followed {
        let first = segments.get(&old.node).and_then(|all| all.keys().next()).copied();
        let mut gap = format!(
            "{node} goes on from {} after a restore from the backup of {}",
            old.node,
            format_iso8601(old.backup.div_euclid(1000))
        );
        match first {
            None => gap.push_str(&format!("; no record of {} is here", old.node)),
            Some(first @ 1..) => {
                gap.push_str(&format!("; its records before {first} are not here"));
                let all = segments.get(&old.node).into_iter().flatten();
                let all = all.map(|(first, path)| (*first, path.clone())).collect();
                if let Ok(chain) = read_chain(key, &all, first)? {
                    broken.remove(&old.node);
                    chains.push(chain);
                }
            }
            Some(0) => {}
        }
        report.gaps += 1;
        report.restored.push(gap);
        let Some(chain) = chains.iter_mut().find(|chain| chain.node == old.node) else {
            continue;
        };
        if let Some(checkpoint) = old.checkpoint.filter(|one| first == Some(0) && !chain.holds(one))
        {
            report.faults.push(format!(
                "{}: truncated or rewritten: {node} goes on from its checkpoint {checkpoint}, \
                 which it does not \
                 contain",
                old.node
            ));
        }
        let open = std::mem::take(&mut chain.open);
        chain.lost.extend(open.into_keys().map(|session| (session, WAS_OPEN.to_owned())));
    }
    Ok(())
}

fn read_chain(
    key: PublicKey,
    segments: &BTreeMap<u64, PathBuf>,
    first: u64,
) -> Result<Result<ProvenChain, String>, Failure> {
    let mut verifier = NodeVerifier::from_record(key, first);
    for path in segments.values() {
        let mut lines = Lines::open(path)?;
        while let Some(line) = lines.next()? {
            if let Err(fault) = verifier.line(&line) {
                return Ok(Err(fault.to_string()));
            }
        }
    }
    Ok(verifier.finish().map_err(|fault| fault.to_string()))
}

fn note(report: &mut Report, chain: &ProvenChain) {
    report.chain_records += chain.records;
    report.not_ended.extend(chain.open.keys().cloned());
    // What the gateway itself has given up is missing as much as a gap in a recording.
    report.gaps += chain.lost.len() as u64;
    report.lost.extend(chain.lost.iter().map(|(name, why)| format!("{name}: {why}")));
    if let Some(last) = chain.last_checkpoint {
        report.checkpoints.insert(chain.node.clone(), format!("{}:{}", last.n, last.head));
    }
}

fn objects(
    report: &mut Report,
    files: &BTreeMap<String, PathBuf>,
    chains: &[ProvenChain],
) -> Result<(), Failure> {
    for (name, path) in files.iter().filter(|(name, _)| layout::segment_of(name).is_none()) {
        let judged = judged(name, path, chains)?;
        report.gaps += judged.gaps;
        report.recordings += usize::from(judged.is_recording);
        report.other_files += usize::from(!judged.is_recording);
        match judged.fault {
            None => {}
            Some(SetFault::Unknown) if judged.is_whole && came_alone(name, chains) => {
                report.restored.push(format!(
                    "{name} is here without a signature: its session was open when the gateway \
                     was lost"
                ));
            }
            Some(fault) => report.faults.push(format!("{name}: {fault}")),
        }
    }
    let present: BTreeSet<String> = files.keys().cloned().collect();
    // What one gateway wrote, the one that follows it may remove.
    let removed = |name: &str| chains.iter().any(|chain| chain.removed.contains(name));
    let missing: BTreeSet<&str> = chains
        .iter()
        .flat_map(|chain| chain.missing(&present))
        .filter(|one| !removed(one))
        .collect();
    report.faults.extend(
        missing.iter().map(|name| format!("{name}: missing, and not removed by retention")),
    );
    Ok(())
}

/// What an object is, and what is wrong with it.
struct Judged {
    is_recording: bool,
    /// It is a recording that holds by its own seals.
    is_whole: bool,
    gaps: u64,
    fault: Option<SetFault>,
}

/// Judges an object by all chains that name it: a gateway that was restored may have written it
/// again, and then one of them is right.
fn judged(name: &str, path: &Path, chains: &[ProvenChain]) -> Result<Judged, Failure> {
    let (session, sum) = (layout::session_of(name), sha256(path)?);
    let naming: Vec<&ProvenChain> =
        chains.iter().filter(|chain| chain.objects.contains_key(name)).collect();
    let mut judged =
        Judged { is_recording: session.is_some(), is_whole: false, gaps: 0, fault: None };
    let unnamed = ProvenChain::default();
    let asked = if naming.is_empty() { vec![&unnamed] } else { naming };
    for chain in asked {
        let told = match session {
            Some(session) => Some(recording(path, Some(session), chain.heads(name))?),
            None => None,
        };
        if let Some(Ok(sealed)) = &told {
            (judged.is_whole, judged.gaps) = (true, sealed.gaps);
        }
        match chain.check(name, sum, told.as_ref()) {
            Ok(()) => {
                judged.fault = None;
                break;
            }
            Err(fault) => judged.fault = judged.fault.or(Some(fault)),
        }
    }
    Ok(judged)
}

/// Whether a whole recording came before the record that signs it, which was lost with its gateway.
/// The session is counted as lost.
fn came_alone(name: &str, chains: &[ProvenChain]) -> bool {
    let session = layout::session_of(name);
    let was_open = |session: &str| {
        chains.iter().any(|chain| chain.lost.get(session).is_some_and(|why| why == WAS_OPEN))
    };
    session.is_some_and(was_open)
}

fn walk(folder: &Path, prefix: &str, files: &mut BTreeMap<String, PathBuf>) -> Result<(), Failure> {
    let failed = |why| Failure::Local { what: format!("cannot read {}", folder.display()), why };
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = format!("{prefix}{}", path.file_name().unwrap_or_default().to_string_lossy());
        if path.is_dir() {
            walk(&path, &format!("{name}/"), files)?;
        } else {
            files.insert(name, path);
        }
    }
    Ok(())
}

fn sha256(path: &Path) -> Result<Digest, Failure> {
    let failed = |why| Failure::Local { what: format!("cannot read {}", path.display()), why };
    let mut file = fs::File::open(path).map_err(failed)?;
    let (mut running, mut buffer) = (Running::new(), vec![0; FILE_READ]);
    loop {
        match file.read(&mut buffer).map_err(failed)? {
            0 => return Ok(running.finish()),
            n => running.update(buffer.get(..n).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use towline_evidence::checkpoint::SigningKey;
    use towline_evidence::node::{NodeChain, What};

    const OBJECT: &str = "AWSLogs/a.json.gz";

    /// A sink with the chains of a gateway, and of the one that was restored from its backup.
    struct Sink {
        dir: tempfile::TempDir,
        key: SigningKey,
    }

    impl Sink {
        fn new() -> Self {
            let key = SigningKey::from_pkcs8(&SigningKey::generate().unwrap()).unwrap();
            Self { dir: tempfile::tempdir().unwrap(), key }
        }

        fn put(&self, name: &str, bytes: &[u8]) {
            let path = self.dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::io::Write::write_all(&mut fs::File::create(path).unwrap(), bytes).unwrap();
        }

        /// A signed segment; its checkpoint.
        fn chain(&self, node: &str, records: Vec<What>) -> String {
            let mut chain = NodeChain::new(node);
            let mut text: String =
                records.into_iter().map(|what| chain.push(1, what) + "\n").collect();
            let checkpoint = format!("{}:{}", chain.next(), chain.head());
            text.push_str(&(chain.checkpoint(2, &self.key) + "\n"));
            self.put(&layout::segment("", node, 0), text.as_bytes());
            checkpoint
        }

        fn faults(&self, checkpoint: &[&str]) -> Vec<String> {
            let args = VerifyArgs {
                path: self.dir.path().to_owned(),
                key: Some(self.key.public().to_string()),
                checkpoint: checkpoint.iter().map(|&one| one.to_owned()).collect(),
            };
            folder(&args).unwrap().faults
        }
    }

    fn file(bytes: &[u8]) -> What {
        let (sha256, object) = (Digest::of(&[bytes]), OBJECT.to_owned());
        What::File { object, sha256, bytes: bytes.len() as u64, records: 1 }
    }

    fn follows() -> What {
        What::Follows { node: "gateway".into(), checkpoint: None, backup: 1 }
    }

    #[test]
    fn an_object_is_right_when_one_of_the_chains_that_name_it_says_so() {
        let sink = Sink::new();
        sink.chain("gateway", vec![file(b"first")]);
        sink.chain("gateway-2", vec![follows(), file(b"again")]);
        for written in [&b"first"[..], b"again"] {
            sink.put(OBJECT, written);
            assert_eq!(sink.faults(&[]), [""; 0]);
        }
        sink.put(OBJECT, b"forged");
        assert_eq!(sink.faults(&[]), [format!("{OBJECT}: its bytes were altered")]);
        sink.put("AWSLogs/b.json.gz", b"added");
        assert!(sink.faults(&[])[1].contains("does not name it"));
    }

    #[test]
    fn what_the_gateway_that_follows_removed_is_not_missing() {
        let sink = Sink::new();
        sink.chain("gateway", vec![file(b"first")]);
        assert!(sink.faults(&[])[0].contains("missing"));
        let removed = What::Removed { object: OBJECT.into(), why: "age".into() };
        sink.chain("gateway-2", vec![follows(), removed]);
        assert_eq!(sink.faults(&[]), [""; 0]);
    }

    #[test]
    fn a_checkpoint_is_looked_for_in_all_chains_and_several_may_be_given() {
        let sink = Sink::new();
        let first = sink.chain("gateway", vec![]);
        let second = sink.chain("gateway-2", vec![follows()]);
        assert_eq!(sink.faults(&[&first, &second]), [""; 0]);
        let unknown = format!("9:{}", Digest::of(&[b"x"]));
        assert_eq!(
            sink.faults(&[&first, &unknown]),
            [format!("truncated or rewritten: no chain contains the checkpoint {unknown}")]
        );
    }
}
