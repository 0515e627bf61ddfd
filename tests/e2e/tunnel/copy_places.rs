//! What stands at the place of a copy: links, nodes, streams, files that are there already.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use towline_testkit::lab::{Device, Lab, Operator};
use towline_testkit::mount::Mount;
use towline_testkit::process::Running;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, eventually, files};

use super::{PATIENCE, pattern};

struct Scene {
    lab: Lab,
    device: Device,
}

impl Scene {
    fn new() -> Outcome<Self> {
        Ok(Self::prepared(|_| Ok(()))?.0)
    }

    /// With what is made before the device starts: it does not see later mounts.
    fn prepared<T>(prepare: impl FnOnce(&Path) -> Outcome<T>) -> Outcome<(Self, T)> {
        let lab = Lab::start()?;
        let prepared = prepare(lab.directory())?;
        let device = lab.device()?;
        Ok((Self { lab, device }, prepared))
    }

    /// A path without links, for this machine is the device as well.
    fn at(&self, name: &str) -> PathBuf {
        let directory = self.lab.directory();
        directory.canonicalize().unwrap_or_else(|_| directory.to_owned()).join(name)
    }

    fn here(&self, name: &str) -> String {
        self.at(name).display().to_string()
    }

    fn there(&self, name: &str) -> String {
        format!("{}:{}", self.device.id(), self.here(name))
    }

    fn cp(&self, words: &[&str]) -> Outcome<Output> {
        self.cp_as(&self.lab.admin(), words)
    }

    fn cp_as(&self, operator: &Operator, words: &[&str]) -> Outcome<Output> {
        operator.run(&[&["cp"], words].concat())
    }

    fn well(&self, words: &[&str]) -> Outcome {
        let out = self.cp(words)?;
        ensure(out.status.success(), || format!("cp {words:?}: {out:?}"))
    }

    fn refused(&self, words: &[&str], code: i32, word: &str) -> Outcome {
        let out = self.cp(words)?;
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        ensure(out.status.code() == Some(code) && said.contains(word), || {
            format!("cp {words:?}: {out:?}")
        })
    }

    /// A line for a shell in which `$CP` copies.
    fn shell(&self, line: &str) -> Outcome<Output> {
        let mut command = self.lab.admin().equip(Command::new("bash"));
        command.env("CP", format!("{} cp", self.lab.programs.cli.display()));
        Ok(command.args(["-c", line]).stdin(Stdio::null()).output()?)
    }
}

/// Here the operator's machine is the device as well.
#[test]
fn a_directory_is_copied_into_itself_once() -> Outcome {
    let scene = Scene::new()?;
    for (number, below) in ["new", "there", "."].into_iter().enumerate() {
        for to_device in [true, false] {
            let source = scene.at(&format!("tree-{number}-{to_device}"));
            fs::create_dir_all(source.join("there"))?;
            files::write(&source.join("file"), "content")?;
            let here = source.display().to_string();
            let there = format!("{}:{here}", scene.device.id());
            let target = |root: &str| match below {
                "." => root.to_owned(),
                below => format!("{root}/{below}"),
            };
            let out = match to_device {
                true => scene.cp(&["-r", &here, &target(&there)])?,
                false => scene.cp(&["-r", &there, &target(&here)])?,
            };
            let name = source.file_name().unwrap_or_default();
            let made = match below {
                "new" => source.join("new"),
                below => source.join(below).join(name),
            };
            ensure(made.join("file").is_file(), || format!("{below} {to_device}: {out:?}"))?;
            let again = [made.join("new"), made.join("there").join(name), made.join(name)];
            let copied = again.iter().find(|again| again.join("file").exists());
            ensure(copied.is_none(), || format!("{below} {to_device}: {copied:?}: {out:?}"))?;
            let names: Vec<_> = fs::read_dir(&made)?.flatten().map(|e| e.file_name()).collect();
            let hidden = names.iter().find(|name| name.to_string_lossy().starts_with('.'));
            ensure(hidden.is_none(), || format!("{below} {to_device}: {names:?}"))?;
        }
    }
    Ok(())
}

