//! Django: where manage.py is, which settings it names, and what must be built of them.

use super::found::Found;
use super::tree::{SRC, is_known};
use crate::facts::Source;
use crate::planner::unmet::{Unmet, require_texts};

/// A project of Django.
pub struct Project {
    /// The module of its settings: `shop.settings`.
    pub settings: String,
    /// The directory of manage.py, where that is not the root.
    pub below: Option<&'static str>,
}

impl Project {
    /// The path of a file that lies below the directory of manage.py.
    pub fn path(&self, path: &str) -> String {
        self.below.map_or(path.to_owned(), |below| format!("{below}/{path}"))
    }
}

/// The project whose manage.py is at the root or in `src`.
pub fn project(source: &Source) -> Result<Option<Project>, Unmet> {
    let of = |below: Option<&'static str>| {
        let project = Project { settings: String::new(), below };
        let settings = source.text(&project.path(MANAGE)).and_then(settings_module)?.to_owned();
        Some(Project { settings, below })
    };
    if source.has(MANAGE) {
        return Ok(of(None));
    }
    let in_src = format!("{SRC}/{MANAGE}");
    if !is_known(source, &in_src) {
        return Ok(None);
    }
    require_texts(source, &[&in_src])?;
    Ok(of(Some(SRC)))
}

const MANAGE: &str = "manage.py";

/// `os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")`.
fn settings_module(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("DJANGO_SETTINGS_MODULE")?;
    let (_, rest) = rest.split_once([',', '='])?;
    let rest = rest.trim_start_matches([' ', '\n', '\t', '\'', '"', ']']);
    let module = rest.split(['\'', '"']).next()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    (module.contains('.') && module.chars().all(plain)).then_some(module)
}

/// The texts of the settings. Settings by environment are in a package, and share the most of them.
fn settings<'a>(source: &'a Source, project: &Project) -> Result<Vec<&'a str>, Unmet> {
    let module = project.settings.replace('.', "/");
    let directory = module.rsplit_once('/').map_or("", |(directory, _)| directory);
    let beside = ["base", "common", "__init__"].map(|name| format!("{directory}/{name}"));
    let own = [module.clone(), format!("{module}/__init__"), format!("{module}/base")];
    let paths: Vec<String> =
        own.into_iter().chain(beside).map(|path| project.path(&format!("{path}.py"))).collect();
    let there: Vec<&str> = paths.iter().map(String::as_str).filter(|path| is_known(source, path)).collect();
    require_texts(source, &there)?;
    Ok(there.iter().filter_map(|path| source.text(path)).collect())
}

/// A note on the command that collects the static files which WhiteNoise serves. It is not run by itself: which settings
/// production has, and what they need, may be in the secret, which a build does not see.
pub fn collects(source: &Source, found: Option<&Found>) -> Result<Option<String>, Unmet> {
    if found.and_then(|found| found.has("whitenoise")) != Some(true) {
        return Ok(None);
    }
    let Some(project) = project(source)? else { return Ok(None) };
    let texts = settings(source, &project)?;
    let is_set = |line: &str| line.trim_start().starts_with("STATIC_ROOT");
    if !texts.iter().any(|text| text.lines().any(is_set)) {
        return Ok(None);
    }
    let mut keys: Vec<&str> = texts.iter().flat_map(|text| secret_keys(text)).collect();
    keys.sort_by_key(|key| (key.len(), *key));
    keys.dedup();
    let unused: String = keys.iter().take(MOST_KEYS).map(|key| format!("{key}=unused ")).collect();
    Ok(Some(format!(
        "WhiteNoise serves what collectstatic makes, and nothing makes it: build = \"{unused}python {} collectstatic --noinput\" in \
         bootagent.toml, with a value for what else the settings need (DJANGO_SETTINGS_MODULE, DATABASE_URL=sqlite:///unused): \
         builds do not get the secret",
        project.path(MANAGE)
    )))
}

/// A note on settings that keep their database beside the code, unless a variable names another one.
pub fn database(source: &Source) -> Result<Option<String>, Unmet> {
    let Some(project) = project(source)? else { return Ok(None) };
    let texts = settings(source, &project)?;
    let says = |words: &str| texts.iter().any(|text| text.contains(words));
    const OF_ANOTHER: [&str; 6] =
        ["DATABASE_URL", "dj_database_url", "env.db", "postgres", "mysql", "DB_HOST"];
    let names_another = OF_ANOTHER.iter().any(|words| says(words));
    let is_beside = says("django.db.backends.sqlite3") && says("BASE_DIR") && !names_another;
    Ok(is_beside.then(|| {
        "the settings keep a SQLite database in the release, which is read-only and replaced by the next one: put its file below HOME, \
         or into a directory of persist"
            .to_owned()
    }))
}

const MOST_KEYS: usize = 4;

/// The variables of keys that settings ask for, as `SECRET_KEY`: a build has none, and uses none.
fn secret_keys(text: &str) -> impl Iterator<Item = &str> {
    let is_name = |word: &&str| {
        word.ends_with("SECRET_KEY")
            && word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
    };
    text.split(['"', '\'']).filter(is_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_found_however_they_are_quoted() {
        for text in [
            "os.environ.setdefault(\"DJANGO_SETTINGS_MODULE\", \"shop.settings\")",
            "os.environ.setdefault('DJANGO_SETTINGS_MODULE',\n    'shop.settings')",
            "os.environ['DJANGO_SETTINGS_MODULE'] = 'shop.settings'",
        ] {
            assert_eq!(settings_module(text), Some("shop.settings"), "{text}");
        }
        for text in
            ["", "DJANGO_SETTINGS_MODULE", "DJANGO_SETTINGS_MODULE, name", "DJANGO_SETTINGS_MODULE, '../x.y'"]
        {
            assert_eq!(settings_module(text), None, "{text}");
        }
    }

    #[test]
    fn keys_are_the_quoted_names() {
        let text = "SECRET_KEY = env('DJANGO_SECRET_KEY')\nA = os.environ[\"SECRET_KEY\"]\nB = \"my SECRET_KEY\"\nC = 'secret_key'";
        assert_eq!(secret_keys(text).collect::<Vec<_>>(), ["DJANGO_SECRET_KEY", "SECRET_KEY"]);
    }
}
