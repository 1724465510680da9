//! Patterns of the workspaces' directories, as npm, yarn and pnpm understand them: `apps/*`, `packages/**`, `{a,b}/*`, and
//! `!apps/old`. All limits are for a hostile repository: it must not keep the planner busy. Pure.

use crate::secret::excerpt;

/// Far more than a monorepo has, also after `{a,b}` became two patterns.
const MOST: usize = 200;
/// Of one pattern, in bytes.
const LONGEST: usize = 256;
/// Comparisons of one name with one part of a pattern, for all directories together.
const MOST_STEPS: u64 = 2_000_000;

/// All patterns, and how many steps are left.
#[derive(Debug)]
pub struct Patterns {
    wanted: Vec<Vec<String>>,
    excluded: Vec<Vec<String>>,
    steps: u64,
}

impl Patterns {
    /// What is not understood is left out, with a note.
    pub fn of(texts: impl Iterator<Item = String>, notes: &mut Vec<String>) -> Patterns {
        let mut patterns = Patterns { wanted: Vec::new(), excluded: Vec::new(), steps: MOST_STEPS };
        let mut unclear = Vec::new();
        for text in texts {
            if patterns.wanted.len() + patterns.excluded.len() >= MOST {
                notes.push(format!("of the patterns of workspaces only the first {MOST} are used"));
                break;
            }
            match expanded(text.trim()) {
                Some(all) => all.iter().take(MOST).for_each(|pattern| patterns.add(pattern)),
                None => unclear.push(text),
            }
        }
        if !unclear.is_empty() {
            let unclear = excerpt(&unclear.join(", "));
            notes.push(format!("a pattern of workspaces is not understood and not used: {unclear}"));
        }
        patterns
    }

    fn add(&mut self, pattern: &str) {
        let (list, pattern) = match pattern.strip_prefix('!') {
            Some(rest) => (&mut self.excluded, rest),
            None => (&mut self.wanted, pattern),
        };
        let parts = pattern.split('/').filter(|part| !matches!(*part, "" | "."));
        let mut parts: Vec<String> = parts.map(str::to_owned).collect();
        // `**/**` is `**`.
        parts.dedup_by(|a, b| a == "**" && b == "**");
        list.push(parts);
    }

    pub fn is_empty(&self) -> bool {
        self.wanted.is_empty()
    }

    /// Whether a directory was not compared with all patterns, because there were too many of both.
    pub fn is_exhausted(&self) -> bool {
        self.steps == 0
    }

    /// Whether a directory is that of a workspace.
    pub fn fit(&mut self, directory: &str) -> bool {
        let names: Vec<&str> = directory.split('/').collect();
        let steps = &mut self.steps;
        self.wanted.iter().any(|pattern| fits(&names, pattern, steps))
            && !self.excluded.iter().any(|pattern| fits(&names, pattern, steps))
            && *steps > 0
    }
}

/// `{a,b}/*` as two patterns. None for what a shell would do more with.
fn expanded(text: &str) -> Option<Vec<String>> {
    if text.is_empty() || text.len() > LONGEST || text.contains(['[', ']', '?', '(', ')', '\\']) {
        return None;
    }
    let mut all = vec![text.to_owned()];
    while let Some((_, rest)) = all[0].split_once('{') {
        // From the first brace on all have the same text.
        let (inner, _) = rest.split_once('}').filter(|(inner, _)| !inner.contains('{'))?;
        let choices: Vec<String> = inner.split(',').map(str::to_owned).collect();
        all = all.iter().flat_map(|pattern| with_each(pattern, &choices)).collect();
        if all.len() > MOST {
            return None;
        }
    }
    (!all.iter().any(|pattern| pattern.contains('}'))).then_some(all)
}

/// The pattern with each choice in the place of its first braces.
fn with_each(pattern: &str, choices: &[String]) -> Vec<String> {
    let Some((start, rest)) = pattern.split_once('{') else { return Vec::new() };
    let Some((_, end)) = rest.split_once('}') else { return Vec::new() };
    choices.iter().map(|choice| format!("{start}{choice}{end}")).collect()
}

