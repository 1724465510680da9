//! The application object of a module, found by reading its source: what is assigned, defined or imported at its top
//! level. It is not run and not parsed whole: a name that is made in another way must be named by the manifest.

/// What a server must load from a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// `app`, or `create_app` that makes one.
    pub name: String,
    pub is_factory: bool,
    pub interface: Interface,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interface {
    Wsgi,
    Asgi,
    /// Its module does not show it.
    Unknown,
}

/// What makes an application: the class or function that is called.
const MAKERS: [(&str, Interface); 18] = [
    ("Flask", Interface::Wsgi),
    ("Bottle", Interface::Wsgi),
    ("default_app", Interface::Wsgi),
    ("App", Interface::Wsgi),
    ("API", Interface::Wsgi),
    ("Dash", Interface::Wsgi),
    ("get_wsgi_application", Interface::Wsgi),
    ("make_wsgi_app", Interface::Wsgi),
    ("FastAPI", Interface::Asgi),
    ("Starlette", Interface::Asgi),
    ("Quart", Interface::Asgi),
    ("Litestar", Interface::Asgi),
    ("Sanic", Interface::Asgi),
    ("BlackSheep", Interface::Asgi),
    ("FastHTML", Interface::Asgi),
    ("fast_app", Interface::Asgi),
    ("ASGIApp", Interface::Asgi),
    ("get_asgi_application", Interface::Asgi),
];

/// Names by which servers and people know an application, the usual ones first.
const NAMES: [&str; 5] = ["app", "application", "api", "server", "asgi_app"];
const FACTORIES: [&str; 5] = ["create_app", "make_app", "build_app", "get_app", "create_application"];
/// Packages whose import makes a module's own application one of this kind.
const ASGI: [&str; 7] = ["fastapi", "starlette", "quart", "litestar", "sanic", "asgi", "fasthtml"];
const WSGI: [&str; 7] = ["flask", "django", "bottle", "falcon", "pyramid", "dash", "wsgi"];

/// The module's application, if it has one. Dash keeps it in `app.server`.
pub fn find(text: &str) -> Option<Object> {
    let lines = top_level(text);
    let interface = match () {
        () if imports(&lines, &ASGI) => Interface::Asgi,
        () if imports(&lines, &WSGI) => Interface::Wsgi,
        () => Interface::Unknown,
    };
    let mut made: Vec<Object> = lines.iter().filter_map(|line| assigned(line, interface)).collect();
    made.extend(lines.iter().filter_map(|line| defined(line, interface)));
    made.extend(lines.iter().flat_map(|line| imported(line, interface)));
    let rank = |object: &Object| {
        let known = NAMES.iter().position(|name| *name == object.name).unwrap_or(NAMES.len());
        (object.is_factory, known)
    };
    made.into_iter().min_by_key(rank)
}

/// Whether a module serves or works when it is run, besides defining things for others.
pub fn is_program(text: &str) -> bool {
    top_level(text).iter().any(|line| {
        line.starts_with("if __name__ ==") || called(line).is_some_and(|name| name.ends_with(".run"))
    })
}

/// Whether a module does anything at all when it is run: it calls a function at its top level, or loops there.
pub fn is_script(text: &str) -> bool {
    let loops = |line: &str| ["for ", "while ", "with "].iter().any(|word| line.starts_with(word));
    is_program(text) || top_level(text).iter().any(|line| loops(line) || called(line).is_some())
}

/// `print(...)`, `client.run(TOKEN)`: what a line calls that does nothing else.
fn called(line: &str) -> Option<&str> {
    let (name, _) = line.split_once('(')?;
    name.split('.').all(is_name).then_some(name)
}

