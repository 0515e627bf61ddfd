//! Packages: deb, rpm, apk, ipk and a tarball, from one description for each program
//! (`packaging/*.toml`).

mod apk;
pub(crate) mod archive;
mod deb;
mod description;
mod format;
pub(crate) mod ipk;
mod made;
mod pack;
pub(crate) mod rooted;
mod rpm;
mod tarball;
mod yocto;

pub(crate) use description::{Content, Description, Entry};
pub(crate) use format::Format;
pub(crate) use pack::{all, deb_of_agent, folder, version};
