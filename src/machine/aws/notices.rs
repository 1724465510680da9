//! Reads the Spot interruption notice of IMDS. Asks nothing.

use aws_smithy_types::date_time::{DateTime, Format};
use serde::Deserialize;

use crate::facts::Spot;

/// `{"action": "terminate", "time": "2017-09-18T08:22:00Z"}`.
#[derive(Deserialize)]
struct Notice {
    action: Option<String>,
    time: Option<String>,
}

/// A notice that cannot be read announces an interruption, too, at an unknown time. `action: none` announces nothing.
pub fn spot(text: &str) -> Option<Spot> {
    let Notice { action, time } = serde_json::from_str(text).unwrap_or(Notice { action: None, time: None });
    let word = |action: &String| action.len() <= 20 && action.bytes().all(|byte| byte.is_ascii_lowercase());
    let action = action.filter(word).unwrap_or_else(|| "interrupt".to_owned());
    let at = time.and_then(|time| DateTime::from_str(&time, Format::DateTime).ok());
    let at = at.and_then(|at| at.secs().try_into().ok());
    (action != "none").then_some(Spot { action, at })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_has_an_action_and_a_time() {
        let notice = spot(r#"{"action": "terminate", "time": "2017-09-18T08:22:00Z"}"#).unwrap();
        assert_eq!(notice, Spot { action: "terminate".into(), at: Some(1_505_722_920) });
        assert_eq!(spot(r#"{"action": "none"}"#), None);
    }

    #[test]
    fn a_notice_that_cannot_be_read_counts() {
        for text in ["", "<html>", "{}", r#"{"action": 7}"#, r#"{"action":"\u001b[31m","time":"soon"}"#] {
            assert_eq!(spot(text), Some(Spot { action: "interrupt".into(), at: None }), "{text}");
        }
    }
}
