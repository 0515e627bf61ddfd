//! Hostile text wherever the API, the agent and the command line take it, and each page of the
//! console that shows it.
//!
//! Data flow: `story_hostile.js` gives names, reasons, commands and files; what only the command
//! line gives is done here -> each page in Chromium.

use towline_testkit::lab::programs::workspace;
use towline_testkit::lab::{DeviceSetup, Lab};
use towline_testkit::{Outcome, Trouble};

use super::{browser, perform, serve_console_at};

/// A name that steers a page or a terminal, if one lets it.
const NAME: &str = "<img src=x onerror=window.pwned=1>\"'<script>x</script>";

#[test]
fn hostile_text_is_text_on_every_page() -> Outcome {
    let mut lab = Lab::start()?;
    let origin = format!("https://{}", lab.gateway.address());
    serve_console_at(&mut lab, &origin)?;
    let device =
        lab.device_with(&DeviceSetup { name: Some(NAME.into()), ..DeviceSetup::default() })?;
    let shared = lab.directory().join("shared");
    std::fs::create_dir_all(&shared)?;
    let mut command = browser(&lab)?;
    command.arg(workspace().join("tests/e2e/console/story_hostile.js"));
    command.env("TOWLINE_ORIGIN", &origin).env("TOWLINE_DEVICE", device.id());
    command.env("TOWLINE_SHARED", &shared);
    let admin = lab.admin();
    perform(command, |what| match what.split_once(' ') {
        Some(("message", session)) => admin.text(&["message", session, NAME]).map(drop),
        _ => Err(Trouble::new(format!("the browser asks for {what}"))),
    })
}
