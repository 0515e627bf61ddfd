//! What is done to a copy of the sink, is found by `towline verify`, named, and makes it fail; with
//! nothing but the public key.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use towline_testkit::lab::Lab;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, eventually, files};

use crate::evidence::{recordings, verify_folder};

const PATIENCE: Duration = Duration::from_secs(60);

/// A sink with three sessions, and a copy of it for each change.
struct Scene {
    lab: Lab,
    whole: PathBuf,
    copies: usize,
    /// As `verify` printed it for the untouched sink.
    checkpoint: String,
}

impl Scene {
    fn new() -> Outcome<Self> {
        let mut lab = Lab::start()?;
        let device = lab.device()?;
        for n in 1..=3 {
            let script =
                format!("for m in 1 2 3 4 5 6 7 8; do echo session {n} line $m; sleep 0.05; done");
            lab.admin().text(&["exec", device.id(), "--", "sh", "-c", &script])?;
        }
        let records = lab.gateway.directory().join("evidence/records");
        eventually("three recordings", PATIENCE, || {
            (recordings(&records).len() == 3).then_some(())
        })?;
        lab.gateway.process().stop()?;
        lab.gateway.start_again()?; // what was signed at the stop is sent by the next start
        let told = eventually("a sink that verifies", PATIENCE, || {
            verify_folder(&lab, &records, &[]).ok().filter(|out| out.status.success())
        })?;
        lab.gateway.kill()?; // from here on nothing is added
        let text = String::from_utf8_lossy(&told.stdout).into_owned();
        let checkpoint = text.lines().find_map(|line| line.split_once("checkpoint of gateway: "));
        let checkpoint = checkpoint.map(|(_, checkpoint)| checkpoint.trim().to_owned());
        let checkpoint = checkpoint.ok_or_else(|| Trouble::new(text.clone()))?;
        Ok(Self { lab, whole: records, copies: 0, checkpoint })
    }

    /// Does this to a fresh copy and verifies it.
    fn after(&mut self, change: impl FnOnce(&Path) -> Outcome, words: &[&str]) -> Outcome<Output> {
        self.copies += 1;
        let copy = self.lab.directory().join(format!("copy-{}", self.copies));
        let done =
            std::process::Command::new("cp").arg("-a").arg(&self.whole).arg(&copy).status()?;
        ensure(done.success(), || "cp failed".into())?;
        change(&copy)?;
        verify_folder(&self.lab, &copy, words)
    }

    /// The change must be found, and be called this.
    fn finds(&mut self, what: &str, named: &str, change: impl FnOnce(&Path) -> Outcome) -> Outcome {
        let out = self.after(change, &[])?;
        let said = String::from_utf8_lossy(&out.stdout).into_owned();
        ensure(out.status.code().is_some_and(|code| code != 0) && said.contains(named), || {
            format!("{what}: {}, {said}", out.status)
        })
    }
}

fn segments(copy: &Path) -> Outcome<Vec<PathBuf>> {
    let entries = std::fs::read_dir(copy.join("towline-seals/gateway"))?;
    let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    found.sort();
    Ok(found)
}

fn sorted(copy: &Path) -> Vec<PathBuf> {
    let mut found = recordings(copy);
    found.sort();
    found
}

/// Changes the lines of a segment.
fn rewrite(path: &Path, change: impl FnOnce(&mut Vec<String>)) -> Outcome {
    let mut lines: Vec<String> =
        std::fs::read_to_string(path)?.lines().map(str::to_owned).collect();
    change(&mut lines);
    files::write(path, lines.iter().map(|line| format!("{line}\n")).collect::<String>())
}

/// Changes the lines of a recording: unpacked, changed, packed again.
fn record(path: &Path, change: impl FnOnce(&mut Vec<String>)) -> Outcome {
    let gzip = |words: &[&str]| std::process::Command::new("gzip").args(words).arg(path).output();
    let out = gzip(&["-dc"])?;
    let mut lines: Vec<String> =
        String::from_utf8_lossy(&out.stdout).lines().map(str::to_owned).collect();
    change(&mut lines);
    let plain = path.with_extension("");
    files::write(&plain, lines.iter().map(|line| format!("{line}\n")).collect::<String>())?;
    let packed = std::process::Command::new("gzip").arg("-c").arg(&plain).output()?;
    files::write(path, packed.stdout)?;
    Ok(std::fs::remove_file(plain)?)
}