fn reads(path: &Path, content: &str) -> Outcome {
    let found = String::from_utf8_lossy(&fs::read(path)?).into_owned();
    ensure(found == content, || format!("{}: {found:?}", path.display()))
}

fn mode(path: &Path) -> Outcome<u32> {
    Ok(fs::metadata(path)?.permissions().mode() & 0o7777)
}

#[test]
fn a_link_is_refused_in_words_and_followed_only_when_asked() -> Outcome {
    let scene = Scene::new()?;
    files::write(&scene.at("secret"), "old")?;
    files::write(&scene.at("new"), "new")?;
    fs::create_dir(scene.at("open"))?;
    symlink("../secret", scene.at("open/link"))?;
    symlink("open", scene.at("way"))?;
    files::write(&scene.at("open/plain"), "plain")?;
    let new = scene.here("new");
    for link in ["open/link", "way/plain", "way/other"] {
        scene.refused(&[&new, &scene.there(link)], 250, "--follow")?;
        scene.refused(&[&scene.there(link), &scene.here("got")], 250, "--follow")?;
    }
    reads(&scene.at("secret"), "old")?;
    ensure(!scene.at("got").exists(), || "a link was followed".into())?;
    // Here as well.
    symlink("secret", scene.at("own"))?;
    scene.refused(&[&scene.there("new"), &scene.here("own")], 249, "--follow")?;
    reads(&scene.at("secret"), "old")?;
    scene.well(&["--follow", &new, &scene.there("open/link")])?;
    reads(&scene.at("secret"), "new")?;
    scene.well(&["--follow", &scene.there("way/plain"), &scene.here("own")])?;
    reads(&scene.at("secret"), "plain")?;
    for link in ["own", "open/link", "way"] {
        ensure(fs::symlink_metadata(scene.at(link))?.is_symlink(), || format!("{link} is none"))?;
    }
    let trail = scene.lab.admin().text(&["-o", "json", "audit"])?;
    ensure(trail.contains("followsLinks"), || trail)
}

#[test]
fn a_policy_decides_whether_links_are_followed() -> Outcome {
    let scene = Scene::new()?;
    files::write(&scene.at("plain"), "plain")?;
    let policy = format!(
        r#"{{"Version":"2012-10-17","Statement":[
        {{"Effect":"Allow","Action":["ssm:StartSession","ssm:TerminateSession"],"Resource":"*",
          "Condition":{{"StringLike":{{"towline:DocumentParameter/path":"{}/*"}},
                        "StringEquals":{{"towline:DocumentParameter/follow":"false"}}}}}}]}}"#,
        scene.here("").trim_end_matches('/')
    );
    let ann = scene.lab.user("ann", Some(&policy))?;
    // A policy that speaks of paths alone does not let links lead away from them.
    let follow = r#",
                        "StringEquals":{"towline:DocumentParameter/follow":"false"}"#;
    let paths_alone = policy.replace(follow, "");
    ensure(paths_alone != policy, || "the policies are the same".into())?;
    let ben = scene.lab.user("ben", Some(&paths_alone))?;
    let out = scene.cp_as(&ben, &["--follow", &scene.there("plain"), &scene.here("got")])?;
    ensure(out.status.code() == Some(254), || format!("{out:?}"))?;
    let (from, to) = (scene.there("plain"), scene.here("got"));
    let out = scene.cp_as(&ann, &["--follow", &from, &to])?;
    ensure(out.status.code() == Some(254), || format!("follow is a right of its own: {out:?}"))?;
    let out = scene.cp_as(&ann, &[&from, &to])?;
    ensure(out.status.success(), || format!("{out:?}"))
}

