//! Tells the agent when and for what it was built. The time is the floor of the device's clock when
//! certificates are checked, so a device that believes in 1970 can still tell that a certificate is
//! valid.

use std::time::{SystemTime, UNIX_EPOCH};

fn main() {
    println!("cargo:rerun-if-env-changed=SOURCE_DATE_EPOCH");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=Cargo.toml");
    // Reproducible builds set the variable; others take the clock of the machine that builds.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let time =
        std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|text| text.parse().ok()).unwrap_or(now);
    println!("cargo:rustc-env=TOWLINE_BUILD_TIME={time}");
    println!("cargo:rustc-env=TOWLINE_TARGET={}", std::env::var("TARGET").unwrap_or_default());
}
