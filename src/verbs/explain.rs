//! `bootagent explain`: what an error code means and what to do about it. Without a code, all codes.

use crate::cli::ExplainArgs;
use crate::error::{Code, Error, Result};
use crate::report::print;

pub fn explain(args: &ExplainArgs) -> u8 {
    let text = match &args.code {
        Some(name) => found(name).map(one),
        None => Ok(all()),
    };
    match text.and_then(|text| print(&text)) {
        Ok(()) => 0,
        Err(error) => super::print_error(&error),
    }
}

fn one(code: Code) -> String {
    let (name, exit) = (code.name(), code.exit() as u8);
    format!(
        "{name} (exit status {exit})\n\n\
         When:   {}\n\
         Remedy: {}\n\n\
         The error itself says more, and may have a remedy that fits it better: bootagent status --steps\n\
         All of this code in the journal: journalctl BOOTAGENT_CODE={name}\n",
        code.when(),
        code.remedy()
    )
}

fn all() -> String {
    let widest = Code::ALL.iter().map(|code| code.name().len()).max().unwrap_or(0);
    Code::ALL.iter().map(|code| format!("{:widest$}  {}\n", code.name(), code.when())).collect()
}

fn found(name: &str) -> Result<Code> {
    Code::named(name).ok_or_else(|| {
        let asked = name.to_ascii_uppercase();
        let alike = |code: &&Code| (strsim::jaro_winkler(code.name(), &asked) * 1000.0) as u32;
        let nearest = Code::ALL.iter().max_by_key(alike).map_or("E-USAGE", |code| code.name());
        let cause = format!("no error has the code {}", name.escape_default());
        Error::new(Code::Usage, "explaining an error", cause)
            .remedy(format!("did you mean {nearest}? bootagent explain lists all codes"))
    })
}
