//! The timeline of the last run as text and as a picture: what came before bootagent, its reads and steps, and the moment
//! in which the service was in service. Pure.

use crate::facts::BootTimes;
use crate::plan::Mark;
use crate::report::status::Status;

/// Shorter work is not shown, only counted. In seconds.
const SHORTEST: f64 = 0.01;
/// Columns of a bar.
const WIDTH: f64 = 40.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Before bootagent began.
    Before,
    Run,
}

struct Row {
    name: String,
    kind: Kind,
    /// Seconds since the origin.
    began: f64,
    seconds: f64,
}

/// What is shown. All times are seconds since the origin.
pub struct Timings {
    /// What the origin is.
    since: &'static str,
    rows: Vec<Row>,
    hidden: usize,
    agent_began: f64,
    ended: f64,
    is_in_service: bool,
}

impl Timings {
    /// `None` if the record of the run has no times, as one of an older bootagent.
    pub fn of(run: &Status, boot: Option<&BootTimes>) -> Option<Timings> {
        let agent = run.timeline.began;
        let last = run.timeline.spans.iter().map(|span| span.began + span.seconds).reduce(f64::max)?;
        // A run that was started after the boot has nothing to do with what the boot took.
        let boot = boot.filter(|boot| boot.finished.is_none_or(|finished| agent <= finished));
        let origin = boot.map_or(agent, |boot| boot.start);
        let mut rows = boot.map(|boot| before(boot, agent)).unwrap_or_default();
        let mut spans: Vec<_> = run.timeline.spans.iter().collect();
        spans.sort_by(|a, b| a.began.total_cmp(&b.began));
        let (shown, hidden): (Vec<_>, Vec<_>) = spans.into_iter().partition(|span| span.seconds >= SHORTEST);
        rows.extend(shown.into_iter().map(|span| Row {
            name: span.id.clone(),
            kind: Kind::Run,
            began: span.began,
            seconds: span.seconds,
        }));
        rows.iter_mut().for_each(|row| row.began -= origin);
        let passed =
            run.steps.iter().rev().find(|step| step.mark == Some(Mark::Passed) && step.outcome.is_done());
        let passed = passed.and_then(|step| run.timeline.spans.iter().rev().find(|span| span.id == step.id));
        Some(Timings {
            since: if boot.is_some() { "the kernel started" } else { "the run began" },
            rows,
            hidden: hidden.len(),
            agent_began: agent - origin,
            ended: passed.map_or(last, |span| span.began + span.seconds) - origin,
            is_in_service: passed.is_some(),
        })
    }

    pub fn text(&self) -> String {
        let mut text = format!("seconds since {}\n", self.since);
        let scale = WIDTH / self.end().max(SHORTEST);
        for row in &self.rows {
            let at = (row.began.max(0.0) * scale).floor() as usize;
            let long = ((row.seconds * scale).round() as usize).max(1);
            let bar = format!("{}{}", " ".repeat(at), mark(row.kind).repeat(long));
            text.push_str(&format!(
                "  {:8.2} {:8.2}  {:22} {}\n",
                row.began,
                row.seconds,
                row.name,
                bar.trim_end()
            ));
        }
        if self.hidden > 0 {
            text.push_str(&format!("  {} more reads and steps, each below {SHORTEST} s\n", self.hidden));
        }
        text + &self.summary() + "\n"
    }

    /// An SVG picture with one bar for each row.
    pub fn svg(&self) -> String {
        const ROW: usize = 18;
        const LEFT: f64 = 190.0;
        const WIDE: f64 = 620.0;
        let height = (self.rows.len() + 2) * ROW + 12;
        let scale = WIDE / self.end().max(SHORTEST);
        let mut body = String::new();
        for (index, row) in self.rows.iter().enumerate() {
            let y = (index + 1) * ROW;
            let (x, wide) = (LEFT + row.began.max(0.0) * scale, (row.seconds * scale).max(1.0));
            let fill = if row.kind == Kind::Before { "#9aa5b1" } else { "#2563eb" };
            let base = y + ROW - 6;
            let (name, seconds, end) = (escaped(&row.name), row.seconds, x + wide + 4.0);
            body.push_str(&format!(
                "<text x=\"{:.0}\" y=\"{base}\" text-anchor=\"end\">{name}</text>\
                 <rect x=\"{x:.1}\" y=\"{y}\" width=\"{wide:.1}\" height=\"{}\" fill=\"{fill}\"/>\
                 <text x=\"{end:.1}\" y=\"{base}\">{seconds:.2}</text>\n",
                LEFT - 6.0,
                ROW - 4,
            ));
        }
        let (title, last) = (escaped(&self.summary()), (self.rows.len() + 2) * ROW);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"900\" height=\"{height}\" \
             font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"900\" height=\"{height}\" fill=\"#ffffff\"/>\n{body}\
             <text x=\"10\" y=\"{last}\">{title}</text>\n</svg>\n"
        )
    }

    fn end(&self) -> f64 {
        self.rows.iter().map(|row| row.began + row.seconds).fold(self.ended, f64::max)
    }

    fn summary(&self) -> String {
        let (ended, before) = (self.ended, self.agent_began);
        let what = if self.is_in_service { "in service" } else { "the run ended" };
        if before <= 0.0 {
            return format!("{what} after {ended:.2} s");
        }
        let share = before / ended.max(SHORTEST) * 100.0;
        let own = ended - before;
        format!(
            "{what} after {ended:.2} s: {before:.2} s before bootagent ({share:.0} %), {own:.2} s in its run"
        )
    }
}