#[test]
fn nodes_stay_what_they_are_on_both_sides() -> Outcome {
    let scene = Scene::new()?;
    files::write(&scene.at("new"), "new")?;
    let (new, there) = (scene.here("new"), scene.there("new"));
    let null = |path: &str| Command::new("mknod").args([path, "c", "1", "3"]).status();
    // Only root can make one.
    if null(&scene.here("null"))?.success() {
        scene.well(&[&new, &scene.there("null")])?;
        scene.well(&[&there, &scene.here("null")])?;
        ensure(fs::metadata(scene.at("null"))?.file_type().is_char_device(), || {
            "a file took the place of a device node".into()
        })?;
    }
    let out = scene.shell(&format!(
        "mkfifo {fifo}; cat {fifo} > {one} & while ! $CP {new} {to}; do :; done; wait; \
         cat {fifo} > {two} & while ! $CP {there} {fifo}; do :; done; wait; test -p {fifo}",
        fifo = scene.here("fifo"),
        to = scene.there("fifo"),
        one = scene.here("one"),
        two = scene.here("two"),
    ))?;
    ensure(out.status.success(), || format!("{out:?}"))?;
    reads(&scene.at("one"), "new")?;
    reads(&scene.at("two"), "new")?;
    let _listener = std::os::unix::net::UnixListener::bind(scene.at("socket"))?;
    scene.refused(&[&new, &scene.there("socket")], 250, "socket")?;
    scene.refused(&[&there, &scene.here("socket")], 249, "socket")?;
    scene.refused(&[&scene.there("fifo"), &scene.here("x")], 250, "not a file or directory")?;
    ensure(fs::metadata(scene.at("socket"))?.file_type().is_socket(), || "no socket".into())
}

#[test]
fn an_existing_file_keeps_mode_owner_and_names_on_both_sides() -> Outcome {
    let scene = Scene::new()?;
    files::write(&scene.at("new"), "new")?;
    fs::set_permissions(scene.at("new"), fs::Permissions::from_mode(0o755))?;
    for (name, words) in [
        ("put", [scene.here("new"), scene.there("put")]),
        ("get", [scene.there("new"), scene.here("get")]),
    ] {
        let path = scene.at(name);
        files::write(&path, "a secret")?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        // Only root can give a file away.
        let given = std::os::unix::fs::chown(&path, Some(65_534), Some(65_534)).is_ok();
        scene.well(&[&words[0], &words[1]])?;
        reads(&path, "new")?;
        ensure(mode(&path)? == 0o600, || format!("{name} lost its mode"))?;
        ensure(!given || fs::metadata(&path)?.uid() == 65_534, || {
            format!("{name} lost its owner")
        })?;
        let second = scene.at(&format!("{name}-second"));
        fs::hard_link(&path, &second)?;
        fs::File::options().append(true).open(&path)?.set_len(100)?;
        scene.well(&[&words[0], &words[1]])?;
        reads(&second, "new")?;
    }
    Ok(())
}

#[test]
fn the_umask_holds_for_what_is_made() -> Outcome {
    let scene = Scene::new()?;
    fs::create_dir(scene.at("tree"))?;
    files::write(&scene.at("tree/file"), "content")?;
    for (path, mode) in [("tree", 0o777), ("tree/file", 0o666)] {
        fs::set_permissions(scene.at(path), fs::Permissions::from_mode(mode))?;
    }
    let out = scene.shell(&format!(
        "umask 077; $CP -r {} {} && $CP -r {} {}",
        scene.here("tree"),
        scene.there("put"),
        scene.there("tree"),
        scene.here("get")
    ))?;
    ensure(out.status.success(), || format!("{out:?}"))?;
    for side in ["put", "get"] {
        let modes = (mode(&scene.at(side))?, mode(&scene.at(&format!("{side}/file")))?);
        ensure(modes == (0o700, 0o600), || format!("{side}: {:o} {:o}", modes.0, modes.1))?;
    }
    Ok(())
}

