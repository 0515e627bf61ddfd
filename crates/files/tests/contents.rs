//! What content becomes, depending on what stands at its place.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "what stands there is made by plain calls")]
#![cfg(unix)]

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use ring::digest::{SHA256, digest};
use tempfile::TempDir;
use towline_files::{Fault, Incoming, Place, Wish, partial_name};

const MARK: &str = "0123456789abcdef";

fn sha(content: &[u8]) -> [u8; 32] {
    digest(&SHA256, content).as_ref().try_into().unwrap()
}

fn wish(size: usize) -> Wish<'static> {
    Wish { mode: 0o644, size: Some(size as u64), mark: MARK }
}

fn begin(path: &Path, size: usize) -> Result<Incoming, Fault> {
    Incoming::begin(Place::strict(path)?, &wish(size))
}

fn put(path: &Path, content: &[u8]) -> Result<(), Fault> {
    let mut incoming = begin(path, content.len())?;
    incoming.write(content)?;
    incoming.finish(&sha(content))
}

/// A directory, and a place in it whose path has no links.
fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().canonicalize().unwrap().join("place");
    (folder, place)
}

fn names(folder: &TempDir) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn make_fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn a_new_file_has_the_content_the_mode_and_nothing_beside_it() {
    let (folder, place) = folder();
    put(&place, b"content").unwrap();
    assert_eq!(fs::read(&place).unwrap(), b"content");
    assert_eq!(fs::metadata(&place).unwrap().mode() & 0o7777, 0o644);
    assert_eq!(names(&folder), ["place"]);
}

#[test]
fn an_existing_file_keeps_its_mode_and_is_replaced_as_a_whole() {
    let (folder, place) = folder();
    fs::write(&place, "secret").unwrap();
    fs::set_permissions(&place, fs::Permissions::from_mode(0o600)).unwrap();
    let mut before = fs::File::open(&place).unwrap();
    put(&place, b"another").unwrap();
    assert_eq!(fs::metadata(&place).unwrap().mode() & 0o7777, 0o600);
    let mut seen = String::new();
    before.read_to_string(&mut seen).unwrap();
    assert_eq!(seen, "secret", "who has it open still reads what it was");
    assert_eq!(names(&folder), ["place"]);
}

#[test]
fn a_file_with_two_names_keeps_both() {
    let (folder, place) = folder();
    fs::write(&place, "a longer content than the next one").unwrap();
    fs::hard_link(&place, folder.path().join("other")).unwrap();
    put(&place, b"short").unwrap();
    assert_eq!(fs::read(folder.path().join("other")).unwrap(), b"short");
    assert_eq!(fs::metadata(&place).unwrap().nlink(), 2);
    assert_eq!(names(&folder), ["other", "place"]);
}

#[test]
fn a_link_is_refused_at_the_end_and_on_the_way_unless_links_are_followed() {
    let (_folder, place) = folder();
    let (real, way) = (place.with_file_name("real"), place.with_file_name("way"));
    fs::create_dir(&real).unwrap();
    fs::write(real.join("file"), "old").unwrap();
    symlink("real/file", &place).unwrap();
    symlink("real", &way).unwrap();
    for path in [&place, &way.join("file")] {
        let fault = put(path, b"new").unwrap_err();
        assert!(fault.to_string().contains("symbolic link: use --follow"), "{fault}");
        let read = Place::strict(path).and_then(|place| place.read().map(drop));
        assert!(matches!(read, Err(Fault::Link(_))));
    }
    assert_eq!(fs::read(real.join("file")).unwrap(), b"old");
    let mut incoming = Incoming::begin(Place::following(&place).unwrap(), &wish(3)).unwrap();
    incoming.write(b"new").unwrap();
    incoming.finish(&sha(b"new")).unwrap();
    assert_eq!(fs::read(real.join("file")).unwrap(), b"new");
    assert!(fs::symlink_metadata(&place).unwrap().is_symlink());
    let way = Place::strict(&way).unwrap();
    assert!(matches!(way.make_directory(0o755), Err(Fault::Link(_))));
    assert!(matches!(way.list(false, &mut |_, _| Ok(())), Err(Fault::Link(_))));
}

