//! `bootagent validate`: says what a boot would do with a working tree, and what is unusual about it. Offline.

use std::collections::BTreeMap;

use serde::Serialize;

use super::inspect::{Inspected, inspect};
use crate::cli::{Output, ValidateArgs};
use crate::error::{Code, Error, ErrorReport, Result};
use crate::observe::MANIFEST;
use crate::planner::lint::{Advice, Judged, Lint, table};
use crate::report::print;
use crate::{machine, planner};

/// With `--strict`: the exit status of a result with warnings, as of `bootagent run --strict`.
const WARNINGS: u8 = 4;

pub fn validate(args: &ValidateArgs) -> u8 {
    // On an instance, or while an AMI is built, the operator's hooks must be usable, too.
    let inspected = planner::refuse_hooks(&machine::hooks()).and_then(|()| inspect(&args.path, true));
    let printed = match (args.output, &inspected) {
        (Output::Text, Ok(inspected)) => print(&text(inspected)),
        (Output::Text, Err(_)) => Ok(()),
        (Output::Json, inspected) => json(args, inspected).and_then(|text| print(&text)),
    };
    match printed.and(inspected) {
        Ok(Inspected { lint, .. }) if args.strict && lint.warnings() > 0 => WARNINGS,
        Ok(_) => 0,
        Err(error) => super::print_error(&error),
    }
}

fn text(inspected: &Inspected) -> String {
    let Inspected { lint, has_manifest } = inspected;
    let mut lines = vec![match has_manifest {
        true => format!("{MANIFEST}: well-formed"),
        false => format!("{MANIFEST}: absent, conventions apply"),
    }];
    lines.extend(table(lint.every.plan.iter()));
    lines.extend(remarks(&lint.every));
    for (environment, judged) in &lint.environments {
        let (differs, remarks) = (table(judged.plan.iter()), remarks(judged));
        if !differs.is_empty() || !remarks.is_empty() {
            lines.push(format!("\nIn {environment} instead:"));
            lines.extend(differs.into_iter().chain(remarks));
        }
    }
    lines.extend(advice(lint, *has_manifest));
    lines.push(match lint.warnings() {
        0 => "\nok".to_owned(),
        1 => "\n1 warning".to_owned(),
        warnings => format!("\n{warnings} warnings"),
    });
    lines.join("\n") + "\n"
}

fn remarks(judged: &Judged) -> Vec<String> {
    let warnings =
        judged.warnings.iter().map(|warning| format!("warning: {} [{}]", warning.text, warning.code));
    warnings.chain(judged.notes.iter().map(|note| format!("note: {note}"))).collect()
}

fn advice(lint: &Lint, has_manifest: bool) -> Vec<String> {
    let place = if has_manifest { "above its first [table]" } else { "bootagent init writes the file" };
    let head = format!("\nLines for {MANIFEST} ({place}):");
    let lines = lint.advice.iter().map(|Advice { line, why }| format!("  {line}  # {why}"));
    if lint.advice.is_empty() { Vec::new() } else { [head].into_iter().chain(lines).collect() }
}

/// The schema is documented in docs/reference/validate.md. Its number changes if a field changes its meaning or goes.
#[derive(Serialize)]
struct Shown<'a> {
    schema: u32,
    path: String,
    valid: bool,
    manifest: Option<bool>,
    #[serde(flatten)]
    every: &'a Judged,
    environments: BTreeMap<&'a str, &'a Judged>,
    advice: &'a [Advice],
    error: Option<ErrorReport>,
}

const SCHEMA: u32 = 1;

fn json(args: &ValidateArgs, inspected: &Result<Inspected>) -> Result<String> {
    let lint = inspected.as_ref().ok().map(|inspected| &inspected.lint);
    let nothing = Judged::default();
    let environments = lint.into_iter().flat_map(|lint| &lint.environments);
    let shown = Shown {
        schema: SCHEMA,
        path: args.path.display().to_string(),
        valid: lint.is_some(),
        manifest: inspected.as_ref().ok().map(|inspected| inspected.has_manifest),
        every: lint.map_or(&nothing, |lint| &lint.every),
        environments: environments.map(|(name, judged)| (name.as_str(), judged)).collect(),
        advice: lint.map_or(&[], |lint| lint.advice.as_slice()),
        error: inspected.as_ref().err().map(|error| error.in_public().report()),
    };
    serde_json::to_string_pretty(&shown)
        .map(|text| text + "\n")
        .map_err(|error| Error::new(Code::Bug, "printing the result", error))
}
