//! The package formats that are written.

/// The formats, as `only` and `formats` in a description call them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// Debian.
    Deb,
    /// Red Hat.
    Rpm,
    /// Alpine.
    Apk,
    /// OpenWrt: opkg's ipk, and the same content as an apk for OpenWrt's newer package manager.
    Ipk,
    /// Everybody else.
    Tarball,
}
