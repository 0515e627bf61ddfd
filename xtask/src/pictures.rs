//! `cargo xtask pictures`: pictures of the console's main pages, for `docs/console.md`.
//!
//! Data flow: a gateway and two agents -> `tests/e2e/console/pictures.js` in Chromium ->
//! `docs/pictures/*.png`.
//!
//! # Invariants
//! - A picture is small: who clones the tree gets all of them.

use towline_testkit::browser::{browser, perform, serve_console_at};
use towline_testkit::lab::programs::workspace;
use towline_testkit::lab::{DeviceSetup, Lab};
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble};

use crate::{console, programs, setup};

/// Largest picture, bytes.
const MOST: u64 = 64_000;

/// Takes them.
///
/// # Errors
/// A page does not come up, or a picture is too large.
pub(crate) fn command() -> Outcome {
    setup::programs(setup::FOR_TESTS)?;
    programs::demo()?;
    let mut lab = Lab::start()?;
    let origin = format!("https://{}", lab.gateway.address());
    serve_console_at(&mut lab, &origin)?;
    let named = |name: &str, class: &str| DeviceSetup {
        name: Some(name.into()),
        tags: vec![("site".into(), "seoul".into()), ("class".into(), class.into())],
        ..DeviceSetup::default()
    };
    let door = lab.device_with(&named("door", "access"))?;
    let gate = lab.device_with(&named("gate", "camera"))?;
    let folder = workspace().join("docs/pictures");
    std::fs::create_dir_all(&folder)?;
    let mut story = browser(&lab, &setup::node_modules()?)?;
    story.arg(workspace().join("tests/e2e/console/pictures.js"));
    story.env("TOWLINE_ORIGIN", &origin).env("TOWLINE_PICTURES", &folder);
    story.env("TOWLINE_DEVICE", door.id()).env("TOWLINE_OTHER", gate.id());
    perform(story, |what| Err(Trouble::new(format!("the browser asks for {what}"))))?;
    for entry in std::fs::read_dir(&folder)? {
        let entry = entry?;
        let (name, bytes) = (entry.file_name().display().to_string(), entry.metadata()?.len());
        console::step(&format!("docs/pictures/{name}: {bytes} bytes"));
        ensure(bytes <= MOST, || format!("{name} has {bytes} bytes, at most {MOST} are allowed"))?;
    }
    Ok(())
}
