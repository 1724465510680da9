//! Which packages show that a service listens on a port, and how Streamlit serves a script.

use super::found::Found;
use crate::facts::Source;

const WEB: &[&str] = &[
    "aiohttp",
    "bottle",
    "cherrypy",
    "chainlit",
    "daphne",
    "dash",
    "django",
    "falcon",
    "fastapi",
    "flask",
    "gradio",
    "granian",
    "gunicorn",
    "hypercorn",
    "litestar",
    "pyramid",
    "quart",
    "robyn",
    "sanic",
    "starlette",
    "streamlit",
    "tornado",
    "uvicorn",
    "waitress",
];

/// Programs that run the jobs of a service whose packages have a web framework, too.
const WORKERS: &[&str] =
    &["arq", "celery", "dramatiq", "huey_consumer", "huey_consumer.py", "rq", "rqworker"];

/// `line`: the start command.
pub fn is_web(found: Option<&Found>, line: Option<&str>) -> bool {
    let is_worker = line.unwrap_or_default().split_whitespace().any(|word| WORKERS.contains(&word));
    !is_worker && found.is_some_and(|found| WEB.iter().any(|name| found.has(name) == Some(true)))
}

/// The scripts that Streamlit's own documents and templates name.
pub const SCRIPTS: [&str; 3] = ["streamlit_app.py", "app.py", "main.py"];

/// The command that serves the script that imports Streamlit. It asks for an address of e-mail unless it is headless.
pub fn streamlit(source: &Source, found: Option<&Found>) -> Option<String> {
    found.filter(|found| found.has("streamlit") == Some(true))?;
    let imports = |text: &str| {
        text.lines().any(|line| line.starts_with("import streamlit") || line.starts_with("from streamlit"))
    };
    let script = SCRIPTS.into_iter().find(|path| source.text(path).is_some_and(imports))?;
    Some(format!(
        "streamlit run {script} --server.headless true --server.address 0.0.0.0 --server.port ${{PORT:-8501}}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::testing::source;
    use crate::planner::runtime::python::found::Kind;

    fn found(names: &[&str]) -> Found {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Found { kind: Kind::Requirements, path: "requirements.txt", names: Some(names) }
    }

    #[test]
    fn a_framework_listens_and_its_worker_does_not() {
        let django = found(&["django", "celery"]);
        assert!(is_web(Some(&django), Some("gunicorn shop.wsgi")) && is_web(Some(&django), None));
        assert!(!is_web(Some(&django), Some("celery -A shop worker")));
        assert!(!is_web(Some(&found(&["requests"])), Some("python main.py")) && !is_web(None, None));
    }

    #[test]
    fn a_script_that_imports_streamlit_is_served_by_it() {
        let of = |files: &[(&str, &str)]| streamlit(&source(files), Some(&found(&["streamlit"])));
        let line = of(&[("app.py", "import os\nimport streamlit as st\n")]).unwrap();
        assert!(
            line.starts_with("streamlit run app.py ") && line.ends_with("--server.port ${PORT:-8501}"),
            "{line}"
        );
        assert_eq!(of(&[("app.py", "import flask\n"), ("pages/x.py", "import streamlit\n")]), None);
        assert_eq!(streamlit(&source(&[("app.py", "import streamlit\n")]), Some(&found(&["flask"]))), None);
    }
}
