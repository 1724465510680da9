//! What is kept of the last words of whoever failed: few lines, short ones, and no secret in them.

use crate::error::Error;
use crate::secret::{Redaction, cut};

const MOST_LINES: usize = 21;
const MOST_BYTES: usize = 4 << 10;
const LONGEST_LINE: usize = 400;

/// Without a redaction nobody knows what must not be seen, and nothing is shown.
pub fn fit_to_be_seen(error: Error, redaction: Option<&Redaction>) -> Error {
    let Some(redaction) = redaction else { return error.saying(Vec::new()) };
    let lines = error.output().iter().map(|line| cut(redaction.hide(line), LONGEST_LINE)).collect();
    error.with_causes(|cause| redaction.hide(cause)).saying(last(lines))
}

/// The last ones: what ends a program is said at its end.
fn last(lines: Vec<String>) -> Vec<String> {
    let mut left = MOST_BYTES;
    let fits = |line: &&String| {
        let fits = line.len() <= left;
        left = left.saturating_sub(line.len());
        fits
    };
    let mut kept: Vec<String> = lines.iter().rev().take(MOST_LINES).take_while(fits).cloned().collect();
    kept.reverse();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;
    use crate::secret::Secret;

    fn seen(lines: &[&str]) -> Vec<String> {
        let token = Secret::new("hunter2-hunter2");
        let redaction = Redaction::new([("TOKEN", &token)]);
        let lines = lines.iter().map(|line| (*line).to_owned()).collect();
        let error = Error::new(Code::ServiceExited, "waiting", "it said hunter2-hunter2").saying(lines);
        let error = fit_to_be_seen(error, Some(&redaction));
        assert_eq!(error.report().causes, ["it said [TOKEN]"]);
        error.report().output
    }

    #[test]
    fn secrets_are_taken_out_before_lines_are_shortened() {
        let around = format!("{}hunter2-hunter2", "x".repeat(LONGEST_LINE - 5));
        assert_eq!(seen(&["token hunter2-hunter2"]), ["token [TOKEN]"]);
        let cut = &seen(&[&around])[0];
        assert!(!cut.contains("hunt") && cut.len() < LONGEST_LINE + 10, "{cut}");
    }

    #[test]
    fn the_last_lines_are_kept_within_bounds() {
        let many: Vec<String> = (0..100).map(|n| format!("line {n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let kept = seen(&many);
        assert_eq!((kept.len(), kept.last().map(String::as_str)), (MOST_LINES, Some("line 99")));
        let long = "y".repeat(390);
        assert!(seen(&[long.as_str(); 30]).iter().map(String::len).sum::<usize>() <= MOST_BYTES);
    }

    #[test]
    fn what_cannot_be_judged_is_not_shown() {
        let error = Error::new(Code::ServiceExited, "waiting", "it ended").saying(vec!["old secret".into()]);
        assert!(fit_to_be_seen(error, None).report().output.is_empty());
    }
}
