//! Maps npm's error output to faults.

use nodejs_semver::{Range, Version};

use super::{Complaint, Fault};
use crate::secret::{ForeignText, Message};

const USAGE: &str = "EUSAGE";
const ENGINE: &str = "EBADENGINE";

/// The fault behind npm's error code, and npm's reason for it.
pub fn complaint(lines: &[ForeignText]) -> Option<Complaint> {
    let errors = errors(lines);
    let code = errors.iter().find_map(|line| line.after("code "));
    let is_page = errors.iter().any(|line| line.judge(is_page));
    let code = match code {
        None if is_page => ForeignText::line("an HTML page"),
        code => code?,
    };
    let reason = match code.judge(|code| code == USAGE) {
        true => paragraph(&errors),
        false => sentences(lines).into_iter().next().map(Message::from),
    };
    let missing = sentences(lines)
        .into_iter()
        .skip(1)
        .find(|line| line.judge(|line| line.starts_with("Missing: ") || line.starts_with("Invalid: ")));
    let cause = Message::from("npm ends with ").and(code.clone()).and(": ");
    let cause = cause.and(reason.unwrap_or_else(|| "npm gives no reason".into()));
    let cause = missing.into_iter().fold(cause, |cause, missing| cause.and(" ").and(missing));
    let fault = if is_page { Some(Fault::RegistryUnreachable) } else { code.judge(fault) };
    let engine = || engine(&errors).filter(|_| code.judge(|code| code == ENGINE));
    fault.map(|fault| engine().unwrap_or_else(|| Complaint::new(fault, cause)))
}

/// What does not fit: npm prints the requests and the versions of Node and npm together, in JSON.
fn engine(errors: &[ForeignText]) -> Option<Complaint> {
    let after = |words: &str| errors.iter().find_map(|line| line.after(words));
    let package = after("notsup Not compatible with your version of node/npm:")?;
    let (required, actual) = (after("notsup Required:")?, after("notsup Actual:")?);
    let both = [required, actual];
    let misfits = |name: &str| {
        let judge = |lines: &[&str]| misfit(name, lines.first()?, lines.last()?);
        ForeignText::derived(&both, judge)
    };
    let (node, npm) = (misfits("node"), misfits("npm"));
    let is_npm = node.is_none() && npm.is_some();
    let which: Vec<Message> = [node, npm].into_iter().flatten().map(Message::from).collect();
    let which = if which.is_empty() { both.map(Message::from).into() } else { which };
    let cause = Message::from(format!("npm ends with {ENGINE}: ")).and(package).and(" requires ");
    let mut complaint = Complaint::new(Fault::EngineUnfit, cause.and(Message::joined(which, "; ")));
    if is_npm {
        complaint.remedy = Some(
            "correct engines.npm in package.json, name a fitting npm there (\"packageManager\": \"npm@VERSION\"), or remove \
             engine-strict from .npmrc; then: bootagent update"
                .to_owned(),
        );
    }
    Some(complaint)
}

/// `npm ^9, and this is npm 10.9.3`, if the version is not in the range.
fn misfit(name: &str, required: &str, actual: &str) -> Option<String> {
    let of = |json: &str| {
        let all: serde_json::Value = serde_json::from_str(json).ok()?;
        all.get(name)?.as_str().map(str::to_owned)
    };
    let (range, version) = (of(required)?, of(actual)?);
    let fits = match (Range::parse(&range), Version::parse(version.trim_start_matches('v'))) {
        (Ok(range), Ok(version)) => range.satisfies(&version),
        _ => false,
    };
    (!fits).then(|| format!("{name} {range}, and this is {name} {version}"))
}

/// Whether the registry answered HTML in place of JSON or of an archive: a maintenance page has status 200.
fn is_page(line: &str) -> bool {
    let json = line.contains("Unexpected token '<'") || line.contains("Unexpected token < in JSON");
    json && (line.contains("JSON") || line.contains("json")) || line.starts_with("code TAR_BAD_ARCHIVE")
}

