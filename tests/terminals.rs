//! Real terminals and real processes: what a session is given, how it ends, and that nothing of it
//! is left.
//!
//! All tests share one lock: they wait for children of the one test process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use nix::unistd::Pid;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{Signal, SignalKind, signal};
use towline_agent::process::Exit;
use towline_agent::process::ending::{Ending, Left};
use towline_agent::process::environment::Environment;
use towline_agent::process::family::{Family, Others};
use towline_agent::process::reap::{adopt_orphans, next_exit};
use towline_agent::process::spawn::{Child, Io, Plan, Program, Request, SpawnError};
use towline_agent::pty::{Size, foreground, resize};
use towline_agent::sys::account::{Account, own_name};
use towline_agent::sys::cgroup::{self, Cgroup, Entrances};
use towline_agent::sys::watch;

const PATIENCE: Duration = Duration::from_secs(120);
const SIZE: Size = Size { rows: 24, cols: 80 };
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
/// Set to anything, it lets tests pass that the machine has not the means for. Who sets it
/// reads their output.
const MAY_SKIP: &str = "TOWLINE_MAY_SKIP";
/// How soon a fact without an event is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// The session of this test process: others on the machine end theirs by the same kind of mark.
fn session() -> String {
    format!("test-{}", std::process::id())
}

/// False when the machine lacks `what` and the test may be skipped for it.
///
/// # Panics
/// It lacks it, and nobody said that this is all right.
#[track_caller]
fn machine_has(what: &str, has: bool) -> bool {
    assert!(
        has || std::env::var_os(MAY_SKIP).is_some(),
        "this test wants {what}; {MAY_SKIP}=1 lets it pass without"
    );
    if !has {
        eprintln!("skipped: no {what}");
    }
    has
}

/// One session under test, and the things the agent's loop would hold for it.
struct World {
    ends: Signal,
    child: Child,
    output: Option<AsyncFd<OwnedFd>>,
    seen: Vec<u8>,
    ended: Vec<(Pid, Exit)>,
}

fn story<F: AsyncFnOnce() -> ()>(tell: F) {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(PATIENCE, tell()).await.expect("the story takes too long")
    });
}

fn login(name: &str, program: &Program, terminal: Option<Size>, cgroup: Option<&Cgroup>) -> World {
    let entrances = cgroup.map(Cgroup::entrances);
    login_through(name, program, terminal, entrances.as_ref())
}

fn login_through(
    name: &str,
    program: &Program,
    terminal: Option<Size>,
    cgroups: Option<&Entrances>,
) -> World {
    let account = Account::find(name).unwrap();
    let environment = Environment::of_login(&account, &session(), terminal.is_some());
    let request = Request {
        account: &account,
        home_only: false,
        program,
        detached: false,
        terminal,
        environment: &environment,
        cgroups,
    };
    adopt_orphans();
    // Other threads of a test block nothing: the agent's own source would not hear of it.
    let ends = signal(SignalKind::child()).unwrap();
    let mut child = Plan::prepare(&request).unwrap().start().unwrap();
    let source = match &mut child.io {
        Io::Terminal(master) => master.try_clone().unwrap(),
        Io::Pipes { stdout, .. } => stdout.try_clone().unwrap(),
    };
    let output = Some(watch(source).unwrap());
    World { ends, child, output, seen: Vec::new(), ended: Vec::new() }
}

fn line(text: &str) -> Program {
    Program::Line(text.to_owned())
}

fn run(text: &str) -> World {
    login(&own_name(), &line(text), None, None)
}

fn terminal(text: &str) -> World {
    login(&own_name(), &line(text), Some(SIZE), None)
}

impl World {
    /// Reads on; false at the end of the output. A terminal without a session says EIO, which is
    /// its end.
    async fn read_more(&mut self) -> bool {
        let Some(output) = &self.output else { return false };
        let mut buffer = [0; 8192];
        loop {
            let mut ready = output.readable().await.unwrap();
            match ready.try_io(|fd| Ok(nix::unistd::read(fd.get_ref(), &mut buffer)?)) {
                Ok(Ok(0)) => return false,
                Ok(Err(error)) if error.raw_os_error() == Some(nix::libc::EIO) => return false,
                Ok(Ok(n)) => {
                    self.seen.extend_from_slice(&buffer[..n]);
                    return true;
                }
                Ok(Err(error)) => panic!("{error}"),
                Err(_not_ready) => {}
            }
        }
    }