#[test]
fn streams_are_sources_and_destinations() -> Outcome {
    let scene = Scene::new()?;
    files::write(&scene.at("new"), "new")?;
    for (n, line) in [
        "$CP <(printf stream) TO",
        "printf stream | $CP /dev/stdin TO",
        "mkfifo DIR/pipe; (sleep 1; printf stream > DIR/pipe) & $CP DIR/pipe TO",
    ]
    .into_iter()
    .enumerate()
    {
        let to = format!("stream-{n}");
        let line = line.replace("TO", &scene.there(&to)).replace("DIR/", &scene.here(""));
        let out = scene.shell(&line)?;
        ensure(out.status.success(), || format!("{line}: {out:?}"))?;
        reads(&scene.at(&to), "stream")?;
    }
    scene.refused(&["/dev/null", &scene.there("")], 249, "name the file")?;
    let stdout = fs::symlink_metadata("/dev/stdout")?;
    for (line, copied) in [
        ("$CP FROM /dev/stdout", "new"),
        ("$CP FROM /dev/fd/1 | cat", "new"),
        ("(printf 'a '; $CP FROM /dev/stdout) > OUT; cat OUT", "a new"),
        ("$CP FROM >(cat > OUT); while ! test -s OUT; do :; done; cat OUT", "new"),
    ] {
        let line = line.replace("FROM", &scene.there("new")).replace("OUT", &scene.here("out"));
        let _ = fs::remove_file(scene.at("out"));
        let out = scene.shell(&line)?;
        ensure(out.status.success() && out.stdout == copied.as_bytes(), || {
            format!("{line}: {out:?}")
        })?;
    }
    ensure(fs::symlink_metadata("/dev/stdout")?.ino() == stdout.ino(), || {
        "/dev/stdout was replaced".into()
    })
}

#[test]
fn copies_into_one_name_at_once_give_one_of_them() -> Outcome {
    const SIZE: usize = 3_000_000;
    let scene = Scene::new()?;
    let contents = [pattern(31, SIZE), pattern(32, SIZE)];
    for (n, content) in contents.iter().enumerate() {
        files::write(&scene.at(&format!("from-{n}")), content)?;
    }
    for (to, words) in [
        ("get", |scene: &Scene, n: usize| [scene.there(&format!("from-{n}")), scene.here("get")]),
        ("put", |scene: &Scene, n: usize| [scene.here(&format!("from-{n}")), scene.there("put")]),
    ] as [(&str, fn(&Scene, usize) -> [String; 2]); 2]
    {
        let mut copies = Vec::new();
        for n in [0, 1, 0, 1] {
            let [from, to] = words(&scene, n);
            let words = ["cp", &from, &to];
            copies.push(scene.lab.admin().towline(&words).stdin(Stdio::null()).spawn()?);
        }
        for mut copy in copies {
            ensure(copy.wait()?.success(), || "a copy failed".into())?;
        }
        let found = fs::read(scene.at(to))?;
        ensure(contents.contains(&found), || format!("{to}: a mixture"))?;
    }
    let left = fs::read_dir(scene.lab.directory())?.flatten();
    let parts: Vec<_> =
        left.map(|e| e.file_name()).filter(|n| n.to_string_lossy().ends_with(".part")).collect();
    ensure(parts.is_empty(), || format!("{parts:?}"))
}

#[test]
fn room_is_asked_for_before_content_is_sent() -> Outcome {
    let scene = Scene::new()?;
    // Sparse: more than any disk has.
    fs::File::create(scene.at("huge"))?.set_len(1 << 42)?;
    scene.refused(&[&scene.there("huge"), &scene.here("got")], 249, "not enough space")?;
    let left = fs::read_dir(scene.lab.directory())?.flatten();
    let parts = left.filter(|e| e.file_name().to_string_lossy().ends_with(".part")).count();
    ensure(parts == 0, || "a partial file is left".into())
}

#[test]
fn a_directory_is_copied_behind_what_cannot_be_read() -> Outcome {
    let scene = Scene::new()?;
    fs::create_dir_all(scene.at("tree/c"))?;
    for name in ["tree/a", "tree/c/z"] {
        files::write(&scene.at(name), "content")?;
    }
    // Reading it fails for root as well.
    symlink("/proc/self/mem", scene.at("tree/b"))?;
    symlink("..", scene.at("tree/c/loop"))?;
    symlink("nowhere", scene.at("tree/c/lost"))?;
    for (from, to, side) in [
        (scene.here("tree"), scene.there("put"), "put"),
        (scene.there("tree"), scene.here("get"), "get"),
    ] {
        let out = scene.cp(&["-r", "--follow", &from, &to])?;
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        ensure(out.status.code() == Some(249) && said.contains("3 entries"), || {
            format!("{side}: {out:?}")
        })?;
        for name in ["a", "c/z"] {
            reads(&scene.at(&format!("{side}/{name}")), "content")?;
        }
        ensure(!scene.at(&format!("{side}/c/loop/c")).exists(), || "in circles".into())?;
    }
    Ok(())
}

