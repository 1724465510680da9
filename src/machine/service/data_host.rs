//! Makes the first data of a database server, in a unit as the service's user. The directory has a temporary name until it
//! is complete, so a run that was killed can be repeated. Never changes data that this service did not make, and never
//! removes data.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Code, Error, Result};
use crate::fault::{Fault, Phase};
use crate::machine::disk::files;
use crate::machine::disk::owned::only_root_can_replace;
use crate::machine::disk::path_at::unfinished_name;
use crate::machine::install::diagnose;
use crate::machine::jail::unit::{TransientUnit, User};
use crate::machine::process::{journal, program};
use crate::machine::{Change, Check, now};
use crate::plan::{DATA_RECORD, InitializeData, Mode, Owner, ServerProgram};
use crate::secret::{ForeignText, Message};

/// Systemd enforces it if bootagent was killed: longer than the time limit of the step.
const DEADLINE: Duration = Duration::from_secs(Phase::Migrate.seconds().0 + 60);
/// A server without versions, in a record.
const NO_VERSION: &str = "-";

/// What a data directory holds.
enum Data {
    None,
    /// Data of this service and server, of this version.
    Made(String),
}

pub async fn check(data: &InitializeData) -> Result<Check> {
    let Data::Made(version) = look(data)? else { return Ok(Check::WouldChange("no data yet".to_owned())) };
    let Some(program) = &data.program else { return Ok(Check::AlreadySo) };
    match fitting(data, program, Some(&version)).await? {
        Some((_, directory)) => files::check_link(&program.link, &directory),
        None => Ok(Check::WouldChange(format!("{} {version} absent", data.server))),
    }
}

pub async fn initialize(data: &InitializeData) -> Result<Change> {
    let found = look(data)?;
    let made = match &found {
        Data::None => None,
        Data::Made(version) => Some(version.as_str()),
    };
    let mut version = NO_VERSION.to_owned();
    if let Some(program) = &data.program {
        let Some((fits, directory)) = fitting(data, program, made).await? else {
            return Err(unfit(data, program, made).await);
        };
        files::link(&program.link, &directory, false)?;
        version = fits;
    }
    if made.is_some() {
        return Ok(Change::Changed("the data is kept".to_owned()));
    }
    make(data, &version).await?;
    match look(data)? {
        Data::Made(_) => Ok(Change::Changed("first data made".to_owned())),
        Data::None => {
            let cause = format!("the script ended without {}", data.directory.join(DATA_RECORD).display());
            Err(Fault::DataFailed.error(doing(data), cause))
        }
    }
}

fn doing(data: &InitializeData) -> String {
    format!("making the first data of {} in {}", data.server, data.directory.display())
}

/// What is in the data directory. Fails if it is not this service's.
fn look(data: &InitializeData) -> Result<Data> {
    let path = data.directory.join(DATA_RECORD);
    let Some(record) = files::read(&path)? else {
        return match files::is_empty(&data.directory)? {
            true => Ok(Data::None),
            false => {
                let cause = format!(
                    "{} has files, and no record that it is data of {}",
                    data.directory.display(),
                    data.service
                );
                Err(foreign(data, cause.into()))
            }
        };
    };
    let record = String::from_utf8_lossy(&record);
    let words: Vec<&str> = record.split_whitespace().collect();
    match words.as_slice() {
        [server, version, service] if *server == data.server && *service == data.service => {
            Ok(Data::Made((*version).to_owned()))
        }
        _ => {
            let says = ForeignText::line(&record);
            let cause = Message::from(format!("{} says \"", path.display()))
                .and(says)
                .and(format!("\", and not {} and {}", data.server, data.service));
            Err(foreign(data, cause))
        }
    }
}

fn foreign(data: &InitializeData, cause: Message) -> Error {
    let version = if data.program.is_some() { "15" } else { NO_VERSION };
    Error::new(Code::DataForeign, doing(data), cause).remedy(format!(
        "nothing was changed; if it is this service's data, write the line \"{} {version} {}\" (with the version of \
         the data) to {}, and run bootagent again; if not, move it away or choose another volume",
        data.server,
        data.service,
        data.directory.join(DATA_RECORD).display()
    ))
}

/// The version to use, and its directory: that of the data, else the manifest's, else the newest. `None` if it is not
/// installed.
async fn fitting(
    data: &InitializeData,
    program: &ServerProgram,
    made: Option<&str>,
) -> Result<Option<(String, PathBuf)>> {
    let wanted = match (made, program.version.as_deref()) {
        (Some(made), Some(wanted)) if made != wanted => {
            let cause = format!("the data is of {} {made}, and the manifest asks for {wanted}", data.server);
            return Err(Error::new(Code::DataVersion, doing(data), cause));
        }
        (made, wanted) => made.or(wanted),
    };
    let mut installed = installed(program).await;
    installed.retain(|(version, _)| wanted.is_none_or(|wanted| version == wanted));
    Ok(installed.into_iter().max_by_key(|(version, _)| version.parse::<u32>().unwrap_or(0)))
}

