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

pub fn is_web(found: Option<&Found>) -> bool {
    found.is_some_and(|found| WEB.iter().any(|name| found.has(name) == Some(true)))
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
