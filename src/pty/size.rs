//! The size of a terminal.

/// Size of a terminal in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Lines; 0 is taken as 24.
    pub rows: u16,
    /// Columns; 0 is taken as 80.
    pub cols: u16,
}

impl Size {
    /// The size as the kernel wants it. Zero would make full-screen programs divide by it.
    pub(crate) fn to_kernel(self) -> nix::pty::Winsize {
        let or = |value, fallback| if value == 0 { fallback } else { value };
        nix::pty::Winsize {
            ws_row: or(self.rows, 24),
            ws_col: or(self.cols, 80),
            ws_xpixel: 0,
            ws_ypixel: 0,
        }
    }
}