#[test]
fn nodes_stay_what_they_are() {
    let (_folder, place) = folder();
    put(Path::new("/dev/null"), b"content").unwrap();
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    make_fifo(&place);
    assert!(matches!(begin(&place, 7), Err(Fault::NoReader)));
    let reader = {
        let place = place.clone();
        std::thread::spawn(move || fs::read(place).unwrap())
    };
    let incoming = loop {
        match begin(&place, 7) {
            Err(Fault::NoReader) => std::thread::yield_now(),
            other => break other,
        }
    };
    let mut incoming = incoming.unwrap();
    incoming.write(b"content").unwrap();
    incoming.finish(&sha(b"content")).unwrap();
    assert_eq!(reader.join().unwrap(), b"content");
    assert!(fs::metadata(&place).unwrap().file_type().is_fifo());
    let socket = place.with_file_name("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    assert!(matches!(begin(&socket, 7), Err(Fault::Socket)));
    assert!(matches!(begin(place.parent().unwrap(), 7), Err(Fault::Directory)));
}

#[test]
fn a_copy_that_breaks_off_is_continued_and_a_stream_leaves_nothing() {
    let (folder, place) = folder();
    let mut incoming = begin(&place, 7).unwrap();
    incoming.write(b"con").unwrap();
    let kept = incoming.kept().unwrap();
    drop(incoming);
    assert_eq!(names(&folder), [kept.to_str().unwrap()]);
    let mut incoming = begin(&place, 7).unwrap();
    assert_eq!(incoming.have().unwrap(), 3);
    incoming.write(b"tent").unwrap();
    incoming.finish(&sha(b"content")).unwrap();
    assert_eq!(fs::read(&place).unwrap(), b"content");
    let stream = Wish { size: None, ..wish(0) };
    let mut incoming = Incoming::begin(Place::strict(&place).unwrap(), &stream).unwrap();
    incoming.write(b"con").unwrap();
    drop(incoming);
    drop(begin(&place, 9).unwrap());
    assert_eq!(names(&folder), ["place"]);
    assert_eq!(fs::read(&place).unwrap(), b"content");
}

#[test]
fn the_digest_is_that_of_what_stands_in_the_file() {
    let (folder, place) = folder();
    let mut incoming = begin(&place, 7).unwrap();
    incoming.write(b"content").unwrap();
    fs::write(folder.path().join(incoming.kept().unwrap()), "CONtent").unwrap();
    assert!(matches!(incoming.finish(&sha(b"content")), Err(Fault::Damaged)));
    assert!(names(&folder).is_empty());
}

#[test]
fn two_copies_at_once_do_not_mix() {
    let (folder, place) = folder();
    let (mut one, mut two) = (begin(&place, 6).unwrap(), begin(&place, 6).unwrap());
    assert_eq!((one.have().unwrap(), two.have().unwrap()), (0, 0));
    for _ in 0..2 {
        one.write(b"aaa").unwrap();
        two.write(b"bbb").unwrap();
    }
    one.finish(&sha(b"aaaaaa")).unwrap();
    assert_eq!(fs::read(&place).unwrap(), b"aaaaaa");
    two.finish(&sha(b"bbbbbb")).unwrap();
    assert_eq!(fs::read(&place).unwrap(), b"bbbbbb");
    assert_eq!(names(&folder), ["place"]);
}

#[test]
fn a_copy_begins_with_what_another_one_of_the_same_content_has_and_both_end_well() {
    let (folder, place) = folder();
    let mut gone = begin(&place, 7).unwrap();
    gone.write(b"con").unwrap();
    let mut next = begin(&place, 7).unwrap();
    assert_eq!(next.have().unwrap(), 3);
    next.write(b"tent").unwrap();
    next.finish(&sha(b"content")).unwrap();
    assert_eq!(names(&folder), ["place"]);
    fs::remove_file(&place).unwrap();
    gone.write(b"tent").unwrap();
    gone.finish(&sha(b"content")).unwrap();
    assert_eq!(fs::read(&place).unwrap(), b"content");
    assert_eq!(names(&folder), ["place"]);
}

#[test]
fn what_others_put_under_the_name_of_the_partial_file_is_left_alone() {
    let (folder, place) = folder();
    let planted = folder.path().join(partial_name("place".as_ref(), MARK));
    let victim = folder.path().join("victim");
    fs::write(&victim, "victim").unwrap();
    let link = |at: &Path| symlink("victim", at).unwrap();
    let second_name = |at: &Path| fs::hard_link(&victim, at).unwrap();
    let writable = |at: &Path| {
        fs::write(at, "evil").unwrap();
        fs::set_permissions(at, fs::Permissions::from_mode(0o666)).unwrap();
    };
    let directory = |at: &Path| fs::create_dir(at).unwrap();
    let traps: [&dyn Fn(&Path); 5] = [&link, &second_name, &writable, &make_fifo, &directory];
    for (n, trap) in traps.into_iter().enumerate() {
        trap(&planted);
        let before = fs::symlink_metadata(&planted).unwrap();
        put(&place, b"content").unwrap();
        assert_eq!(fs::read(&place).unwrap(), b"content", "trap {n}");
        assert_eq!(fs::read(&victim).unwrap(), b"victim", "trap {n}");
        assert_eq!(fs::symlink_metadata(&planted).unwrap().ino(), before.ino(), "trap {n}");
        fs::remove_file(&planted).or_else(|_| fs::remove_dir(&planted)).unwrap();
        fs::remove_file(&place).unwrap();
    }
}

#[test]
fn a_file_that_another_user_laid_out_in_a_shared_directory_is_refused() {
    let (folder, place) = folder();
    fs::write(&place, "bait").unwrap();
    // Only root can give a file away.
    if std::os::unix::fs::chown(&place, Some(65_534), Some(65_534)).is_err() {
        return;
    }
    put(&place, b"content").unwrap();
    assert_eq!(fs::metadata(&place).unwrap().uid(), 65_534, "the owner stays");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    assert!(matches!(put(&place, b"secret"), Err(Fault::OthersFile)));
    assert_eq!(fs::read(&place).unwrap(), b"content");
}

#[test]
fn room_is_asked_for_first() {
    let (folder, place) = folder();
    let size = usize::MAX >> 2;
    let Err(fault) = begin(&place, size) else { panic!("there is no such disk") };
    assert!(fault.to_string().contains("not enough space"), "{fault}");
    assert!(names(&folder).is_empty());
    fs::write(folder.path().join(partial_name("place".as_ref(), MARK)), "earlier").unwrap();
    let Err(fault) = begin(&place, size) else { panic!("there is no such disk") };
    assert!(fault.to_string().contains("what arrived before is in .place."), "{fault}");
}

#[test]
fn the_longest_name_has_a_partial_file_too() {
    let (folder, place) = folder();
    for name in ["n".repeat(255), "ü".repeat(127)] {
        put(&place.with_file_name(&name), b"content").unwrap();
        assert!(names(&folder).contains(&name));
    }
}

#[test]
fn a_link_below_the_root_is_refused_and_one_on_the_way_to_it_is_followed() {
    let (_folder, place) = folder();
    let (real, way) = (place.with_file_name("real"), place.with_file_name("way"));
    fs::create_dir_all(real.join("sub")).unwrap();
    fs::write(real.join("sub/file"), "content").unwrap();
    symlink("real", &way).unwrap();
    symlink("sub", real.join("link")).unwrap();
    symlink("sub/file", real.join("own")).unwrap();
    let read = |below: &str| {
        let mut text = String::new();
        let (mut file, _) = Place::beneath(&way, Path::new(below))?.read()?;
        file.read_to_string(&mut text)?;
        Ok::<_, Fault>(text)
    };
    assert_eq!(read("sub/file").unwrap(), "content");
    for below in ["link/file", "own"] {
        assert!(matches!(read(below), Err(Fault::Link(_))), "{below}");
    }
    let at = Place::beneath(&way, Path::new("link/new")).map(drop);
    assert!(matches!(at, Err(Fault::Link(path)) if path.ends_with("way/link")));
}