/// npm's error lines from its error code on; the lines before are not the cause. Older versions prefix `npm ERR!`.
fn errors(lines: &[ForeignText]) -> Vec<ForeignText> {
    let errors = lines.iter().filter_map(|line| line.after("npm error").or_else(|| line.after("npm ERR!")));
    let mut errors: Vec<ForeignText> = errors.collect();
    let before = errors.iter().position(|line| line.judge(|line| line.starts_with("code "))).unwrap_or(0);
    errors.split_off(before)
}

fn fault(code: &str) -> Option<Fault> {
    let is_server_error = code.len() == 4 && code.starts_with("E5");
    Some(match code {
        "ECONNRESET" | "ECONNREFUSED" | "ECONNABORTED" | "EPIPE" | "EHOSTUNREACH" | "ENETUNREACH"
        | "ETIMEDOUT" | "ESOCKETTIMEDOUT" | "ERR_SOCKET_TIMEOUT" | "EIDLETIMEOUT" | "EAI_AGAIN"
        | "ENOTFOUND" | "E408" | "E429" => Fault::RegistryUnreachable,
        _ if is_server_error || code.starts_with("ERR_STREAM_") => Fault::RegistryUnreachable,
        "E401" | "E403" | "ENEEDAUTH" => Fault::RegistryRefused,
        "E404" | "ETARGET" | "ENOVERSIONS" => Fault::PackageMissing,
        USAGE => Fault::LockfileStale,
        "EINTEGRITY" => Fault::PackageAltered,
        "EBADENGINE" => Fault::EngineUnfit,
        "ENOSPC" | "EDQUOT" => Fault::DiskFull,
        _ if ["CERT", "ERR_TLS_CERT", "UNABLE_TO_", "DEPTH_ZERO_", "SELF_SIGNED_"]
            .iter()
            .any(|start| code.starts_with(start)) =>
        {
            Fault::RegistryUntrusted
        }
        _ => return None,
    })
}

/// npm's error lines without details such as the code: npm's reason, or the last output of a package's script.
fn sentences(lines: &[ForeignText]) -> Vec<ForeignText> {
    const DETAILS: [&str; 7] = ["code ", "errno ", "syscall ", "path ", "command ", "at ", "A complete log"];
    let is_detail = |line: &str| line.is_empty() || DETAILS.iter().any(|detail| line.starts_with(detail));
    errors(lines).into_iter().filter(|line| !line.judge(is_detail)).collect()
}