/// The lines that begin at the first column, outside of texts in triple quotes. One pass over the bytes: a line of quotes must
/// not take quadratic time.
fn top_level(text: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut within: Option<u8> = None;
    for line in text.lines() {
        let starts_within = within.is_some();
        let (bytes, mut at) = (line.as_bytes(), 0);
        while at < bytes.len() {
            let triple = |quote: u8| bytes[at..].starts_with(&[quote; 3]);
            match within {
                Some(quote) if triple(quote) => (within, at) = (None, at + 3),
                None if bytes[at] == b'#' => break,
                None if triple(b'"') || triple(b'\'') => (within, at) = (Some(bytes[at]), at + 3),
                _ => at += 1,
            }
        }
        if !starts_within && line.starts_with(|c: char| c.is_alphabetic() || c == '_') {
            lines.push(line);
        }
    }
    lines
}

fn imports(lines: &[&str], packages: &[&str]) -> bool {
    lines.iter().filter(|line| line.starts_with("import ") || line.starts_with("from ")).any(|line| {
        line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| packages.contains(&word))
    })
}

/// `app = Flask(__name__)`, `app: FastAPI = FastAPI()`, `application = create_app()`, `app, route = fast_app()`.
fn assigned(line: &str, interface: Interface) -> Option<Object> {
    let (left, right) = line.split_once('=')?;
    let name = left.split([':', ',']).next()?.trim();
    let right = right.trim();
    if !is_name(name) || right.starts_with('=') {
        return None;
    }
    let called = right.split('(').next().filter(|_| right.contains('('))?.trim();
    let maker = called.rsplit('.').next().unwrap_or(called);
    let known = MAKERS.iter().find(|(known, _)| *known == maker).map(|(_, interface)| *interface);
    let interface = match known {
        // falcon.asgi.App()
        Some(_) if called.contains("asgi") => Interface::Asgi,
        Some(known) => known,
        None if NAMES[..2].contains(&name) && called.split('.').all(is_name) => interface,
        None => return None,
    };
    let name = if maker == "Dash" { format!("{name}.server") } else { name.to_owned() };
    Some(Object { name, is_factory: false, interface })
}

/// `def app(environ, start_response)`, `async def app(scope, receive, send)`, `def create_app()`.
fn defined(line: &str, module: Interface) -> Option<Object> {
    let (is_async, rest) = match line.strip_prefix("async def ") {
        Some(rest) => (true, rest),
        None => (false, line.strip_prefix("def ")?),
    };
    let (name, arguments) = rest.split_once('(')?;
    let name = name.trim();
    let arguments = arguments.split_once(')').map_or(arguments, |(arguments, _)| arguments);
    let object = |is_factory, interface| Some(Object { name: name.to_owned(), is_factory, interface });
    match (is_async, arguments.split(',').map(str::trim).filter(|one| !one.is_empty()).count()) {
        (true, 3) if NAMES.contains(&name) => object(false, Interface::Asgi),
        (false, 2) if NAMES.contains(&name) => object(false, Interface::Wsgi),
        _ if !FACTORIES.contains(&name) || is_async => None,
        _ => {
            let needs_none = arguments
                .split(',')
                .map(str::trim)
                .all(|one| one.is_empty() || one.contains('=') || one.starts_with('*'));
            if needs_none { object(true, module) } else { None }
        }
    }
}

/// `from shop import app`, `from shop import create_app`, `from shop.web import api as application`.
fn imported(line: &str, interface: Interface) -> Vec<Object> {
    let Some((_, names)) = line.strip_prefix("from ").and_then(|rest| rest.split_once(" import ")) else {
        return Vec::new();
    };
    let names = names.split('#').next().unwrap_or_default().trim_matches(['(', ')', ' ']);
    let name = |one: &str| one.rsplit(" as ").next().unwrap_or(one).trim().to_owned();
    let known = names.split(',').map(name).filter(|name| NAMES[..2].contains(&name.as_str()));
    known.map(|name| Object { name, is_factory: false, interface }).collect()
}

