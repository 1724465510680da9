//! The command that serves an application: by the servers among the dependencies.

use super::found::Found;
use super::objects::{Interface, Object};
use crate::error::{Code, Error, Result};
use crate::facts::Source;

pub const DOING: &str = "looking for the start command";

/// An application, and how Python imports it.
#[derive(Debug)]
pub struct Application {
    pub module: String,
    pub object: Object,
    /// The directory whose modules are imported, where that is not the root.
    pub below: Option<&'static str>,
}

/// Frameworks whose applications speak ASGI, and those of WSGI.
const ASGI: [&str; 7] =
    ["fastapi", "starlette", "quart", "litestar", "sanic", "blacksheep", "python-fasthtml"];
const WSGI: [&str; 6] = ["flask", "django", "bottle", "falcon", "pyramid", "dash"];

/// The command that serves it. A server that is not among the dependencies is not chosen.
pub fn serve(application: &Application, found: Option<&Found>) -> Result<String> {
    let line = of_server(application, found)?;
    Ok(match application.below {
        Some(directory) => format!("PYTHONPATH={directory} {line}"),
        None => line,
    })
}

fn of_server(application: &Application, found: Option<&Found>) -> Result<String> {
    let Application { module, object, .. } = application;
    let has = |name: &str| found.and_then(|found| found.has(name));
    let interface = interface(object, found);
    let all: &[&str] = match interface {
        Interface::Asgi => &["uvicorn", "hypercorn", "gunicorn"],
        Interface::Wsgi | Interface::Unknown => &["gunicorn", "waitress"],
    };
    // Where the dependencies are not known, the usual one is taken for one of them.
    let server =
        all.iter().find(|name| has(name) == Some(true)).or(all.iter().find(|name| has(name).is_none()));
    let Object { name, is_factory, .. } = object;
    let called = if *is_factory { format!("{module}:{name}()") } else { format!("{module}:{name}") };
    Ok(match server {
        Some(&"gunicorn") if interface == Interface::Asgi => {
            format!("gunicorn --worker-class uvicorn.workers.UvicornWorker {}", quoted(&called))
        }
        // It reads PORT and WEB_CONCURRENCY by itself, and listens on all addresses.
        Some(&"gunicorn") => format!("gunicorn {}", quoted(&called)),
        Some(&"waitress") => {
            let factory = if *is_factory { "--call " } else { "" };
            format!("waitress-serve --listen=0.0.0.0:${{PORT:-8000}} {factory}{module}:{name}")
        }
        Some(&"uvicorn") => {
            let factory = if *is_factory { "--factory " } else { "" };
            format!("uvicorn --host 0.0.0.0 --port ${{PORT:-8000}} {factory}{module}:{name}")
        }
        Some(_) => format!("hypercorn --bind 0.0.0.0:${{PORT:-8000}} {}", quoted(&called)),
        None => {
            let cause = format!(
                "the application is {name} in the module {module}, and none of {} is among the dependencies",
                all.join(", ")
            );
            // A line that works at once, for a first try.
            let line = match () {
                () if has("flask") == Some(true) => {
                    format!("flask --app {module} run --host 0.0.0.0 --port $PORT")
                }
                () if has("django") == Some(true) => {
                    let below = application.below.map_or(String::new(), |below| format!("{below}/"));
                    format!("python {below}manage.py runserver --noreload 0.0.0.0:$PORT")
                }
                () => "...".to_owned(),
            };
            let what = if line == "..." { "" } else { ", with the server for development" };
            return Err(Error::new(Code::ManifestInvalid, DOING, cause).remedy(format!(
                "add {} to the dependencies, or start = \"{line}\" to bootagent.toml{what}",
                all[0]
            )));
        }
    })
}

/// What its module does not show, the dependencies may.
fn interface(object: &Object, found: Option<&Found>) -> Interface {
    let has_any =
        |names: &[&str]| names.iter().any(|name| found.and_then(|found| found.has(name)) == Some(true));
    match object.interface {
        Interface::Unknown if has_any(&ASGI) && !has_any(&WSGI) => Interface::Asgi,
        known => known,
    }
}

fn quoted(word: &str) -> String {
    if word.ends_with(')') { format!("'{word}'") } else { word.to_owned() }
}

/// Files of Streamlit's applications, as its own documents call them.
const OF_STREAMLIT: [&str; 4] = ["streamlit_app.py", "app.py", "main.py", "Home.py"];

/// An application of Streamlit is a script that only its own server can run.
pub fn of_an_interface(source: &Source, found: Option<&Found>) -> Option<String> {
    found.filter(|found| found.has("streamlit") == Some(true))?;
    let imports = |text: &str| {
        text.lines().any(|line| line.starts_with("import streamlit") || line.starts_with("from streamlit"))
    };
    let path = OF_STREAMLIT.into_iter().find(|path| source.text(path).is_some_and(imports))?;
    Some(format!(
        "streamlit run {path} --server.address 0.0.0.0 --server.port ${{PORT:-8501}} --server.headless true"
    ))
}

/// A program that Python runs. Gradio listens on loopback, unless these variables name the address.
pub fn of_a_program(path: &str, found: Option<&Found>) -> String {
    match found.and_then(|found| found.has("gradio")) {
        Some(true) => {
            format!("GRADIO_SERVER_NAME=0.0.0.0 GRADIO_SERVER_PORT=${{PORT:-7860}} python {path}")
        }
        _ => format!("python {path}"),
    }
}
