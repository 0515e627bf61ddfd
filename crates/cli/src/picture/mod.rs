//! A picture of a terminal, as SVG.
//!
//! Data flow: output of a recording -> [`Screen`] ([`screen`]) -> runs of cells with the same style
//! -> [`draw`] ([`svg`]), with colours from the [`palette`].

mod palette;
mod screen;
mod svg;

pub(crate) use screen::Screen;
pub(crate) use svg::draw;
