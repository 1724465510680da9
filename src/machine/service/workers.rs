//! Workers of a service that end again and again while its main process lives. gunicorn replaces a worker for ever whose
//! application ends itself while it is imported (`sys.exit` for a missing variable), and systemd sees nothing of it. Reads
//! only.

use std::collections::BTreeSet;

use crate::machine::process::cgroup;
use crate::machine::process::units::UnitState;

/// The workers seen so far, and how many of them are gone.
#[derive(Default)]
pub struct Workers {
    main_pid: u32,
    alive: BTreeSet<u32>,
    ended: u32,
}

impl Workers {
    /// Looks once. Another main process has other workers: the count begins anew.
    pub fn look(&mut self, state: &UnitState) {
        if self.main_pid != state.main_pid {
            *self = Workers { main_pid: state.main_pid, ..Workers::default() };
        }
        let main = cgroup::arguments(state.main_pid);
        let alive: BTreeSet<u32> = cgroup::processes(&state.cgroup)
            .into_iter()
            .filter(|pid| cgroup::family(*pid).is_some_and(|family| family.parent == state.main_pid))
            .filter(|pid| is_worker(&main, &cgroup::arguments(*pid)))
            .collect();
        self.replace(alive);
    }

    fn replace(&mut self, alive: BTreeSet<u32>) {
        let gone = self.alive.difference(&alive).count();
        self.ended = self.ended.saturating_add(u32::try_from(gone).unwrap_or(u32::MAX));
        self.alive = alive;
    }

    pub fn ended(&self) -> u32 {
        self.ended
    }
}

/// A process that forked and runs no other program has the arguments of its parent. With setproctitle both have a title
/// in their place: `gunicorn: master [app:app]`.
fn is_worker(main: &[String], other: &[String]) -> bool {
    let title = |arguments: &[String]| {
        let first = arguments.first()?.split(' ').next()?;
        first.ends_with(':').then(|| first.to_owned())
    };
    !main.is_empty() && (main == other || (title(main).is_some() && title(main) == title(other)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn a_worker_has_the_arguments_or_the_title_of_its_main_process() {
        let main = words("/x/.venv/bin/python3 /x/.venv/bin/gunicorn app:app");
        assert!(is_worker(&main, &main));
        assert!(!is_worker(&main, &words("/x/.venv/bin/python3 convert.py")));
        assert!(!is_worker(&main, &[]) && !is_worker(&[], &[]));
        let titled = |title: &str| vec![title.to_owned()];
        assert!(is_worker(&titled("gunicorn: master [app:app]"), &titled("gunicorn: worker [app:app]")));
        assert!(!is_worker(&titled("gunicorn: master [app:app]"), &titled("postgres: writer")));
        assert!(!is_worker(&titled("node server.js"), &titled("node other.js")));
    }

    #[test]
    fn workers_that_are_gone_are_counted() {
        let mut workers = Workers::default();
        for alive in [vec![20, 21], vec![20, 22], vec![], vec![23]] {
            workers.replace(alive.into_iter().collect());
        }
        assert_eq!(workers.ended(), 3);
        workers.look(&UnitState { main_pid: 17, ..UnitState::default() });
        assert_eq!(workers.ended(), 0, "another main process");
    }
}
