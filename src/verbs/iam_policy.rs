//! `bootagent iam-policy`: prints the least that a role needs for what the policy switches on. Offline.

use crate::cli::{IamPolicyArgs, Role};
use crate::error::{Code, Error, Result};
use crate::facts::Facts;
use crate::machine::{LocalHost, Observe};
use crate::observe;
use crate::observe::manifest::Manifest;
use crate::planner::permissions::{self, Document, Scope};
use crate::planner::runtime;
use crate::report::{print, tell};

pub async fn iam_policy(args: &IamPolicyArgs) -> u8 {
    let made = document(args).await.and_then(|document| {
        let text = serde_json::to_string_pretty(&document);
        let text = text.map_err(|error| Error::new(Code::Bug, "printing the IAM policy", error))?;
        print(&(text + "\n"))
    });
    match made {
        Ok(()) => 0,
        Err(error) => super::print_error(&error),
    }
}

async fn document(args: &IamPolicyArgs) -> Result<Document> {
    let machine = LocalHost::observer();
    let policy = observe::policy(&machine, &args.flags()).await?;
    let selection =
        observe::select(&Facts::default(), &policy, None, false).map_err(|error| match error.code() {
            Code::TagMissing => error.remedy("name it: --service and --environment"),
            _ => error,
        })?;
    let scope =
        Scope { account: args.account.clone(), region: args.region.clone(), group: args.group.clone() };
    if args.role == Role::Operator {
        if selection.fleet.prefix.is_none() {
            tell(
                "note: without fleet.prefix in the policy there is no fleet memory, and why, fleet and rollout do not work",
            );
        }
        return Ok(permissions::of_operator(&selection, &scope));
    }
    let manifest = match &args.manifest {
        Some(path) => {
            let doing = || format!("reading {}", path.display());
            let text = machine.text(path).await?;
            let text = text.ok_or_else(|| Error::new(Code::Usage, doing(), "there is no such file"))?;
            let environment = selection.environment.clone();
            Manifest::parse(&path.display().to_string(), &text, Some(&environment), &runtime::tables())?
        }
        None => Manifest::default(),
    };
    let sources = observe::sources(&manifest, &selection)?;
    if args.manifest.is_none() {
        tell("note: without --manifest, further secrets, parameters and images of a service are not in it");
    }
    tell(
        "note: a secret, parameter or bucket with a key of your own (CMK) also needs kms:Decrypt on that key, and a bucket kms:GenerateDataKey",
    );
    Ok(permissions::of_instance(&selection, &manifest, &sources, &scope))
}