    async fn until(&mut self, wanted: &str) -> String {
        while !self.text().contains(wanted) {
            assert!(
                self.read_more().await,
                "the output ended before {wanted:?}: {:?}",
                self.text()
            );
        }
        self.text()
    }

    async fn rest(&mut self) -> String {
        while self.read_more().await {}
        self.text()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.seen).into_owned()
    }

    fn write(&self, bytes: &str) {
        let end: &OwnedFd = match &self.child.io {
            Io::Terminal(master) => master,
            Io::Pipes { stdin, .. } => stdin,
        };
        File::from(end.try_clone().unwrap()).write_all(bytes.as_bytes()).unwrap();
    }

    /// Waits for some child to end, as the agent's loop does.
    async fn some_child_ended(&mut self) {
        self.ends.recv().await.unwrap();
        while let Some(exit) = next_exit() {
            self.ended.push(exit);
        }
    }

    async fn exit(&mut self) -> Exit {
        loop {
            if let Some((_, exit)) = self.ended.iter().find(|(pid, _)| *pid == self.child.pid) {
                return *exit;
            }
            while let Some(exit) = next_exit() {
                self.ended.push(exit);
            }
            if !self.ended.iter().any(|(pid, _)| *pid == self.child.pid) {
                self.some_child_ended().await;
            }
        }
    }

    async fn outcome(&self) -> Result<(), SpawnError> {
        let report = watch(self.child.report.as_fd().try_clone_to_owned().unwrap()).unwrap();
        loop {
            if let Some(outcome) = self.child.report.outcome() {
                return outcome;
            }
            report.readable().await.unwrap().clear_ready();
        }
    }

    /// Ends a family as the agent does.
    async fn end(&mut self, family: Family) {
        let mut ending = Ending::begin(family, &Others::default(), Instant::now());
        while ending.poke(&Others::default(), Instant::now()) == Left::Some {
            let deadline = ending.deadline().into();
            let _ = tokio::time::timeout_at(deadline, self.some_child_ended()).await;
        }
    }

    /// Hangs up on a family, and waits until it is gone by itself: for the ending no time passes,
    /// so it never kills.
    async fn end_without_a_kill(&mut self, family: Family) {
        let now = Instant::now();
        let mut ending = Ending::begin(family, &Others::default(), now);
        while ending.poke(&Others::default(), now) == Left::Some {
            let _ = tokio::time::timeout(LOOK_AGAIN, self.some_child_ended()).await;
        }
    }
}

#[test]
fn a_login_shell_has_a_dash_in_its_name_and_a_terminal_of_the_size_asked_for() {
    story(async || {
        let shell = Size { rows: 41, cols: 133 };
        let mut world = login(&own_name(), &Program::LoginShell, Some(shell), None);
        world.write("echo \"<$0|$(stty size)|$TERM>\"; exit 7\n");
        let text = world.rest().await;
        assert!(text.contains("|41 133|xterm-256color>"), "{text:?}");
        assert!(text.contains("<-"), "{text:?}");
        assert_eq!(world.exit().await, Exit::Code(7));
    });
}

