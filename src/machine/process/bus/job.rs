//! Has systemd restart, reload or stop a unit, and waits for the end of that job, as systemctl does.

use std::io;
use std::time::Duration;

use super::wire::Body;
use super::{Bus, MANAGER, MANAGER_PATH, SOCKET, SYSTEMD, Value, garbled, in_time};

/// A job of a unit, by the name that systemctl has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    Restart,
    Reload,
    Stop,
}

impl Job {
    pub fn name(self) -> &'static str {
        match self {
            Job::Restart => "restart",
            Job::Reload => "reload",
            Job::Stop => "stop",
        }
    }

    fn method(self) -> &'static str {
        match self {
            Job::Restart => "RestartUnit",
            Job::Reload => "ReloadUnit",
            Job::Stop => "StopUnit",
        }
    }
}

/// What systemd says of the job at its end: `done`, or why not (`failed`, `timeout`, `canceled`, `dependency`). `TimedOut`: the job goes
/// on. `ConnectionAborted`: so does it, and the connection was lost, as when systemd executes itself anew. Every other error: systemd
/// refused the job, or was not reached, and there is none.
pub async fn run(job: Job, unit: &str, time: Duration) -> io::Result<String> {
    run_on(SOCKET, job, unit, time).await
}

async fn run_on(socket: &str, job: Job, unit: &str, time: Duration) -> io::Result<String> {
    in_time(time, async || {
        // A connection of its own: others wait for the one that is kept, and may not read the signal.
        let mut bus = Bus::open(socket).await?;
        // As systemctl does by default: in place of a job that is queued and contradicts it.
        let body = Body::default().text(unit).text("replace");
        let reply = bus.call(MANAGER_PATH, MANAGER, job.method(), &body).await?;
        let path = reply.content("o").ok_or_else(garbled)?;
        let values = bus.signal("JobRemoved", "uoss", |values| values.get(1) == Some(&path)).await;
        let values = values.map_err(|error| io::Error::new(io::ErrorKind::ConnectionAborted, error))?;
        Ok(values.list().get(3).map(Value::text).unwrap_or_default())
    })
    .await
}

/// The state of a unit without a job; `None` if it has one.
pub async fn settled(unit: &str) -> io::Result<Option<String>> {
    let asked = super::properties(&[unit.to_owned()], &["Job", "ActiveState"]).await?;
    let properties = asked.first().ok_or_else(garbled)?;
    // Its number and path; 0 if there is none.
    let job = properties.get("Job").and_then(|job| job.list().first()).map_or(0, Value::number);
    let state = properties.get("ActiveState").map(Value::text).unwrap_or_default();
    Ok((job == 0).then_some(state))
}

/// Has systemd read its units' files anew.
pub async fn reload_units(time: Duration) -> io::Result<()> {
    in_time(time, async || {
        let mut bus = Bus::open(SOCKET).await?;
        let reply = bus.call(MANAGER_PATH, MANAGER, "Reload", &Body::default()).await?;
        reply.is_return().then_some(()).ok_or_else(garbled)
    })
    .await
}

/// Clears the failed state of a unit. One that is not loaded has none.
pub async fn forget_failed(unit: &str) -> io::Result<()> {
    SYSTEMD
        .ask(async |bus| {
            let body = Body::default().text(unit);
            bus.call(MANAGER_PATH, MANAGER, "ResetFailedUnit", &body).await.map(drop)
        })
        .await
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::super::wire::tests::{message, removed};
    use super::*;

    async fn ended(messages: Vec<Vec<u8>>) -> io::Result<String> {
        ended_with(messages, false).await
    }

    /// What comes of a job if systemd answers the call with these messages, after which it may hang up.
    async fn ended_with(messages: Vec<Vec<u8>>, hangs_up: bool) -> io::Result<String> {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("socket");
        let listener = tokio::net::UnixListener::bind(&socket).unwrap();
        let serving = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"OK 12ab\r\n").await.unwrap();
            stream.write_all(&messages.concat()).await.unwrap();
            let mut said = Vec::new();
            while !hangs_up || !said.ends_with(b"replace\0") {
                if stream.read_buf(&mut said).await.unwrap() == 0 {
                    break;
                }
            }
            said
        });
        let time = Duration::from_millis(300);
        let result = run_on(socket.to_str().unwrap(), Job::Restart, "auth.service", time).await;
        let said = String::from_utf8_lossy(&serving.await.unwrap()).into_owned();
        assert!(
            said.contains("RestartUnit") && said.contains("auth.service") && said.contains("replace"),
            "{said}"
        );
        result
    }

    #[tokio::test]
    async fn the_result_is_that_of_this_job() {
        let begun = message(2, 1, "o", "/job/7");
        let others = [removed("/job/6", "done"), removed("/job/77", "canceled")].concat();
        for result in ["done", "failed", "dependency"] {
            let messages = vec![others.clone(), begun.clone(), others.clone(), removed("/job/7", result)];
            assert_eq!(ended(messages).await.unwrap(), result);
        }
    }

    #[tokio::test]
    async fn a_refusal_silence_and_an_end_of_the_connection_are_errors() {
        let kind = async |messages| ended(messages).await.unwrap_err().kind();
        assert_eq!(kind(vec![message(3, 1, "s", "masked")]).await, io::ErrorKind::InvalidData);
        let begun = message(2, 1, "o", "/job/7");
        assert_eq!(kind(vec![begun, removed("/job/8", "done")]).await, io::ErrorKind::TimedOut);
        let lost = ended_with(vec![message(2, 1, "o", "/job/7")], true).await;
        assert_eq!(lost.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
        let nowhere = run_on("/no/such/socket", Job::Stop, "x.service", Duration::from_secs(5)).await;
        assert_eq!(nowhere.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