async fn unfit(data: &InitializeData, program: &ServerProgram, made: Option<&str>) -> Error {
    let all: Vec<String> = installed(program).await.into_iter().map(|(version, _)| version).collect();
    let there = if all.is_empty() { "none".to_owned() } else { all.join(", ") };
    let of = match (made, &program.version) {
        (Some(made), _) => format!("the data is of version {made}"),
        (None, Some(version)) => format!("the manifest asks for version {version}"),
        (None, None) => format!("there is no {} in {}", program.program, program.directories.join(" or ")),
    };
    Error::new(Code::DataVersion, doing(data), format!("{of}; installed: {there}"))
}

/// The installed versions with their directories.
async fn installed(program: &ServerProgram) -> Vec<(String, PathBuf)> {
    let mut all = Vec::new();
    for pattern in &program.directories {
        let Some((front, _)) = pattern.split_once('*') else {
            let path = Path::new(pattern).join(&program.program);
            all.extend(version(&path).await.map(|version| (version, PathBuf::from(pattern))));
            continue;
        };
        let (parent, start) = front.rsplit_once('/').unwrap_or(("", front));
        let entries = std::fs::read_dir(format!("{parent}/")).into_iter().flatten().flatten();
        for entry in entries {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(version) = name.strip_prefix(start) else { continue };
            let is_version = !version.is_empty() && version.bytes().all(|c| c.is_ascii_digit());
            if is_version && entry.path().join(&program.program).exists() {
                all.push((version.to_owned(), entry.path()));
            }
        }
    }
    all
}

/// The first number that the program prints: 15 of `postgres (PostgreSQL) 15.8`.
async fn version(program: &Path) -> Option<String> {
    if !only_root_can_replace(program) {
        return None;
    }
    let output = program::tool(&[&program.display().to_string(), "--version"], 10).await.ok()?;
    first_number(&output.text())
}

fn first_number(text: &str) -> Option<String> {
    let from = text.find(|c: char| c.is_ascii_digit())?;
    Some(text[from..].chars().take_while(char::is_ascii_digit).collect())
}

/// Runs the script in a directory of an unfinished name, and then gives it its own. A server that is asked for its first
/// user has no network: no other program can reach it before.
async fn make(data: &InitializeData, version: &str) -> Result<()> {
    let (parent, name) = match (data.directory.parent(), data.directory.file_name()) {
        (Some(parent), Some(name)) => (parent, name),
        _ => return Err(Error::new(Code::Bug, doing(data), "the directory has no name")),
    };
    let variables = Variables::new(data)?;
    let new = parent.join(unfinished_name(name));
    let link = data.program.as_ref().map(|program| program.link.display().to_string()).unwrap_or_default();
    let record = format!("{} {version} {}", data.server, data.service);
    let argv = ["/bin/sh", "-c", &script(&data.script), "sh"].map(str::to_owned).into_iter();
    let argv: Vec<String> =
        argv.chain([new.display().to_string(), data.directory.display().to_string(), link, record]).collect();
    let user = User::Named { user: data.user.clone(), group: data.user.clone() };
    let unit = TransientUnit::new(&data.unit, user, DEADLINE)
        .as_the_service()
        .with_imds()
        .property("PrivateNetwork=yes")
        .property(format!("EnvironmentFile={}", data.variables_at.display()))
        .environment([(&"HOME".to_owned(), &"/tmp".to_owned()), (&"LANG".to_owned(), &"C.UTF-8".to_owned())])
        .writable(parent);
    let began = now();
    let output = unit.run(&argv, None, 64 << 10).await?;
    drop(variables);
    let unit_ended = match output.ok() {
        true => String::new(),
        false => journal::systemd_messages(&data.unit, began).await,
    };
    let ran = diagnose::Ran {
        line: format!("the script that makes the first data of {}", data.server),
        user: &data.user,
        writable: &[parent.to_owned()],
        fault: Fault::DataFailed,
    };
    diagnose::judge(&ran, &output, &unit_ended)
}

/// The name changes last, and is on the disk before the run goes on.
fn script(own: &str) -> String {
    format!(
        "set -eu
umask 077
new=$1 directory=$2 link=$3
rm -rf -- \"$new\"
mkdir -- \"$new\"
{own}printf '%s\\n' \"$4\" >\"$new/{DATA_RECORD}\"
sync -f \"$new\"
mv -T -- \"$new\" \"$directory\"
sync -f \"$directory\"
"
    )
}

