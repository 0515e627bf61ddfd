//! Red Hat's format, written by the `rpm` crate: no rpmbuild is needed, so any machine can make it.

use ::rpm::{BuildConfig, CompressionType, FileOptions, PackageBuilder};
use towline_testkit::Outcome;

use super::Content;

/// A package for rpm's name of an architecture.
///
/// # Errors
/// What the format does not allow.
pub(crate) fn write(content: &Content, architecture: &str) -> Outcome<Vec<u8>> {
    let time = u32::try_from(content.time)?;
    let mut package = PackageBuilder::new(
        &content.name,
        &content.version,
        &content.license,
        architecture,
        &content.summary,
    );
    package.using_config(
        BuildConfig::default()
            .compression(CompressionType::Gzip)
            .source_date(time)
            .reserved_space(None),
    );
    package
        .release("1")
        .description(&content.description)
        .url(&content.homepage)
        .vendor(&content.maintainer);
    // Not the name of the machine that builds.
    package.build_host("localhost");
    for entry in &content.entries {
        let mode = u16::try_from(entry.mode)?;
        match &entry.bytes {
            Some(bytes) => {
                let mut options = FileOptions::new(&entry.path).permissions(mode);
                if entry.config {
                    options = options.config().noreplace();
                }
                package.with_file_contents(bytes.clone(), options)?;
            }
            None => {
                package.with_dir_entry(FileOptions::dir(&entry.path).permissions(mode))?;
            }
        }
    }
    if let Some(script) = content.scripts.get("post") {
        package.post_install_script(script.as_str());
    }
    if let Some(script) = content.scripts.get("preun") {
        package.pre_uninstall_script(script.as_str());
    }
    let mut bytes = Vec::new();
    package.build()?.write(&mut bytes)?;
    Ok(bytes)
}
