//! The ongoing work of a run: since when, its last progress text, and when it is reported.

use std::time::{Duration, Instant};

use crate::machine::progress::ProgressText;

use super::status::Waiting;

/// Shorter work is not shown: a line that changes faster cannot be read.
const SHOWN_AFTER: Duration = Duration::from_secs(1);
/// When the first line about ongoing work is logged. Each further one follows after three times the time, so that long
/// work does not fill the log.
const FIRST_LINE: Duration = Duration::from_secs(5);

#[derive(Default)]
pub struct Ongoing {
    items: Vec<Item>,
    next: u64,
}

struct Item {
    key: u64,
    id: String,
    what: String,
    since: Instant,
    /// Seconds since 1970.
    started: u64,
    progress: ProgressText,
    next_line: Duration,
}

impl Item {
    fn waiting(&self) -> Waiting {
        let said = self.progress.last();
        Waiting { id: self.id.clone(), what: self.what.clone(), since: self.started, said }
    }

    fn words(&self, now: Instant) -> String {
        self.waiting().words(now.saturating_duration_since(self.since).as_secs())
    }
}

impl Ongoing {
    /// Adds ongoing work. Returns the key for `end`, and the receiver of its progress texts.
    pub fn begin(
        &mut self,
        id: &str,
        what: &str,
        progress: ProgressText,
        since: Instant,
        started: u64,
    ) -> (u64, ProgressText) {
        self.next += 1;
        let key = self.next;
        self.items.push(Item {
            key,
            id: id.to_owned(),
            what: what.to_owned(),
            since,
            started,
            progress: progress.clone(),
            next_line: FIRST_LINE,
        });
        (key, progress)
    }

    /// Removes ended work. Returns its id and beginning.
    pub fn end(&mut self, key: u64) -> Option<(String, Instant)> {
        let at = self.items.iter().position(|item| item.key == key)?;
        let item = self.items.remove(at);
        Some((item.id, item.since))
    }

    pub fn waiting(&self) -> Vec<Waiting> {
        self.items.iter().map(Item::waiting).collect()
    }

    /// The last progress text of the work with this id.
    pub fn said(&self, id: &str) -> Option<String> {
        self.items.iter().rev().find(|item| item.id == id)?.progress.last()
    }

    /// A line for each ongoing work.
    pub fn words(&self, now: Instant) -> Vec<String> {
        self.items.iter().map(|item| item.words(now)).collect()
    }

    /// Lines for the work whose next line is due.
    pub fn lines(&mut self, now: Instant) -> Vec<String> {
        let mut lines = Vec::new();
        for item in &mut self.items {
            let lasts = now.saturating_duration_since(item.since);
            if lasts >= item.next_line {
                item.next_line *= 3;
                lines.push(item.words(now));
            }
        }
        lines
    }
}

/// All ongoing work in one line, the longest first.
pub fn line(waiting: &[Waiting], now: u64) -> Option<String> {
    let lasts = |item: &Waiting| now.saturating_sub(item.since);
    let shown: Vec<&Waiting> = waiting.iter().filter(|item| lasts(item) >= SHOWN_AFTER.as_secs()).collect();
    let each = |item: &&Waiting| match (shown.len(), &item.said) {
        (1, Some(said)) => format!("{} {} s: {said}", item.id, lasts(item)),
        (1, None) => format!("{} {} s: {}", item.id, lasts(item), item.what),
        _ => format!("{} {} s", item.id, lasts(item)),
    };
    (!shown.is_empty()).then(|| shown.iter().map(each).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(id: &str, since: u64, said: Option<&str>) -> Waiting {
        Waiting { id: id.into(), what: "run npm ci".into(), since, said: said.map(str::to_owned) }
    }

    #[tokio::test]
    async fn lines_are_few_and_ever_further_apart() {
        let start = Instant::now();
        let mut ongoing = Ongoing::default();
        let (key, progress) = ongoing.begin("install", "run npm ci", ProgressText::new(None), start, 0);
        progress.hear(async { crate::machine::progress::say("try 2") }).await;
        let seconds: Vec<u64> = (0..900)
            .filter(|second| !ongoing.lines(start + Duration::from_secs(*second)).is_empty())
            .collect();
        assert_eq!(seconds, [5, 15, 45, 135, 405]);
        assert_eq!(
            ongoing.lines(start + Duration::from_secs(1215)),
            ["install: run npm ci, for 1215 s: try 2"]
        );
        assert_eq!((ongoing.said("install").as_deref(), ongoing.said("fetch")), (Some("try 2"), None));
        assert_eq!(ongoing.words(start + Duration::from_secs(7)), ["install: run npm ci, for 7 s: try 2"]);
        ongoing.end(key);
        assert!(ongoing.words(start).is_empty() && ongoing.said("install").is_none());
        assert!(ongoing.lines(start + Duration::from_secs(9999)).is_empty() && ongoing.waiting().is_empty());
    }

    #[test]
    fn short_work_is_not_shown_and_parallel_work_is_shown_together() {
        assert_eq!(line(&[waiting("a", 100, None)], 100), None);
        assert_eq!(line(&[], 100), None);
        assert_eq!(line(&[waiting("a", 100, None)], 102).unwrap(), "a 2 s: run npm ci");
        assert_eq!(line(&[waiting("a", 100, Some("try 2"))], 102).unwrap(), "a 2 s: try 2");
        let both =
            [waiting("fetch", 95, Some("try 2")), waiting("secret", 98, None), waiting("c", 100, None)];
        assert_eq!(line(&both, 100).unwrap(), "fetch 5 s, secret 2 s");
        // The clock was set back.
        assert_eq!(line(&[waiting("a", 200, None)], 100), None);
    }
}