#[test]
fn another_user_gets_its_ids_groups_home_and_terminal_and_nothing_of_root() {
    if !machine_has("root, to become somebody else", nix::unistd::geteuid().is_root()) {
        return;
    }
    story(async || {
        let Some(user) =
            ["postgres", "nobody"].into_iter().find(|name| Account::find(name).is_ok())
        else {
            panic!("this test wants a user besides root, such as nobody")
        };
        let account = Account::find(user).unwrap();
        let program = Program::Arguments(
            ["sh", "-c", "id -u; id -G; echo $HOME $USER $LOGNAME; stat -c %U $(tty); cat /proc/self/status; touch /x"]
                .map(String::from)
                .to_vec(),
        );
        let mut world = login(user, &program, Some(SIZE), None);
        let text = world.rest().await.replace('\r', "");
        let groups: Vec<_> = account.groups.iter().map(ToString::to_string).collect();
        let home = account.home.display();
        let start =
            format!("{}\n{}\n{home} {user} {user}\n{user}\n", account.uid, groups.join(" "));
        assert!(text.starts_with(&start), "{text:?} is not {start:?}");
        assert!(text.contains("CapEff:\t0000000000000000"), "{text}");
        assert_ne!(world.exit().await, Exit::Code(0), "root's directory was written");
    });
}

#[test]
fn a_session_inherits_three_descriptors_default_signals_and_an_empty_mask() {
    story(async || {
        let careless = File::open("/dev/null").unwrap();
        nix::fcntl::fcntl(&careless, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty()))
            .unwrap();
        // `ls` itself opens the directory as descriptor 3.
        let program = Program::Arguments(
            [
                "sh",
                "-c",
                "ls /proc/self/fd | tr '\\n' ' '; grep -E '^Sig(Blk|Ign)' /proc/self/status",
            ]
            .map(String::from)
            .to_vec(),
        );
        let mut world = login(&own_name(), &program, None, None);
        let text = world.rest().await;
        assert!(text.starts_with("0 1 2 3 SigBlk"), "{text:?}");
        assert!(text.contains("SigBlk:\t0000000000000000\n"), "{text:?}");
        let ignored = text
            .trim()
            .rsplit('\t')
            .next()
            .and_then(|mask| u64::from_str_radix(mask, 16).ok())
            .unwrap();
        let of_the_c_library = 0b11 << 31; // signals 32 and 33 cannot be set by programs
        assert_eq!(ignored & !of_the_c_library, 0, "{text:?}");
    });
}

#[test]
fn without_a_terminal_output_and_errors_come_apart_and_input_ends() {
    story(async || {
        let mut world = run("cat; echo error >&2; exit 3");
        world.write("through");
        world.child.io = match world.child.io {
            Io::Pipes { stdout, stderr, .. } => {
                Io::Pipes { stdin: File::open("/dev/null").unwrap().into(), stdout, stderr }
            }
            terminal @ Io::Terminal(_) => terminal,
        };
        assert_eq!(world.rest().await, "through");
        let Io::Pipes { stderr, .. } = &world.child.io else { panic!("asked for pipes") };
        world.output = Some(watch(stderr.try_clone().unwrap()).unwrap());
        world.seen.clear();
        assert_eq!(world.rest().await, "error\n");
        assert_eq!(world.exit().await, Exit::Code(3));
    });
}

#[test]
fn the_signal_that_killed_a_program_is_reported() {
    story(async || {
        let mut world = run("kill -TERM $$");
        assert_eq!(world.exit().await, Exit::Signal(15));
    });
}

#[test]
fn a_program_that_does_not_exist_is_told_by_name_and_reason() {
    story(async || {
        let program = Program::Arguments(vec!["/no/such/program".into()]);
        let mut world = login(&own_name(), &program, None, None);
        let error = world.outcome().await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot run /no/such/program: ENOENT: No such file or directory"
        );
        assert_eq!(world.exit().await, Exit::Code(127));
    });
}

#[test]
fn a_program_that_runs_is_told_too() {
    story(async || {
        let mut world = run("true");
        world.outcome().await.unwrap();
        assert_eq!(world.exit().await, Exit::Code(0));
    });
}

#[test]
fn a_home_that_is_missing_does_not_keep_anybody_out() {
    if !machine_has("root, to become somebody else", nix::unistd::geteuid().is_root()) {
        return;
    }
    story(async || {
        let account = Account::find("nobody").expect("this test wants the user nobody");
        if !machine_has("a user nobody without a home", !account.home.exists()) {
            return;
        }
        let program = Program::Arguments(vec!["pwd".into()]);
        let mut world = login("nobody", &program, None, None);
        assert_eq!(world.rest().await, "/\n");
        assert_eq!(world.exit().await, Exit::Code(0));
    });
}

