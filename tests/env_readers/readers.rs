//! The real readers, each started once for many texts.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

pub type Pairs = Vec<(String, String)>;

const DOTENV: &str = r#"{"private": true, "dependencies": {
    "dotenv16": "npm:dotenv@16.6.1", "dotenv17": "npm:dotenv@17.4.2", "dotenv18": "npm:dotenv@18.0.10",
    "dotenv-expand": "12.0.3", "@next/env": "15.4.5"
}}"#;

/// What each reader of node's family makes of each text.
pub fn node(texts: &[String]) -> BTreeMap<String, Vec<Pairs>> {
    let script = include_str!("node.js");
    let mut node = Command::new("node");
    node.arg("-e").arg(script).arg(packages());
    let answers: BTreeMap<String, Vec<Pairs>> = ask(node, texts, "node 20.12 or newer on PATH");
    assert_eq!(answers.len(), 7, "a reader is missing: {:?}", answers.keys());
    answers
}

/// What systemd makes of each text; `None` where it refuses the file.
pub fn systemd(texts: &[String]) -> Vec<Option<Pairs>> {
    let mut python = Command::new("python3");
    python.arg("-c").arg(include_str!("systemd.py"));
    ask(python, texts, "python3 and Debian's libsystemd-shared")
}

fn ask<T: serde::de::DeserializeOwned>(mut command: Command, texts: &[String], needs: &str) -> T {
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.unwrap_or_else(|error| panic!("this test needs {needs}: {error}"));
    let mut stdin = child.stdin.take().expect("stdin is piped");
    let question = serde_json::to_vec(texts).expect("texts are JSON");
    let writer = std::thread::spawn(move || stdin.write_all(&question));
    let output = child.wait_with_output().expect("the reader ends");
    let asked = writer.join().expect("the writer does not panic");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && asked.is_ok(), "this test needs {needs}; the reader said: {stderr}");
    serde_json::from_slice(&output.stdout).expect("the reader answers in JSON")
}

/// A directory with the dotenv packages, installed once per build directory.
fn packages() -> &'static Path {
    static PACKAGES: OnceLock<PathBuf> = OnceLock::new();
    PACKAGES.get_or_init(|| {
        let done = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dotenv");
        let same = std::fs::read_to_string(done.join("package.json")).is_ok_and(|text| text == DOTENV);
        if !same {
            install(&done);
        }
        done
    })
}

/// Aside and then renamed: a run that is killed leaves nothing that looks finished.
fn install(done: &Path) {
    let fresh = done.with_extension(std::process::id().to_string());
    std::fs::create_dir_all(&fresh).expect("target/tmp can be written");
    std::fs::write(fresh.join("package.json"), DOTENV).expect("target/tmp can be written");
    let npm = ["install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"];
    let output = Command::new("npm").args(npm).current_dir(&fresh).output();
    let output = output.unwrap_or_else(|error| panic!("this test needs npm on PATH: {error}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "npm could not install the dotenv packages: {stderr}");
    let _ = std::fs::remove_dir_all(done);
    // Another test process may have been quicker: its copy is as good.
    let _ = std::fs::rename(&fresh, done);
}
