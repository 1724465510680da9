//! Progress of what is waited for. A caller listens for as long as a future runs, so that its messages need not be passed
//! through all functions between. They may quote foreign text: the listener redacts it, and keeps only what every user may read.

use std::sync::{Arc, Mutex, PoisonError};

use crate::secret::{Message, Redaction};

tokio::task_local! {
    static HEARD: ProgressText;
}

/// The last that was said within a future.
#[derive(Clone, Debug, Default)]
pub struct ProgressText {
    last: Arc<Mutex<Option<String>>>,
    /// What stays to be known when it is over.
    notes: Arc<Mutex<Vec<String>>>,
    /// Without one, others' words are not shown.
    redaction: Option<Redaction>,
}

impl ProgressText {
    pub fn new(redaction: Option<&Redaction>) -> Self {
        ProgressText { redaction: redaction.cloned(), ..ProgressText::default() }
    }

    /// Carries the work out and hears what it says.
    pub async fn hear<T>(&self, work: impl Future<Output = T>) -> T {
        HEARD.scope(self.clone(), work).await
    }

    pub fn last(&self) -> Option<String> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn notes(&self) -> Vec<String> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep(&self, what: &Message) {
        let shown = self.redaction.as_ref().map_or_else(|| what.own(), |redaction| what.shown(redaction));
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(shown);
    }
}

/// Says what is being waited for, to the listener of this future if there is one.
pub fn say(what: impl Into<Message>) {
    let _ = HEARD.try_with(|said| said.keep(&what.into()));
}

/// Tells what an operator should know of it afterwards, in words of ours.
pub fn note(what: String) {
    let _ = HEARD.try_with(|said| said.notes.lock().unwrap_or_else(PoisonError::into_inner).push(what));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::{ForeignText, Secret};

    #[tokio::test]
    async fn each_hears_its_own() {
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
    async fn what_is_quoted_is_hidden_before_anybody_hears_it() {
        let token = Secret::new("hunter2-hunter2");
        let known = Redaction::new([("TOKEN", &token)]);
        for (redaction, heard) in [
            (Some(&known), "try 2: no [TOKEN]"),
            (Some(&Redaction::default()), "try 2: no hunter2-hunter2"),
            (None, "try 2: [not shown]"),
        ] {
            let said = ProgressText::new(redaction);
            let quoting = Message::from("try 2: ").and(ForeignText::line("no hunter2-hunter2"));
            said.hear(async { say(quoting) }).await;
            assert_eq!(said.last().as_deref(), Some(heard));
        }
    }
}
