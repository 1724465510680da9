//! What a word of a start line becomes, one step further: the result of a runner's rule. Data only.

/// What a line becomes.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// This line, without the runner.
    Line(String),
    /// A script of the root's package.json, with the arguments that follow.
    Script { name: String, arguments: String },
    /// A script of a workspace's package.json. The workspace is a name or a directory, and behind `./` a directory only.
    Workspace { workspace: String, script: String, arguments: String },
    /// A script of the only workspace that has it.
    OnlyWorkspace { script: String, arguments: String },
    /// The line is not a runner's, or one that must stay.
    Stays,
}

/// A rewritten line, the variables in front of it, and a note if something of it is left out.
#[derive(Debug)]
pub struct Rewritten {
    pub next: Next,
    pub environment: Vec<(String, String)>,
    pub note: Option<String>,
}

impl Rewritten {
    pub fn to(next: Next) -> Rewritten {
        Rewritten { next, environment: Vec::new(), note: None }
    }

    pub fn line(line: impl Into<String>) -> Rewritten {
        Rewritten::to(Next::Line(line.into()))
    }

    pub fn noting(mut self, note: String) -> Rewritten {
        self.note = Some(note);
        self
    }
}
