//! The firewall rules of `imds.users`: an nftables table that lets only root and the named users reach IMDS, judged by
//! the uid that opened the socket. A unit loads it, so that it is loaded at every boot, even if no run succeeds.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use nix::unistd::User;

use super::child::Role;
use super::imds_proof::PROOF;
use super::unit::{self, TransientUnit, own_program};
use crate::error::{Code, Coded, Error, Result};
use crate::fault::Fault;
use crate::machine::disk::files;
use crate::machine::process::exit::IMDS_ANSWERS;
use crate::machine::process::program::{self, Output, failed};
use crate::machine::{Change, Check};
use crate::plan::{ImdsRules, Mode, Owner, layout};

const LOADING: &str = "loading the rules of imds.users";
const DIRECTORIES: [&str; 6] =
    ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

pub fn is_nft_there() -> bool {
    DIRECTORIES.iter().any(|directory| Path::new(directory).join("nft").exists())
}

pub async fn check(wanted: &ImdsRules) -> Result<Check> {
    let rules = rules(&allowed_users(wanted)?);
    if let Check::WouldChange(how) =
        files::check_file(&wanted.file, rules.as_bytes(), &Owner::root(), Mode(0o600))?
    {
        return Ok(Check::WouldChange(format!("{}: {how}", wanted.file.display())));
    }
    Ok(match (loaded().await, files::read(Path::new(layout::IMDS_RULES_LOADED))?) {
        (Ok(now), Some(before)) if now == before => Check::AlreadySo,
        _ => Check::WouldChange("not loaded by a run of this boot, or changed since".to_owned()),
    })
}

pub async fn load(wanted: &ImdsRules) -> Result<()> {
    let rules = rules(&allowed_users(wanted)?);
    files::write(&wanted.file, rules.as_bytes(), &Owner::root(), Mode(0o600))?;
    // Reports a fault in the rules as this run's error; otherwise only the unit's journal would have it.
    nft(&["--check", "--file", &wanted.file.display().to_string()]).await?;
    // A reload replaces the rules in one transaction. A restart would remove them first, and leave IMDS open meanwhile.
    run(&["systemctl", "reload-or-restart", "--", &wanted.unit]).await?;
    let loaded = loaded().await?;
    files::write(Path::new(layout::IMDS_RULES_LOADED), &loaded, &Owner::root(), Mode(0o600))
}

/// Proves that the loaded rules work: tries to reach IMDS as a dynamic user, whom no rule allows, in a transient unit
/// without `IPAddressDeny=`, so that only the rules can prevent it.
pub async fn prove(unit: &str) -> Result<Change> {
    const DEADLINE: Duration = Duration::from_secs(30);
    let doing = "proving that the rules of imds.users work";
    let argv = [own_program()?.display().to_string(), Role::VERB.to_owned(), PROOF.to_owned()];
    let transient = TransientUnit::new(unit, unit::User::Dynamic, DEADLINE).with_imds();
    let output = transient.run(&argv, None, 64 << 10).await?;
    match output.status {
        Some(0) => Ok(Change::Unchanged),
        Some(IMDS_ANSWERS) => {
            let cause = "a user who is not in imds.users can reach IMDS";
            let remedy = "nft list table inet bootagent shows the loaded rules; the kernel must support nf_tables and \
                `meta skuid`; or remove imds.users from the policy";
            Err(Fault::ImdsAnswers.error(doing, cause).remedy(remedy).saying(output.both_ends()))
        }
        _ => Err(failed(Code::ImdsRules, doing, &output)),
    }
}

/// The uids that may reach IMDS, with their names: root, `imds.users`, and the service's user once it exists.
fn allowed_users(wanted: &ImdsRules) -> Result<BTreeMap<u32, String>> {
    let mut all = BTreeMap::from([(0, "root".to_owned())]);
    for name in &wanted.users {
        let Some(uid) = uid_of(name)? else {
            let cause = format!("there is no user {name} on this machine");
            return Err(Error::new(Code::PolicyInvalid, LOADING, cause)
                .remedy("create the user in the AMI, or remove it from imds.users in the policy"));
        };
        all.entry(uid).or_insert_with(|| name.clone());
    }
    if let Some(service) = &wanted.service
        && let Some(uid) = uid_of(service)?
    {
        all.entry(uid).or_insert_with(|| service.clone());
    }
    Ok(all)
}

fn uid_of(name: &str) -> Result<Option<u32>> {
    let user = User::from_name(name).doing(|| format!("looking up user {name}"))?;
    Ok(user.map(|user| user.uid.as_raw()))
}

/// The rules name uids: nft rejects a whole file if one user name is unknown at boot, which would leave IMDS open to
/// all. Forwarded packets (from containers) have no uid of this machine: the rules reject them.
fn rules(users: &BTreeMap<u32, String>) -> String {
    let mut text = String::from(
        "# Written by bootagent, from imds.users and imds.service in its policy: do not edit.\n",
    );
    for (uid, name) in users {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "# {uid} is {name}");
    }
    let uids: Vec<String> = users.keys().map(u32::to_string).collect();
    let _ = write!(
        text,
        "table inet bootagent
delete table inet bootagent
table inet bootagent {{
	chain imds {{
		meta skuid {{ {uids} }} accept
		meta l4proto tcp reject with tcp reset
		reject
	}}
	chain output {{
		type filter hook output priority 0; policy accept;
		ip daddr 169.254.169.254 jump imds
		ip6 daddr fd00:ec2::254 jump imds
	}}
	chain forward {{
		type filter hook forward priority 0; policy accept;
		ip daddr 169.254.169.254 jump imds
		ip6 daddr fd00:ec2::254 jump imds
	}}
}}
",
        uids = uids.join(", ")
    );
    text
}

/// The table as the kernel has it now.
async fn loaded() -> Result<Vec<u8>> {
    Ok(nft(&["list", "table", "inet", "bootagent"]).await?.stdout)
}

async fn nft(arguments: &[&str]) -> Result<Output> {
    if !is_nft_there() {
        return Err(Error::new(Code::ImdsRules, LOADING, "there is no nft on this machine"));
    }
    run(&[&["nft"], arguments].concat()).await
}

async fn run(argv: &[&str]) -> Result<Output> {
    let output = program::run(argv, None, Duration::from_secs(60), 64 << 10).await?;
    match output.ok() {
        true => Ok(output),
        false => Err(failed(Code::ImdsRules, format!("{LOADING} with {}", argv.join(" ")), &output)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(users: &[&str], service: Option<&str>) -> ImdsRules {
        ImdsRules {
            users: users.iter().map(|user| (*user).to_owned()).collect(),
            service: service.map(str::to_owned),
            file: layout::IMDS_RULES_FILE.into(),
            unit: layout::IMDS_RULES_UNIT.to_owned(),
        }
    }

    #[test]
    fn root_is_always_allowed_and_each_uid_occurs_once() {
        let all = allowed_users(&wanted(&["root", "root"], Some("no-such-user-yet"))).unwrap();
        assert_eq!(all, BTreeMap::from([(0, "root".to_owned())]));
        assert!(rules(&all).contains("meta skuid { 0 } accept"));
    }

    #[test]
    fn a_named_user_that_does_not_exist_is_an_error_of_the_policy() {
        let error = allowed_users(&wanted(&["no-such-user"], None)).unwrap_err();
        assert_eq!(error.code(), Code::PolicyInvalid);
        assert!(error.to_string().contains("no user no-such-user"), "{error}");
    }
}