/// The file with the variables, which has secrets: dropping the value removes it.
struct Variables<'a>(&'a Path);

impl<'a> Variables<'a> {
    fn new(data: &'a InitializeData) -> Result<Self> {
        let directory = data.variables_at.parent().unwrap_or(Path::new("/"));
        let written = Variables(directory);
        files::directory(directory, &Owner::root(), Mode(0o700))?;
        files::write(&data.variables_at, data.variables.expose().as_bytes(), &Owner::root(), Mode(0o600))?;
        Ok(written)
    }
}

impl Drop for Variables<'_> {
    /// An error is ignored: the file is on tmpfs and readable by root only, and the next run removes it.
    fn drop(&mut self) {
        let _ = files::remove_tree(self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::{Redaction, Sealed};

    fn data(root: &Path, version: Option<&str>) -> InitializeData {
        InitializeData {
            unit: "x.service".to_owned(),
            service: "orders".to_owned(),
            server: "postgresql".to_owned(),
            directory: root.join("data"),
            user: "orders".to_owned(),
            program: Some(ServerProgram {
                directories: vec![format!("{}/lib/*", root.display()), format!("{}/pgsql-*", root.display())],
                program: "bin/postgres".to_owned(),
                link: root.join("postgresql"),
                version: version.map(str::to_owned),
            }),
            script: String::new(),
            variables: Sealed::new(Vec::new(), String::new()),
            variables_at: root.join("run/env"),
        }
    }

    fn install(root: &Path, version: &str) {
        let program = root.join("lib").join(version).join("bin/postgres");
        std::fs::create_dir_all(program.parent().unwrap()).unwrap();
        std::fs::write(program, "").unwrap();
    }

    fn hold(root: &Path, record: Option<&str>) {
        std::fs::create_dir_all(root.join("data")).unwrap();
        std::fs::write(root.join("data/PG_VERSION"), "15").unwrap();
        if let Some(record) = record {
            std::fs::write(root.join("data").join(DATA_RECORD), record).unwrap();
        }
    }

    #[tokio::test]
    async fn the_version_of_the_data_is_used_then_the_manifest_s_then_the_newest() {
        let root = tempfile::tempdir().unwrap();
        for version in ["9", "15", "17", "common"] {
            install(root.path(), version);
        }
        let of = async |wanted: Option<&str>, made: Option<&str>| {
            let data = data(root.path(), wanted);
            let found = fitting(&data, data.program.as_ref().unwrap(), made).await?;
            Ok::<_, Error>(found.map(|(version, _)| version))
        };
        assert_eq!(of(None, Some("15")).await.unwrap().as_deref(), Some("15"));
        assert_eq!(of(Some("15"), None).await.unwrap().as_deref(), Some("15"));
        assert_eq!(of(None, None).await.unwrap().as_deref(), Some("17"));
        assert_eq!(of(None, Some("16")).await.unwrap(), None);
        assert_eq!(of(Some("17"), Some("15")).await.unwrap_err().code(), Code::DataVersion);
    }

    #[test]
    fn a_program_says_its_version() {
        assert_eq!(first_number("postgres (PostgreSQL) 15.8\n").as_deref(), Some("15"));
        assert_eq!(first_number("no version"), None);
    }

    #[tokio::test]
    async fn data_of_this_service_is_kept() {
        let root = tempfile::tempdir().unwrap();
        install(root.path(), "15");
        let wanted = data(root.path(), None);
        assert_eq!(check(&wanted).await.unwrap(), Check::WouldChange("no data yet".to_owned()));
        std::fs::create_dir(root.path().join("data")).unwrap();
        assert_eq!(
            check(&wanted).await.unwrap(),
            Check::WouldChange("no data yet".to_owned()),
            "an empty directory"
        );
        hold(root.path(), Some("postgresql 15 orders\n"));
        files::link(&root.path().join("postgresql"), &root.path().join("lib/15"), false).unwrap();
        assert_eq!(check(&wanted).await.unwrap(), Check::AlreadySo);
    }

    #[tokio::test]
    async fn other_data_is_refused_by_name() {
        for record in [None, Some("postgresql 15 other\n"), Some("redis - orders\n"), Some("x")] {
            let root = tempfile::tempdir().unwrap();
            hold(root.path(), record);
            let error = check(&data(root.path(), None)).await.unwrap_err();
            assert_eq!(error.code(), Code::DataForeign, "{record:?}");
            let report = error.redacted(&Redaction::default()).report();
            assert!(report.remedy.contains("postgresql 15 orders"), "{}", report.remedy);
        }
    }
}
