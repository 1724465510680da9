//! Errors in lines that a service logs as JSON, as pino, winston, bunyan and Nest do. Pure.

use serde_json::Value;

/// The error of a JSON line, as a service without a logger would print it: `Error: connect ECONNREFUSED 127.0.0.1:5432`.
/// None for other lines, and for levels below an error: those are about people more often than about a failure.
pub fn error_of(line: &str) -> Option<String> {
    let line = line.trim();
    if !line.starts_with('{') || !line.ends_with('}') {
        return None;
    }
    let Ok(Value::Object(fields)) = serde_json::from_str(line) else { return None };
    let level = fields.get("level").or_else(|| fields.get("severity"));
    if !level.is_some_and(is_error) {
        return None;
    }
    let of_error = ["err", "error", "exception"].iter().find_map(|name| fields.get(*name)).and_then(error);
    let said =
        || ["msg", "message", "stack"].iter().find_map(|name| first_line(fields.get(*name)?.as_str()?));
    of_error.or_else(said)
}

/// pino and bunyan number the levels: 50 is an error, 60 is fatal.
fn is_error(level: &Value) -> bool {
    match level {
        Value::Number(number) => number.as_u64().is_some_and(|number| number >= 50),
        Value::String(name) => {
            ["error", "fatal", "critical", "emerg", "alert", "crit"].contains(&name.to_lowercase().as_str())
        }
        _ => false,
    }
}

/// An error as a text, or as an object with its type and message.
fn error(value: &Value) -> Option<String> {
    let Value::Object(fields) = value else { return first_line(value.as_str()?) };
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    let stack = || first_line(text("stack")?);
    match (text("type").or_else(|| text("name")), text("message")) {
        (Some(name), Some(message)) => first_line(&format!("{name}: {message}")),
        (None, Some(message)) => stack().or_else(|| first_line(message)),
        _ => stack(),
    }
}

fn first_line(text: &str) -> Option<String> {
    let line = text.lines().next()?.trim();
    (!line.is_empty()).then(|| line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_a_line_of_error_level_is_found() {
        let refused = "Error: connect ECONNREFUSED 127.0.0.1:5432";
        for line in [
            r#"{"level":60,"time":1,"msg":"Error: connect ECONNREFUSED 127.0.0.1:5432"}"#,
            r#"{"level":50,"err":{"type":"Error","message":"connect ECONNREFUSED 127.0.0.1:5432","stack":"Error: x\n at y"},"msg":"failed"}"#,
            r#"{"level":"error","error":{"message":"connect ECONNREFUSED 127.0.0.1:5432","stack":"Error: connect ECONNREFUSED 127.0.0.1:5432\n    at x"}}"#,
            r#"{"severity":"ERROR","message":"Error: connect ECONNREFUSED 127.0.0.1:5432\n    at x"}"#,
        ] {
            assert_eq!(error_of(line).as_deref(), Some(refused), "{line}");
        }
    }

    #[test]
    fn other_lines_have_none() {
        for line in [
            r#"{"level":30,"msg":"Error: a user mistyped"}"#,
            r#"{"level":"info","err":"Error: x"}"#,
            r#"{"msg":"Error: no level"}"#,
            r#"{"level":50}"#,
            r#"{"level":50,"msg":"Error"#,
            "Error: plain",
            "{}",
            "",
        ] {
            assert_eq!(error_of(line), None, "{line}");
        }
    }
}