fn is_name(text: &str) -> bool {
    let letter = |c: char| c.is_alphanumeric() || c == '_';
    !text.is_empty() && text.chars().all(letter) && !text.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn is(text: &str, name: &str, is_factory: bool, interface: Interface) {
        assert_eq!(find(text), Some(Object { name: name.to_owned(), is_factory, interface }), "{text}");
    }

    #[test]
    fn an_application_is_found_by_what_makes_it() {
        is("from flask import Flask\napp = Flask(__name__)\n", "app", false, Interface::Wsgi);
        is("import flask\nweb = flask.Flask('x')\n", "web", false, Interface::Wsgi);
        is("from fastapi import FastAPI\napp: FastAPI = FastAPI(title='x')\n", "app", false, Interface::Asgi);
        is("application = get_wsgi_application()\n", "application", false, Interface::Wsgi);
        is("application = get_asgi_application()\n", "application", false, Interface::Asgi);
        is("import falcon.asgi\nx = falcon.asgi.App()\n", "x", false, Interface::Asgi);
        is("from dash import Dash\napp = Dash(__name__)\n", "app.server", false, Interface::Wsgi);
        is("from shop import build\napp = build()\n", "app", false, Interface::Unknown);
    }

    #[test]
    fn or_by_its_interface_a_factory_or_an_import() {
        is("def application(environ, start_response):\n    pass\n", "application", false, Interface::Wsgi);
        is("async def app(scope, receive, send):\n    pass\n", "app", false, Interface::Asgi);
        is(
            "from flask import Flask\ndef create_app(config=None):\n    pass\n",
            "create_app",
            true,
            Interface::Wsgi,
        );
        is("from shop import app as application\n", "application", false, Interface::Unknown);
        is("from fastapi import FastAPI\ndef create_app():\n    pass\n", "create_app", true, Interface::Asgi);
        is("def create_app():\n    pass\napp = create_app()\n", "app", false, Interface::Unknown);
    }

    #[test]
    fn what_is_not_at_the_top_level_or_no_application_is_not_found() {
        for text in [
            "import json\n",
            "def main():\n    app = Flask(__name__)\n",
            "\"\"\"\napp = Flask(__name__)\n\"\"\"\n",
            "'''x''' ; y = '''\napp = Flask(__name__)\n'''\n",
            "app == Flask()\n",
            "app = 3\n",
            "def create_app(config):\n    pass\n",
            "def app(request):\n    pass\n",
            "# app = Flask(__name__)\n",
        ] {
            assert_eq!(find(text), None, "{text}");
        }
    }

    #[test]
    fn a_program_does_something_when_it_is_run() {
        for text in ["x = 1\nif __name__ == \"__main__\":\n    main()\n", "bot = Bot()\nbot.run(TOKEN)\n"] {
            assert!(is_program(text) && is_script(text), "{text}");
        }
        for text in ["print(\"x\")\n", "while True:\n    work()\n", "import x\nx.start()\n"] {
            assert!(!is_program(text) && is_script(text), "{text}");
        }
        for text in ["def main():\n    pass\n", "x = y(1)\n", "class A(B):\n    x()\n", "import json\n", ""] {
            assert!(!is_program(text) && !is_script(text), "{text}");
        }
    }

    #[test]
    fn fasthtml_has_an_asgi_application() {
        let of = "from fasthtml.common import *\n";
        is(&format!("{of}app = FastHTML(hdrs=())\n"), "app", false, Interface::Asgi);
        is(&format!("{of}app, rt = fast_app()\n"), "app", false, Interface::Asgi);
        is(&format!("{of}app,rt,todos = fast_app('x.db')\n"), "app", false, Interface::Asgi);
    }

    #[test]
    fn a_line_of_quotes_takes_no_more_time_than_its_length() {
        let long = "\"".repeat(256 << 10);
        let started = std::time::Instant::now();
        assert!(top_level(&long).is_empty());
        assert!(started.elapsed().as_secs() < 2, "{:?}", started.elapsed());
    }
}
