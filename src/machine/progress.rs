//! Progress messages and notes of a running step. Code deep in the step reports them to a task-local listener, so that
//! no function between needs an argument for it. Messages may quote foreign text, which the listener redacts: all users
//! can read them in the status.

use std::sync::{Arc, Mutex, PoisonError};

use crate::secret::{ForeignText, Message, Redaction};

tokio::task_local! {
    static LISTENER: ProgressText;
}

/// Receives what a future reports: keeps the last progress message and all notes.
#[derive(Clone, Debug, Default)]
pub struct ProgressText {
    last: Arc<Mutex<Option<String>>>,
    /// What an operator should know after the step.
    notes: Arc<Mutex<Vec<String>>>,
    /// `None`: the values to hide are not known, so foreign text is not shown.
    redaction: Option<Redaction>,
}

impl ProgressText {
    pub fn new(redaction: Option<&Redaction>) -> Self {
        ProgressText { redaction: redaction.cloned(), ..ProgressText::default() }
    }

    /// Runs `work` and receives what it reports.
    pub async fn hear<T>(&self, work: impl Future<Output = T>) -> T {
        LISTENER.scope(self.clone(), work).await
    }

    /// The last progress message.
    pub fn last(&self) -> Option<String> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn notes(&self) -> Vec<String> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn receive(&self, what: &Message) {
        let shown = self.redaction.as_ref().map_or_else(|| what.own(), |redaction| what.shown(redaction));
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(shown);
    }
}

/// Reports what the step waits for, to the listener of this future if there is one.
pub fn say(what: impl Into<Message>) {
    let _ = LISTENER.try_with(|listener| listener.receive(&what.into()));
}

/// Writes lines of a program to the journal, each behind `prefix`. Nothing is written where the values to hide are not
/// known.
pub fn log(prefix: &str, lines: &[ForeignText]) {
    let _ = LISTENER.try_with(|listener| {
        let Some(redaction) = &listener.redaction else { return };
        for line in lines {
            tracing::info!("{prefix}{}", line.shown(redaction));
        }
    });
}

/// Reports what an operator should know after the step. A note is not redacted: it must not quote foreign text.
pub fn note(what: String) {
    let _ = LISTENER
        .try_with(|listener| listener.notes.lock().unwrap_or_else(PoisonError::into_inner).push(what));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[tokio::test]
    async fn each_listener_receives_its_own_messages() {
        let (one, other) = (ProgressText::default(), ProgressText::default());
        let talk = async |word: &str| {
            say(format!("{word} 1"));
            tokio::task::yield_now().await;
            say(format!("{word} 2"));
        };
        tokio::join!(one.hear(talk("one")), other.hear(talk("other")));
        assert_eq!((one.last().as_deref(), other.last().as_deref()), (Some("one 2"), Some("other 2")));
        say("without a listener");
    }

    #[tokio::test]
    async fn a_quotation_is_redacted_when_it_is_received() {
        let token = Secret::new("hunter2-hunter2");
        let known = Redaction::new([("TOKEN", &token)]);
        for (redaction, shown) in [
            (Some(&known), "try 2: no [TOKEN]"),
            (Some(&Redaction::default()), "try 2: no hunter2-hunter2"),
            (None, "try 2: [not shown]"),
        ] {
            let progress = ProgressText::new(redaction);
            let quoting = Message::from("try 2: ").and(ForeignText::line("no hunter2-hunter2"));
            progress.hear(async { say(quoting) }).await;
            assert_eq!(progress.last().as_deref(), Some(shown));
        }
    }
}
