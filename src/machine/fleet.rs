//! The fleet memory's effects: writes an object, and runs a migration on one instance of the group. Decides nothing.
//!
//! The lock is an object that only one instance can create (`If-None-Match: *`). Its holder renews it while the migration
//! runs. Of a holder that died, another instance takes it over after `LEASE`, measured by S3's clock alone.

use std::cell::RefCell;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep, timeout_at};

use crate::error::{Error, Result};
use crate::facts::records;
use crate::fault::{Fault, Phase};
use crate::machine::aws::Imds;
use crate::machine::aws::s3::{self, Access, If, Put};
use crate::machine::service::migrate as local;
use crate::machine::{Change, SecretPatience, progress};
use crate::plan::{FleetAccess, Migration, MigrationLock, PutObject};

pub async fn put(imds: &Imds, put: &PutObject) -> Result<()> {
    match s3::put(imds, &put.at, &put.text, If::Anything, access(&put.access, Phase::FleetWrite)).await? {
        Put::Written(_) => Ok(()),
        Put::Refused => {
            Err(Fault::FleetRefused.error(format!("writing {}", put.at), "S3 did not write the object"))
        }
    }
}

fn access(access: &FleetAccess, phase: Phase) -> Access<'_> {
    let patience = SecretPatience { time: phase.seconds(), waits_for_permission: false };
    Access { region: access.region.as_deref(), network: &access.network, patience }
}

/// Age of a lock after which its holder counts as dead.
const LEASE: u64 = 120;
const RENEWAL: Duration = Duration::from_secs(30);
/// A holder that cannot renew its lock stops before another instance takes it over.
const STOP: Duration = Duration::from_secs(LEASE - 30);
const POLL: Duration = Duration::from_secs(3);

/// The content of the lock.
#[derive(Serialize, Deserialize)]
struct LockRecord {
    #[serde(default = "records::first_schema")]
    schema: u32,
    state: State,
    instance: String,
    /// Another one in each write: S3's ETag follows from the text, and a reader with an earlier ETag must not replace a newer lock.
    #[serde(default)]
    write: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    Running,
    Done,
    /// The next instance tries it again: a migration must be repeatable.
    Failed,
}

/// Runs the migration, unless another instance of the group has done that for this commit.
pub async fn migrate(imds: &Imds, migration: &Migration) -> Result<Change> {
    let Some(lock) = &migration.lock else {
        local::migrate(migration).await?;
        return Ok(Change::Changed("done".to_owned()));
    };
    let held = match take(imds, lock).await? {
        Taken::DoneBy(instance) => {
            local::record(migration)?;
            return Ok(Change::Changed(format!("done by {instance} of the group")));
        }
        Taken::Held(etag) => Held { imds, lock, etag: RefCell::new(etag) },
    };
    let result = tokio::select! {
        result = local::migrate(migration) => result,
        lost = held.renew() => return Err(lost),
    };
    held.end(if result.is_ok() { State::Done } else { State::Failed }).await;
    result.map(|()| Change::Changed("done".to_owned()))
}

enum Taken {
    Held(String),
    DoneBy(String),
}

/// Waits for the lock. The time limit of the step ends the wait.
async fn take(imds: &Imds, lock: &MigrationLock) -> Result<Taken> {
    let access = || access(&lock.access, Phase::Fleet);
    loop {
        let found = s3::get(imds, &lock.at, access()).await?;
        // What cannot be read was not written by bootagent: it is replaced.
        let record =
            found.as_ref().and_then(|object| records::parse::<LockRecord>(object.text.as_bytes()).ok());
        let only_if = match (&found, &record) {
            (None, _) => If::Absent,
            (_, Some(record)) if record.state == State::Done => {
                return Ok(Taken::DoneBy(record.instance.clone()));
            }
            (Some(object), Some(record)) if record.state == State::Running => {
                if object.age < LEASE && record.instance != lock.instance {
                    progress::say(format!("waiting for {}, which runs the migration", record.instance));
                    sleep(POLL.mul_f64(0.5 + fastrand::f64())).await;
                    continue;
                }
                If::Is(&object.etag)
            }
            (Some(object), _) => If::Is(&object.etag),
        };
        if let Put::Written(etag) =
            s3::put(imds, &lock.at, &text(lock, State::Running), only_if, access()).await?
        {
            return Ok(Taken::Held(etag));
        }
    }
}

fn text(lock: &MigrationLock, state: State) -> String {
    let record = LockRecord {
        schema: records::SCHEMA,
        state,
        instance: lock.instance.clone(),
        write: fastrand::u64(..),
    };
    serde_json::to_string_pretty(&record).unwrap_or_default() + "\n"
}

/// The lock, while this instance has it.
struct Held<'a> {
    imds: &'a Imds,
    lock: &'a MigrationLock,
    etag: RefCell<String>,
}

impl Held<'_> {
    async fn write(&self, state: State) -> Result<Put> {
        let etag = self.etag.borrow().clone();
        let access = access(&self.lock.access, Phase::FleetWrite);
        let put = s3::put(self.imds, &self.lock.at, &text(self.lock, state), If::Is(&etag), access).await?;
        if let Put::Written(etag) = &put {
            self.etag.replace(etag.clone());
        }
        Ok(put)
    }

    /// Returns only if the lock is lost.
    async fn renew(&self) -> Error {
        let lost = |cause: &str| {
            Fault::FleetUnreachable
                .error(format!("keeping the lock of the migration, {}", self.lock.at), cause)
        };
        let mut renewed = Instant::now();
        loop {
            sleep(RENEWAL).await;
            let begun = Instant::now();
            match timeout_at(renewed + STOP, self.write(State::Running)).await {
                Ok(Ok(Put::Written(_))) => renewed = begun,
                Ok(Ok(Put::Refused)) => return lost("another instance has taken it over"),
                Ok(Err(error)) if renewed.elapsed() >= STOP => return error,
                Ok(Err(_)) => {}
                Err(_) => return lost("it could not be renewed in time"),
            }
        }
    }

    /// If it cannot be written, another instance runs the migration once more, when the lock has expired.
    async fn end(&self, state: State) {
        let why = match self.write(state).await {
            Ok(Put::Written(_)) => return,
            Ok(Put::Refused) => "another instance has taken the lock over".to_owned(),
            Err(error) => error.in_public().report().causes.join(": "),
        };
        progress::note(format!("the end of the migration is not recorded in {}: {why}", self.lock.at));
    }
}
