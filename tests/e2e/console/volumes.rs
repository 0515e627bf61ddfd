//! A large file on the screen of a terminal of the console. `live` has the paste of 100,000 lines.
//!
//! `TOWLINE_VOLUME_MB` says how large the file is; 64 MB unless it is set.

use towline_testkit::lab::Lab;
use towline_testkit::lab::programs::workspace;
use towline_testkit::{Outcome, Trouble};

use super::{browser, perform, serve_console_at};

#[test]
fn a_large_file_on_the_screen_is_interrupted_at_once() -> Outcome {
    let mut lab = Lab::start()?;
    let origin = format!("https://{}", lab.gateway.address());
    serve_console_at(&mut lab, &origin)?;
    let device = lab.device()?;
    let shared = lab.directory().join("shared");
    std::fs::create_dir_all(&shared)?;
    let mut command = browser(&lab)?;
    command.arg(workspace().join("tests/e2e/console/story_volumes.js"));
    command.env("TOWLINE_ORIGIN", &origin).env("TOWLINE_DEVICE", device.id());
    command.env("TOWLINE_SHARED", &shared);
    perform(command, |what| Err(Trouble::new(format!("the browser asks for {what}"))))
}