/// The boot until bootagent began.
fn before(boot: &BootTimes, agent: f64) -> Vec<Row> {
    let network = boot.network.filter(|network| *network < agent);
    let marks = [
        ("kernel", boot.start, boot.userspace),
        ("systemd", boot.userspace, network.unwrap_or(agent)),
        ("after the network", network.unwrap_or(agent), agent),
    ];
    let row = |(name, began, ended): (&str, f64, f64)| Row {
        name: name.to_owned(),
        kind: Kind::Before,
        began,
        seconds: ended - began,
    };
    marks.into_iter().map(row).filter(|row| row.seconds >= SHORTEST).collect()
}

fn mark(kind: Kind) -> &'static str {
    match kind {
        Kind::Before => ".",
        Kind::Run => "#",
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::status::{Outcome, StepReport};
    use crate::report::timeline::{Span, Timeline};

    fn run() -> Status {
        let mut status = Status::booting(17, "boot".into(), "run".into());
        let span = |id: &str, began, seconds| Span { id: id.to_owned(), began, seconds };
        let spans = vec![
            span("fetch", 3.5, 0.5),
            span("secret", 3.2, 0.3),
            span("unit", 4.0, 0.001),
            span("health-check", 4.0, 6.0),
        ];
        status.timeline = Timeline { began: 3.0, spans };
        let mut step = StepReport::started("health-check", "why", Some(Mark::Passed), 0);
        step.ended(Outcome::Changed, std::time::Duration::from_secs(6), None);
        status.steps.push(step);
        status
    }

    fn boot(finished: Option<f64>) -> BootTimes {
        BootTimes { start: 0.0, userspace: 1.0, network: Some(2.5), finished }
    }

    #[test]
    fn a_boot_is_shown_from_the_kernel_to_the_service() {
        let text = Timings::of(&run(), Some(&boot(None))).unwrap().text();
        let names: Vec<&str> = text.lines().filter_map(|line| line.get(21..43)).map(str::trim).collect();
        for name in ["kernel", "systemd", "after the network", "secret", "fetch", "health-check"] {
            assert!(names.contains(&name), "{name}: {text}");
        }
        assert!(text.find("secret") < text.find("fetch"), "{text}");
        assert!(text.contains("1 more reads and steps"), "{text}");
        let end = "in service after 10.00 s: 3.00 s before bootagent (30 %), 7.00 s in its run\n";
        assert!(text.ends_with(end), "{text}");
    }

    #[test]
    fn a_run_by_hand_is_shown_alone() {
        let text = Timings::of(&run(), Some(&boot(Some(2.9)))).unwrap().text();
        assert!(text.starts_with("seconds since the run began\n") && !text.contains("kernel"), "{text}");
        assert!(text.ends_with("in service after 7.00 s\n"), "{text}");
        let mut failed = run();
        failed.steps.clear();
        let text = Timings::of(&failed, None).unwrap().text();
        assert!(text.ends_with("the run ended after 7.00 s\n"), "{text}");
        failed.timeline = Timeline::default();
        assert!(Timings::of(&failed, None).is_none());
    }

    #[test]
    fn the_picture_is_well_formed_whatever_a_step_is_called() {
        let mut run = run();
        run.timeline.spans[0].id = "<a&b>".to_owned();
        let svg = Timings::of(&run, Some(&boot(None))).unwrap().svg();
        assert!(svg.contains("&lt;a&amp;b&gt;") && svg.ends_with("</svg>\n"), "{svg}");
        assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
    }
}