#[test]
fn a_tilde_and_a_slash_are_the_home() -> Outcome {
    let scene = Scene::new()?;
    let name = format!(".towline-test-{}", std::process::id());
    files::write(&scene.at(&name), "home")?;
    for home in ["~/", "~", ""] {
        scene.well(&[&scene.here(&name), &format!("{}:{home}", scene.device.id())])?;
        let got = scene.here("got");
        scene.well(&[&format!("{}:~/{name}", scene.device.id()), &got])?;
        reads(&scene.at("got"), "home")?;
        let remove = format!("rm ~/{name}");
        let out = scene.lab.admin().run(&["exec", scene.device.id(), "--", "sh", "-c", &remove])?;
        ensure(out.status.success(), || format!("{home:?}: {out:?}"))?;
    }
    Ok(())
}

#[test]
fn a_mount_point_is_written_and_stays_one() -> Outcome {
    let names = [("behind-0", "mounted-0"), ("behind-1", "mounted-1")];
    let (scene, _mounts) = Scene::prepared(|directory| {
        let mount = |(behind, at): &(&str, &str)| {
            files::write(&directory.join(behind), "a longer content than the new one")?;
            files::write(&directory.join(at), "")?;
            let behind = directory.join(behind).display().to_string();
            Mount::new(&["--bind", &behind], directory.join(at))
        };
        names.iter().map(mount).collect::<Outcome<Vec<_>>>()
    })?;
    files::write(&scene.at("new"), "new")?;
    scene.well(&[&scene.here("new"), &scene.there("mounted-0")])?;
    scene.well(&[&scene.there("new"), &scene.here("mounted-1")])?;
    reads(&scene.at("behind-0"), "new")?;
    reads(&scene.at("behind-1"), "new")
}

#[test]
fn a_full_disk_is_reported_and_no_partial_file_is_left_on_it() -> Outcome {
    let (scene, _mount) =
        Scene::prepared(|directory| Mount::small_disk(directory.join("small"), 1 << 20))?;
    files::write(&scene.at("large"), pattern(33, 3_000_000))?;
    let (here, there) = (scene.here("large"), scene.there("large"));
    scene.refused(&[&here, &scene.there("small/x")], 250, "not enough space")?;
    scene.refused(&[&there, &scene.here("small/x")], 249, "not enough space")?;
    // Of a stream nobody knows the size before.
    let out = scene.shell(&format!("cat {here} | $CP /dev/stdin {}", scene.there("small/x")))?;
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    ensure(
        out.status.code() == Some(250) && said.contains("the partial file was removed"),
        || format!("{out:?}"),
    )?;
    let left: Vec<_> = fs::read_dir(scene.at("small"))?.flatten().map(|e| e.file_name()).collect();
    ensure(left.is_empty(), || format!("{left:?}"))
}

/// Starts a copy, and waits until a partial file stands in `directory`.
fn begun(scene: &Scene, words: &[&str], directory: &Path) -> Outcome<Child> {
    let mut command = scene.lab.admin().towline(&[&["cp"], words].concat());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let child = command.spawn()?;
    eventually("the first file is on its way", PATIENCE, || {
        let mut names = fs::read_dir(directory).ok()?.flatten().map(|entry| entry.file_name());
        names.any(|name| name.to_string_lossy().starts_with('.')).then_some(())
    })?;
    Ok(child)
}

