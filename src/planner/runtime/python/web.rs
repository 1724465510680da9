//! Which packages show that a service listens on a port.

use super::found::Found;

/// Not aiohttp and tornado, which bots use as clients.
const WEB: &[&str] = &[
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

#[cfg(test)]
mod tests {
    use super::*;
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
}