#[test]
fn a_resize_reaches_the_program_in_front() {
    story(async || {
        let mut world =
            terminal("sleep 1000 & trap 'stty size; kill $!; exit 0' WINCH; echo ready; wait");
        world.until("ready").await;
        let Io::Terminal(master) = &world.child.io else { panic!("asked for a terminal") };
        resize(master.as_fd(), Size { rows: 50, cols: 200 }).unwrap();
        world.until("50 200").await;
        assert_eq!(world.exit().await, Exit::Code(0));
    });
}

#[test]
fn control_c_interrupts_the_program_in_front_and_utf8_is_erased_by_character() {
    story(async || {
        let mut world = terminal("echo ready; sleep 1000");
        world.until("ready").await;
        let Io::Terminal(master) = &world.child.io else { panic!("asked for a terminal") };
        assert!(foreground(master.as_fd()).is_ok());
        world.write("\x03");
        assert_eq!(world.exit().await, Exit::Signal(2));
        drop(world);

        let mut world = terminal("echo ready; read x; printf '<%s>' \"$x\"");
        world.until("ready").await;
        world.write("aé\x7f\n");
        world.until("<a>").await;
    });
}

#[test]
fn two_hundred_thousand_lines_arrive_whole_after_the_program_has_ended() {
    story(async || {
        let mut world = terminal("stty -opost; seq 200000");
        assert_eq!(world.exit_while_reading().await, Exit::Code(0));
        let expected: String = (1..=200_000).map(|n| format!("{n}\n")).collect();
        assert!(world.rest().await == expected);
    });
}

impl World {
    /// A terminal's buffer is small: somebody must read for a program to end.
    async fn exit_while_reading(&mut self) -> Exit {
        self.rest().await;
        self.exit().await
    }
}

/// How long the three leftovers sleep, seconds: no other process on the machine does exactly so.
fn naps() -> [String; 3] {
    [1_u64, 2, 3].map(|n| (u64::from(std::process::id()) * 10 + 1_000_000_000 + n).to_string())
}

/// What a hostile program leaves: a plain child, one that ignores the hang-up, a daemon that hides.
fn leftovers() -> String {
    let [plain, deaf, hidden] = naps();
    format!(
        "sleep {plain} & (trap '' HUP; sleep {deaf}) & (setsid setsid env -i /bin/sleep {hidden} \
         &) ; \
         echo ready; read x"
    )
}

fn is_running(nap: &str) -> bool {
    let entries = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    entries.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok()).any(|line| {
        line == format!("sleep\0{nap}\0").as_bytes()
            || line == format!("/bin/sleep\0{nap}\0").as_bytes()
    })
}

