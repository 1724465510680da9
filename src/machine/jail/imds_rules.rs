//! The firewall rules of instance metadata: a table of nftables that lets root and named users through, by the user who
//! opened the socket. It is loaded by a unit, so that later boots need no run of ours.

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
    let rules = rules(&let_through(wanted)?);
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
    let rules = rules(&let_through(wanted)?);
    files::write(&wanted.file, rules.as_bytes(), &Owner::root(), Mode(0o600))?;
    // What is wrong with them is told here, and not in the unit's journal only.
    nft(&["--check", "--file", &wanted.file.display().to_string()]).await?;
    // A reload replaces the rules in one transaction, a restart would take them down first.
    run(&["systemctl", "reload-or-restart", "--", &wanted.unit]).await?;
    let loaded = loaded().await?;
    files::write(Path::new(layout::IMDS_RULES_LOADED), &loaded, &Owner::root(), Mode(0o600))
}

/// As a dynamic user, whom no rule lets through, and without what keeps other children from IMDS.
pub async fn prove(unit: &str) -> Result<Change> {
    const DEADLINE: Duration = Duration::from_secs(30);
    let doing = "proving that the rules of imds.users hold";
    let argv = [own_program()?.display().to_string(), Role::VERB.to_owned(), PROOF.to_owned()];
    let transient = TransientUnit::new(unit, unit::User::Dynamic, DEADLINE).with_imds();
    let output = transient.run(&argv, None, 64 << 10).await?;
    match output.status {
        Some(0) => Ok(Change::Unchanged),
        Some(IMDS_ANSWERS) => {
            let cause = "instance metadata answers a user who is not named there";
            let remedy = "look at what nft list table inet bootagent shows: the kernel must know nf_tables and \
                `meta skuid`; or take imds.users out of the policy";
            Err(Fault::ImdsAnswers.error(doing, cause).remedy(remedy).saying(output.both_ends()))
        }
        _ => Err(failed(Code::ImdsRules, doing, &output)),
    }
}

/// The numbers of those who are let through, with their names.
fn let_through(wanted: &ImdsRules) -> Result<BTreeMap<u32, String>> {
    let mut all = BTreeMap::from([(0, "root".to_owned())]);
    for name in &wanted.users {
        let Some(number) = number(name)? else {
            let cause = format!("there is no user {name} on this machine");
            return Err(Error::new(Code::PolicyInvalid, LOADING, cause)
                .remedy("make the user in the image, or take it out of imds.users in the policy"));
        };
        all.entry(number).or_insert_with(|| name.clone());
    }
    if let Some(service) = &wanted.service
        && let Some(number) = number(service)?
    {
        all.entry(number).or_insert_with(|| service.clone());
    }
    Ok(all)
}

fn number(name: &str) -> Result<Option<u32>> {
    let user = User::from_name(name).doing(|| format!("looking up user {name}"))?;
    Ok(user.map(|user| user.uid.as_raw()))
}

/// Numbers, since at boot a name that is not known would leave the machine without any rule. What comes
/// from containers has no user of this machine and is refused, too.
fn rules(users: &BTreeMap<u32, String>) -> String {
    let mut text = String::from(
        "# Written by bootagent, from imds.users and imds.service in its policy: do not edit.\n",
    );
    for (number, name) in users {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "# {number} is {name}");
    }
    let numbers: Vec<String> = users.keys().map(u32::to_string).collect();
    let _ = write!(
        text,
        "table inet bootagent
delete table inet bootagent
table inet bootagent {{
	chain imds {{
		meta skuid {{ {numbers} }} accept
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
        numbers = numbers.join(", ")
    );
    text
}

/// The table as the kernel has it.
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
    fn root_is_always_let_through_and_each_number_once() {
        let all = let_through(&wanted(&["root", "root"], Some("no-such-user-yet"))).unwrap();
        assert_eq!(all, BTreeMap::from([(0, "root".to_owned())]));
        assert!(rules(&all).contains("meta skuid { 0 } accept"));
    }

    #[test]
    fn a_named_user_that_does_not_exist_is_an_error_of_the_policy() {
        let error = let_through(&wanted(&["no-such-user"], None)).unwrap_err();
        assert_eq!(error.code(), Code::PolicyInvalid);
        assert!(error.to_string().contains("no user no-such-user"), "{error}");
    }
}