#[test]
fn whatever_is_done_to_a_recording_is_found_and_named() -> Outcome {
    let mut scene = Scene::new()?;
    let first = |copy: &Path| sorted(copy)[0].clone();
    scene.finds("a flipped bit", "altered", |copy| {
        record(&first(copy), |lines| {
            lines[3] = lines[3].replacen("\\r", "\\t", 1).replacen("\\n", "\\t", 1)
        })
    })?;
    scene.finds("a dropped record", "missing", |copy| {
        record(&first(copy), |lines| drop(lines.remove(2)))
    })?;
    scene.finds("two records in another order", "not in its place", |copy| {
        record(&first(copy), |lines| {
            // Two of one block: no seal between them.
            let is_event = |line: &String| line.starts_with('[') && !line.contains(",\"z\",");
            let pair = lines.windows(2).position(|two| two.iter().all(is_event)).unwrap_or(0);
            lines.swap(pair, pair + 1);
        })
    })?;
    scene.finds("an end that was cut off", "truncated", |copy| {
        record(&first(copy), |lines| drop(lines.pop()))
    })?;
    scene.finds("an added record", "added", |copy| {
        record(&first(copy), |lines| lines.push("[99.0,\"o\",\"more\"]".to_owned()))
    })?;
    scene.finds("a file that was cut", "truncated", |copy| {
        let bytes = std::fs::read(first(copy))?;
        files::write(&first(copy), &bytes[..bytes.len() / 2])
    })?;
    scene.finds("bytes behind the end", "", |copy| {
        let bytes = std::fs::read(first(copy))?;
        files::write(&first(copy), [&bytes[..], b"more"].concat())
    })?;
    scene.finds("two sessions that were swapped", "holds the recording of session", |copy| {
        let (one, two, spare) =
            (sorted(copy)[0].clone(), sorted(copy)[1].clone(), copy.join("spare"));
        std::fs::rename(&one, &spare)?;
        std::fs::rename(&two, &one)?;
        Ok(std::fs::rename(&spare, &two)?)
    })?;
    scene.finds("a session that was removed", "missing, and not removed", |copy| {
        Ok(std::fs::remove_file(first(copy))?)
    })?;
    scene.finds("a session that never was", "does not name it", |copy| {
        Ok(std::fs::copy(first(copy), copy.join("eve-0123456789abcdef0.cast.gz")).map(drop)?)
    })?;
    let untouched = scene.after(|_| Ok(()), &[])?;
    ensure(untouched.status.success(), || format!("{untouched:?}"))
}

#[test]
fn whatever_is_done_to_the_chain_is_found_and_named() -> Outcome {
    let mut scene = Scene::new()?;
    let middle = |copy: &Path| Outcome::Ok(segments(copy)?[1].clone());
    scene.finds("an altered record", "altered", |copy| {
        rewrite(&middle(copy)?, |lines| lines[0] = lines[0].replacen("\"at\":1", "\"at\":2", 1))
    })?;
    scene.finds("a dropped record", "is missing", |copy| {
        rewrite(&middle(copy)?, |lines| drop(lines.remove(0)))
    })?;
    scene.finds("records in another order", "missing", |copy| {
        rewrite(&middle(copy)?, |lines| lines.swap(0, 1))
    })?;
    scene.finds("a record twice", "not in its place", |copy| {
        rewrite(&middle(copy)?, |lines| lines.insert(1, lines[0].clone()))
    })?;
    scene.finds("a checkpoint in place of another", "not signed by this key", |copy| {
        let older = std::fs::read_to_string(&segments(copy)?[0])?;
        let signature =
            |line: &str| line.split_once("\"signature\":").map(|(_, rest)| rest.to_owned());
        let older = older.lines().last().and_then(signature).unwrap_or_default();
        let newest = segments(copy)?.pop().ok_or_else(|| Trouble::new("no segment"))?;
        rewrite(&newest, |lines| {
            if let Some(last) = lines.last_mut() {
                let kept = last.split("\"signature\":").next().unwrap_or_default();
                *last = format!("{kept}\"signature\":{older}");
            }
        })
    })?;
    scene.finds("a segment in the middle that was removed", "missing", |copy| {
        Ok(std::fs::remove_file(middle(copy)?)?)
    })?;
    scene.finds("a chain that was removed", "no node chain found", |copy| {
        Ok(std::fs::remove_dir_all(copy.join("towline-seals"))?)
    })?;
    scene.finds("the newest segments that were removed", "does not name it", |copy| {
        segments(copy)?.iter().skip(1).try_for_each(|segment| Ok(std::fs::remove_file(segment)?))
    })
}

/// No chain knows its own end (decision 11): an attacker who removes the newest segments with all
/// that they name leaves one that holds. A checkpoint that was seen before tells.
#[test]
fn a_tail_that_was_removed_with_all_it_names_is_found_by_a_checkpoint_seen_before() -> Outcome {
    let mut scene = Scene::new()?;
    let cut_off = |copy: &Path| -> Outcome {
        let chain = segments(copy)?;
        for segment in chain.iter().skip(1) {
            std::fs::remove_file(segment)?;
        }
        let kept = std::fs::read_to_string(&chain[0])?;
        let named = |path: &Path| {
            path.file_name().is_some_and(|name| kept.contains(&*name.to_string_lossy()))
        };
        for path in
            walk(copy)?.into_iter().filter(|path| !path.starts_with(copy.join("towline-seals")))
        {
            if !named(&path) {
                std::fs::remove_file(path)?;
            }
        }
        Ok(())
    };
    let silent = scene.after(cut_off, &[])?;
    ensure(silent.status.success(), || format!("decision 11 says otherwise: {silent:?}"))?;
    let checkpoint = scene.checkpoint.clone();
    let told = scene.after(cut_off, &["--checkpoint", &checkpoint])?;
    let said = String::from_utf8_lossy(&told.stdout).into_owned();
    ensure(!told.status.success() && said.contains("truncated or rewritten"), || said.clone())?;
    let whole = scene.after(|_| Ok(()), &["--checkpoint", &checkpoint])?;
    ensure(whole.status.success(), || format!("{whole:?}"))
}

fn walk(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { found.extend(walk(&path)?) } else { found.push(path) }
    }
    Ok(found)
}
