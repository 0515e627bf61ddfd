//! How much the log says about failures of strangers.

use std::sync::Mutex;

use towline_host::clock::UnixMillis;

use crate::limits;

/// How many lines about failures of strangers the log gets: what one peer can cause must not fill
/// a disk.
#[derive(Debug)]
pub struct LogBudget {
    /// When it began, and its lines.
    window: Mutex<(UnixMillis, u32)>,
}

impl Default for LogBudget {
    fn default() -> Self {
        Self { window: Mutex::new((UnixMillis(0), 0)) }
    }
}

impl LogBudget {
    /// Whether a line may be written now. When a window is over, says how many were left out.
    pub fn admits(&self, now: UnixMillis) -> bool {
        let mut window = self.window.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (began, lines) = *window;
        if now < began || now >= began.plus(limits::FAILURE_WINDOW) {
            let left_out = lines.saturating_sub(limits::FAILURE_LINES);
            if left_out > 0 {
                tracing::warn!(left_out, "lines about failures of strangers were left out");
            }
            *window = (now, 0);
        }
        window.1 = window.1.saturating_add(1);
        window.1 <= limits::FAILURE_LINES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_000_000);

    #[test]
    fn the_log_gets_a_bounded_number_of_lines_in_each_window() {
        let budget = LogBudget::default();
        let written = (0..1000).filter(|_| budget.admits(NOW)).count();
        assert_eq!(written, limits::FAILURE_LINES as usize);
        assert!(budget.admits(NOW.plus(limits::FAILURE_WINDOW)));
    }
}