/// They are forked, but may still be on their way to `sleep`.
async fn all_leftovers_run() {
    while !naps().iter().all(|nap| is_running(nap)) {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

#[track_caller]
fn nothing_is_left() {
    for nap in naps() {
        assert!(!is_running(&nap), "sleep {nap} was left behind");
    }
}

#[test]
fn the_end_of_a_session_leaves_no_process_with_cgroups() {
    let (home, _) = cgroup::Home::find(None);
    machine_has("a cgroup v2 hierarchy in which it may make directories", home.is_some());
    let Some(home) = home else { return };
    story(async || {
        let cgroup = home.make("test-end").unwrap();
        let mut world = login(&own_name(), &line(&leftovers()), Some(SIZE), Some(&cgroup));
        world.until("ready").await;
        all_leftovers_run().await;
        world.write("\n");
        assert_eq!(world.exit().await, Exit::Code(0));
        world.end(Family::Cgroup(cgroup)).await;
        nothing_is_left();
        assert!(home.make("test-end").unwrap().remove().is_ok(), "the directory was left");
    });
}

/// Whether a session's first process is in its cgroup, by its own word, and in the one with its
/// limit.
fn is_in_its_cgroups(name: &str, without: fn(&mut Entrances)) -> bool {
    let (home, _) = cgroup::Home::find(Some(12));
    let cgroup = home.unwrap().make(name).unwrap();
    let mut entrances = cgroup.entrances();
    without(&mut entrances);
    let hierarchies = 1 + usize::from(entrances.limit.is_some());
    let mut inside = false;
    story(async || {
        let program = line("cat /proc/self/cgroup; echo over; read x");
        let mut world = login_through(&own_name(), &program, Some(SIZE), Some(&entrances));
        world.until("over").await;
        inside = world.text().matches(name).count() == hierarchies;
        world.write("\n");
        world.exit().await;
        world.end(Family::Cgroup(cgroup)).await;
    });
    inside
}

#[test]
fn a_session_is_born_in_its_cgroup_and_moves_there_on_older_kernels() {
    let (home, _) = cgroup::Home::find(None);
    machine_has("a cgroup v2 hierarchy in which it may make directories", home.is_some());
    if home.is_none() {
        return;
    }
    assert!(is_in_its_cgroups("test-any", |_| ()));
    assert!(is_in_its_cgroups("test-moves", |ways| ways.directory = None), "it did not move");
    assert!(!is_in_its_cgroups("test-stays", |ways| {
        (ways.directory, ways.processes) = (None, None);
    }));
    // Linux 5.7, and no emulation of another processor.
    let born = is_in_its_cgroups("test-born", |ways| ways.processes = None);
    machine_has("a kernel that has a process born in a cgroup", born);
}

#[test]
fn a_session_that_forks_for_ever_comes_to_its_limit_and_its_end_leaves_nothing() {
    let home = cgroup::Home::find(Some(12)).0.filter(cgroup::Home::limits_processes);
    machine_has("a cgroup in which the number of processes can be limited", home.is_some());
    let Some(home) = home else { return };
    story(async || {
        let cgroup = home.make("test-forks").unwrap();
        let [nap, ..] = naps();
        // As many as it gets; a shell that gets no more reports the number.
        let forks = format!(
            "i=0; while [ $i -lt 100 ]; do (exec sleep {nap}) & i=$((i+1)); echo \"made $i\"; done"
        );
        let mut world = login(
            &own_name(),
            &line(&format!("({forks}) 2>&1; echo over; read x")),
            Some(SIZE),
            Some(&cgroup),
        );
        world.until("over").await;
        let made = world.text().matches("made ").count();
        // The shell, the subshell, and the terminal's own reader of it count too.
        assert!((1..12).contains(&made), "{made} of 100 processes: {}", world.text());
        world.write("\n");
        assert_eq!(world.exit().await, Exit::Code(0));
        world.end(Family::Cgroup(cgroup)).await;
        nothing_is_left();
        assert!(home.make("test-forks").unwrap().remove().is_ok(), "a directory was left");
    });
}

#[test]
fn the_end_of_a_session_leaves_no_process_without_cgroups() {
    story(async || {
        let mut world = terminal(&leftovers());
        world.until("ready").await;
        all_leftovers_run().await;
        world.write("\n");
        assert_eq!(world.exit().await, Exit::Code(0));
        let pid = world.child.pid;
        world.end(Family::marked(pid, &session())).await;
        nothing_is_left();
    });
}

#[test]
fn who_obeys_the_hang_up_is_not_waited_for() {
    story(async || {
        let [nap, ..] = naps();
        // Ready when the sleeper is one: a hang-up between the fork and its own program would be
        // lost with the shell's trap.
        let asleep = "until read name < /proc/$!/comm && [ \"$name\" = sleep ]; do :; done";
        let mut world = terminal(&format!(
            "trap 'echo obeyed; exit 0' HUP; sleep {nap} & {asleep}; echo ready; wait"
        ));
        world.until("ready").await;
        let family = Family::marked(world.child.pid, &session());
        world.end_without_a_kill(family).await;
        assert_eq!(world.exit().await, Exit::Code(0));
        assert!(world.rest().await.contains("obeyed"));
        nothing_is_left();
    });
}
