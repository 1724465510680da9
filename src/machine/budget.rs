//! When the run's time limit ends, for steps that can say more about a wait than that it was cut off. Task-local, as
//! [`progress`](super::progress) is, so that no function between needs an argument for it.

use std::time::Instant;

tokio::task_local! {
    static END: Instant;
}

/// Runs `work`, in which [`end`] is `until`.
pub async fn until<T>(until: Instant, work: impl Future<Output = T>) -> T {
    END.scope(until, work).await
}

/// When the time limit of the run ends that this future is part of; `None` if it is part of none.
pub fn end() -> Option<Instant> {
    END.try_with(|end| *end).ok()
}
