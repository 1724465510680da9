//! The planner's questions and their answers, as plain data. The answers are recorded with the machine.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// A fact that the planner needs and does not have. `boot` answers the question, then the planner starts again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// A stable name for the answer, and for the wait in the status: `node-index`.
    pub name: String,
    /// What is being done to answer it, for messages: "reading the index of Node's releases".
    pub what: String,
    pub ask: Ask,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// The text at an https address; `most` is its limit in bytes.
    Document { address: String, most: u64 },
    /// The text of these files of the commit, which no fetch has read yet.
    Evidence(Vec<String>),
}

/// Answers by the names of their questions. `Source` has the answers to `Ask::Evidence`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Known(BTreeMap<String, String>);

impl Known {
    pub fn answer(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub fn learn(&mut self, question: &Question, answer: String) {
        self.0.insert(question.name.clone(), answer);
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Also reads the records of the first version, which knew one answer: the index of Node's releases, as a list.
impl<'de> Deserialize<'de> for Known {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Answers(BTreeMap<String, String>),
            NodeIndex(Option<Vec<serde_json::Map<String, Value>>>),
        }
        Ok(match Written::deserialize(deserializer)? {
            Written::Answers(answers) => Known(answers),
            Written::NodeIndex(None) => Known::default(),
            Written::NodeIndex(Some(index)) => {
                let index: Vec<Value> = index.into_iter().map(as_served).collect();
                Known([("node-index".to_owned(), Value::from(index).to_string())].into())
            }
        })
    }
}

/// A release as in the index: the list of the first version had versions without the index's `v`.
fn as_served(mut release: serde_json::Map<String, Value>) -> Value {
    if let Some(Value::String(version)) = release.get_mut("version") {
        version.insert(0, 'v');
    }
    release.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_in_both_forms() {
        let question = Question {
            name: "node-index".into(),
            what: "reading".into(),
            ask: Ask::Document { address: "https://x.test/index.json".into(), most: 1 },
        };
        let mut known = Known::default();
        known.learn(&question, "[]".to_owned());
        let written = serde_json::to_string(&known).unwrap();
        assert_eq!(serde_json::from_str::<Known>(&written).unwrap(), known);

        let of_old: Known =
            serde_json::from_str(r#"[{"version": "22.11.0", "lts": null, "files": []}]"#).unwrap();
        assert!(of_old.answer("node-index").unwrap().contains("\"version\":\"v22.11.0\""));
        assert_eq!(serde_json::from_str::<Known>("null").unwrap(), Known::default());
    }
}
