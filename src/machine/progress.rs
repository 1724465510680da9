//! What those who wait say of it. Whoever wants to know lends an ear for the time of a future; the
//! words need not be handed through everything that lies between.

use std::sync::{Arc, Mutex, PoisonError};

tokio::task_local! {
    static HEARD: Said;
}

/// The last that was said within a future.
#[derive(Clone, Debug, Default)]
pub struct Said(Arc<Mutex<Option<String>>>);

impl Said {
    /// Carries the work out and hears what it says.
    pub async fn hear<T>(&self, work: impl Future<Output = T>) -> T {
        HEARD.scope(self.clone(), work).await
    }

    pub fn last(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Says what is being waited for, to whoever listens.
pub fn say(what: impl Into<String>) {
    let _ = HEARD.try_with(|said| *said.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(what.into()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_hears_its_own() {
        let (one, other) = (Said::default(), Said::default());
        let talk = async |word: &str| {
            say(format!("{word} 1"));
            tokio::task::yield_now().await;
            say(format!("{word} 2"));
        };
        tokio::join!(one.hear(talk("one")), other.hear(talk("other")));
        assert_eq!((one.last().as_deref(), other.last().as_deref()), (Some("one 2"), Some("other 2")));
        say("nobody listens");
    }
}
