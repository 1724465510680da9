//! `bootagent init`: writes a first bootagent.toml for a working tree. Never replaces one.

use super::inspect::inspect;
use crate::cli::InitArgs;
use crate::error::{Code, Error, Result};
use crate::machine;
use crate::observe::MANIFEST;
use crate::planner::lint;
use crate::report::print;

pub fn init(args: &InitArgs) -> u8 {
    match write(args).and_then(|text| print(&text)) {
        Ok(()) => 0,
        Err(error) => super::print_error(&error),
    }
}

fn write(args: &InitArgs) -> Result<String> {
    let text = lint::manifest(&inspect(&args.path, false)?.lint);
    if args.print {
        return Ok(text);
    }
    let path = args.path.join(MANIFEST);
    match machine::create_file(&path, text.as_bytes())? {
        true => Ok(format!("{} is written: read it, commit it, and then: bootagent validate\n", path.display())),
        false => Err(Error::new(Code::Usage, format!("writing {}", path.display()), "it exists, and init replaces no file")
            .remedy("edit it; bootagent init --print shows what init would write, and bootagent validate checks the file")),
    }
}