#[test]
fn a_link_that_is_put_into_a_tree_while_it_is_copied_is_not_followed() -> Outcome {
    let scene = Scene::new()?;
    files::write(&scene.at("secret"), "of another user")?;
    fs::create_dir_all(scene.at("outside"))?;
    files::write(&scene.at("outside/z"), "of another user")?;
    let tree = |name: &str| -> Outcome {
        fs::create_dir_all(scene.at(name).join("sub"))?;
        files::write(&scene.at(name).join("sub/a"), pattern(7, 64 << 20))?;
        files::write(&scene.at(name).join("sub/y"), "plain")?;
        files::write(&scene.at(name).join("sub/z"), "plain")
    };
    tree("up")?;
    fs::create_dir(scene.at("there"))?;
    let words = ["-r", &scene.here("up"), &scene.there("there")];
    let child = begun(&scene, &words, &scene.at("there/up/sub"))?;
    fs::remove_file(scene.at("up/sub/y"))?;
    symlink(scene.at("secret"), scene.at("up/sub/y"))?;
    let out = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    ensure(!out.status.success() && said.contains("symbolic link"), || said)?;
    ensure(!scene.at("there/up/sub/y").exists(), || "a link was followed up".into())?;
    reads(&scene.at("there/up/sub/z"), "plain")?;

    tree("down")?;
    fs::create_dir(scene.at("here"))?;
    let words = ["-r", &scene.there("down"), &scene.here("here")];
    let child = begun(&scene, &words, &scene.at("here/down/sub"))?;
    fs::rename(scene.at("here/down/sub"), scene.at("here/down/moved"))?;
    symlink(scene.at("outside"), scene.at("here/down/sub"))?;
    let out = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    ensure(!out.status.success() && said.contains("symbolic link"), || said)?;
    reads(&scene.at("outside/z"), "of another user")?;
    ensure(!scene.at("outside/y").exists(), || "a link was followed down".into())
}

#[test]
fn a_destination_that_ends_with_a_slash_is_a_directory_or_refused() -> Outcome {
    let scene = Scene::new()?;
    files::write(&scene.at("file"), "content")?;
    let (here, there) = (scene.here("file"), scene.there("file"));
    for name in ["missing/", "file/"] {
        scene.refused(&[&here, &scene.there(name)], 250, "not a directory")?;
        scene.refused(&[&there, &scene.here(name)], 249, "not a directory")?;
    }
    ensure(!scene.at("missing").exists(), || "a file was made".into())?;
    reads(&scene.at("file"), "content")?;
    fs::create_dir(scene.at("up"))?;
    fs::create_dir(scene.at("down"))?;
    scene.well(&[&here, &scene.there("up/")])?;
    scene.well(&[&there, &scene.here("down/")])?;
    reads(&scene.at("up/file"), "content")?;
    reads(&scene.at("down/file"), "content")
}

#[test]
fn a_file_that_grows_without_end_is_copied_as_it_was_at_the_beginning() -> Outcome {
    let scene = Scene::new()?;
    let mut grows = Command::new("sh");
    grows.args(["-c", "while :; do head -c 4000000 /dev/zero; done >> \"$0\""]);
    grows.arg(scene.at("log")).stdin(Stdio::null());
    let mut grows = Running::start("a writer", grows, &scene.at("writer.log"))?;
    let size = |name: &str| fs::metadata(scene.at(name)).map_or(0, |file| file.len());
    eventually("there is content", PATIENCE, || (size("log") > 1_000_000).then_some(()))?;
    scene.well(&[&scene.here("log"), &scene.there("up")])?;
    scene.well(&[&scene.there("log"), &scene.here("down")])?;
    grows.kill()?;
    for name in ["up", "down"] {
        ensure(size(name) > 1_000_000 && size(name) < size("log"), || {
            format!("{name}: {} of {} bytes", size(name), size("log"))
        })?;
    }
    Ok(())
}

#[test]
fn a_file_that_becomes_shorter_while_it_is_copied_is_no_copy() -> Outcome {
    let scene = Scene::new()?;
    // More than what may be under way: its end is not read before somebody takes its beginning.
    let whole = 64 << 20;
    fs::File::create(scene.at("log"))?.set_len(whole)?;
    let mut cp = scene.lab.admin().towline(&["cp", &scene.there("log"), "/dev/stdout"]);
    cp.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut cp = cp.spawn()?;
    let mut out = cp.stdout.take().ok_or_else(|| Trouble::new("no output"))?;
    out.read_exact(&mut [0])?;
    fs::File::options().write(true).open(scene.at("log"))?.set_len(1)?;
    let rest = std::io::copy(&mut out, &mut std::io::sink())?;
    let out = cp.wait_with_output()?;
    let said = String::from_utf8_lossy(&out.stderr);
    ensure(rest < whole && !out.status.success(), || format!("{rest} bytes: {out:?}"))?;
    ensure(said.contains("it became shorter while it was copied"), || said.into_owned())
}