/// The explanation of EUSAGE as one line: npm wraps it, and prints its usage after an empty line.
fn paragraph(errors: &[ForeignText]) -> Option<Message> {
    let all = errors.iter().skip(1).skip_while(|line| line.is_blank());
    let first: Vec<Message> = all.take_while(|line| !line.is_blank()).cloned().map(Message::from).collect();
    (!first.is_empty()).then(|| Message::joined(first, " "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Redaction;

    fn of(text: &str) -> Option<(Fault, String)> {
        let lines: Vec<ForeignText> = text.lines().map(ForeignText::line).collect();
        complaint(&lines).map(|it| (it.fault, it.cause.shown(&Redaction::default())))
    }

    /// As npm 10 and 11 print them.
    #[test]
    fn a_registry_that_does_not_answer() {
        let (fault, cause) = of("npm error code ECONNREFUSED\nnpm error syscall connect\nnpm error errno ECONNREFUSED\n\
            npm error FetchError: request to http://127.0.0.1:9/left-pad failed, reason: connect ECONNREFUSED 127.0.0.1:9\n\
            npm error     at ClientRequest.<anonymous> (minipass-fetch/lib/index.js:130:14)").unwrap();
        assert_eq!(fault, Fault::RegistryUnreachable);
        assert_eq!(
            cause,
            "npm ends with ECONNREFUSED: FetchError: request to http://127.0.0.1:9/left-pad failed, reason: connect ECONNREFUSED 127.0.0.1:9"
        );
    }

    #[test]
    fn a_lockfile_that_is_out_of_step() {
        let (fault, cause) = of("npm error code EUSAGE\nnpm error\nnpm error `npm ci` can only install packages when they are in sync.\n\
            npm error\nnpm error Missing: left-pad@1.3.0 from lock file\nnpm error\nnpm error Usage:").unwrap();
        assert_eq!(fault, Fault::LockfileStale);
        assert!(cause.contains("in sync. Missing: left-pad@1.3.0"), "{cause}");
    }

    #[test]
    fn a_missing_lockfile() {
        let (_, cause) = of("npm error code EUSAGE\nnpm error\n\
            npm error The `npm ci` command can only install with an existing package-lock.json or\n\
            npm error npm-shrinkwrap.json with lockfileVersion >= 1. Run an install with npm@5 or\n\
            npm error later to generate a package-lock.json file, then try again.\n\
            npm error\nnpm error Clean install a project")
        .unwrap();
        assert!(cause.ends_with("package-lock.json file, then try again."), "{cause}");
        assert!(cause.contains("EUSAGE: The `npm ci` command can only"), "{cause}");
    }

    /// Of npm 10, with `engine-strict=true`.
    #[test]
    fn of_two_engines_the_one_that_does_not_fit_is_named() {
        let said = |required: &str| {
            let text = format!(
                "npm error code EBADENGINE\nnpm error engine Unsupported engine\n\
                 npm error engine Not compatible with your version of node/npm: sample@1.0.0\n\
                 npm error notsup Not compatible with your version of node/npm: sample@1.0.0\n\
                 npm error notsup Required: {required}\n\
                 npm error notsup Actual:   {{\"npm\":\"10.9.3\",\"node\":\"v22.20.0\"}}"
            );
            let lines: Vec<ForeignText> = text.lines().map(ForeignText::line).collect();
            let told = complaint(&lines).unwrap();
            assert_eq!(told.fault, Fault::EngineUnfit);
            (told.cause.shown(&Redaction::default()), told.remedy)
        };
        let (cause, remedy) = said(r#"{"node":">=20","npm":"^9"}"#);
        assert_eq!(cause, "npm ends with EBADENGINE: sample@1.0.0 requires npm ^9, and this is npm 10.9.3");
        assert!(remedy.unwrap().contains("engines.npm"));
        let (cause, remedy) = said(r#"{"node":">=99"}"#);
        assert_eq!(
            (cause.ends_with("requires node >=99, and this is node v22.20.0"), remedy),
            (true, None),
            "{cause}"
        );
        let (cause, _) = said(r#"{"node":"stable","pnpm":"9"}"#);
        assert!(cause.contains("node stable"), "{cause}");
    }

    #[test]
    fn every_code_has_its_fault() {
        for (code, wanted) in [
            ("E503", Fault::RegistryUnreachable),
            ("E429", Fault::RegistryUnreachable),
            ("EAI_AGAIN", Fault::RegistryUnreachable),
            ("ERR_SOCKET_TIMEOUT", Fault::RegistryUnreachable),
            ("E401", Fault::RegistryRefused),
            ("E404", Fault::PackageMissing),
            ("ETARGET", Fault::PackageMissing),
            ("EINTEGRITY", Fault::PackageAltered),
            ("EBADENGINE", Fault::EngineUnfit),
            ("ENOSPC", Fault::DiskFull),
            ("CERT_HAS_EXPIRED", Fault::RegistryUntrusted),
            ("SELF_SIGNED_CERT_IN_CHAIN", Fault::RegistryUntrusted),
        ] {
            for style in ["npm error", "npm ERR!"] {
                assert_eq!(of(&format!("{style} code {code}\n{style} why")).unwrap().0, wanted, "{code}");
            }
        }
    }

    #[test]
    fn the_failure_of_a_script_is_not_a_fault_of_npm() {
        assert_eq!(of("npm error code 1\nnpm error path /x\nnpm error command failed"), None);
        assert_eq!(of("the docs say: npm error code E503"), None);
        assert_eq!(of(""), None);
    }
}