/// `*` is any part of a name, `**` any number of directories. For each prefix of the pattern it is remembered which
/// prefixes of the directory fit: so many `**` take no longer than one.
fn fits(names: &[&str], pattern: &[String], steps: &mut u64) -> bool {
    let mut fitting = vec![false; names.len() + 1];
    fitting[0] = true;
    for part in pattern {
        let Some(left) = steps.checked_sub(names.len() as u64) else {
            *steps = 0;
            return false;
        };
        *steps = left;
        if part == "**" {
            for at in 1..=names.len() {
                fitting[at] |= fitting[at - 1];
            }
        } else {
            for at in (1..=names.len()).rev() {
                fitting[at] = fitting[at - 1] && is_name(names[at - 1], part);
            }
            fitting[0] = false;
        }
    }
    fitting[names.len()]
}

/// Each text between two `*` is looked for behind the one before: the first place is as good as any.
fn is_name(name: &str, part: &str) -> bool {
    let Some((start, rest)) = part.split_once('*') else { return name == part };
    let (between, end) = rest.rsplit_once('*').unwrap_or(("", rest));
    let Some(inner) = name.strip_prefix(start).and_then(|name| name.strip_suffix(end)) else { return false };
    let mut left = Some(inner);
    for text in between.split('*') {
        left = left.and_then(|left| Some(left.split_once(text)?.1));
    }
    left.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(texts: &[&str]) -> (Patterns, Vec<String>) {
        let mut notes = Vec::new();
        let patterns = Patterns::of(texts.iter().map(|text| (*text).to_owned()), &mut notes);
        (patterns, notes)
    }

    #[test]
    fn a_pattern_names_directories() {
        for (directory, patterns) in [
            ("apps/web", &["apps/*"][..]),
            ("apps/web", &["./apps/web/"]),
            ("packages/a/b", &["packages/**"]),
            ("packages", &["packages/**"]),
            ("packages/a/b/c", &["**/**/b/**"]),
            ("packages/ui-core", &["packages/ui-*"]),
            ("packages/ui-core-x", &["packages/*-core-*"]),
            ("libs/x", &["{apps,libs}/*"]),
            ("libs/y", &["{apps,libs}/{x,y}"]),
        ] {
            let (mut patterns, notes) = of(patterns);
            assert!(patterns.fit(directory) && notes.is_empty(), "{directory} {patterns:?} {notes:?}");
        }
        for (directory, patterns) in [
            ("apps/web/api", &["apps/*"][..]),
            ("apps/old", &["apps/*", "!apps/old"]),
            ("lib/web", &["apps/*"]),
            ("ui", &["*ui*ui*"]),
            ("packages/a/b", &["packages/**/c"]),
            ("other/x", &["{apps,libs}/*"]),
        ] {
            let (mut patterns, notes) = of(patterns);
            assert!(!patterns.fit(directory) && notes.is_empty(), "{directory} {patterns:?} {notes:?}");
        }
    }

    #[test]
    fn what_is_not_understood_is_noted() {
        let long = "a".repeat(300);
        let many = "{a,b}".repeat(20);
        for text in ["apps/[ab]", "apps/?", "apps/+(a|b)", "{a", "a}", "{a,{b,c}}", "", &long, &many] {
            let (patterns, notes) = of(&[text]);
            assert!(patterns.is_empty() && notes.len() == 1, "{text}: {patterns:?} {notes:?}");
        }
        let (patterns, notes) = of(&vec!["apps/*"; 50_000]);
        assert!(patterns.wanted.len() == MOST && notes.len() == 1, "{notes:?}");
    }

    /// By trying every way to divide a directory among so many `**`, this one would take longer than the universe lasts.
    #[test]
    fn the_steps_for_a_hostile_pattern_are_few_and_counted() {
        let pattern = format!("{}zzz", "**/a*/".repeat(40));
        let directory = "ab/".repeat(100) + "x";
        let (mut patterns, _) = of(&[&pattern]);
        assert!(!patterns.fit(&directory));
        assert!(MOST_STEPS - patterns.steps < 10_000, "{}", patterns.steps);
        let (mut patterns, _) = of(&vec![pattern.as_str(); MOST]);
        let fitting = (0..2_000).filter(|_| patterns.fit(&directory)).count();
        assert!(fitting == 0 && patterns.is_exhausted());
        assert!(!patterns.fit("ab/zzz"), "no directory is taken that was not compared with all patterns");
    }
}
