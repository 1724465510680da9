//! What an application of Nx starts, by its project.json: `nx serve` builds at each start, and watches. Pure.

use serde_json::Value;

use crate::facts::Source;

/// `{"targets": {"build": {"options": {"outputPath": "dist/api", "main": "src/main.ts"}}}}`.
pub fn start(source: &Source) -> Option<(String, String)> {
    let project: Value = serde_json::from_str(source.text("project.json")?).ok()?;
    let options = project.get("targets")?.get("build")?.get("options")?;
    let text = |name: &str| options.get(name).and_then(Value::as_str).filter(|text| is_path(text));
    let (output, main) = (text("outputPath")?, text("main")?);
    let name = main.rsplit('/').next()?.rsplit_once('.')?.0;
    Some((
        format!("node {}/{name}.js", output.trim_end_matches('/')),
        "targets.build in project.json".to_owned(),
    ))
}

fn is_path(text: &str) -> bool {
    !text.starts_with('/') && text.chars().all(|c| c.is_ascii_alphanumeric() || "./-_@".contains(c))
}
