//! One line of a program's standard output.

use super::{Failure, Metrics};
use serde_json::{Map, Value};

/// Characters of a foreign text that are shown or kept.
const SHOWN: usize = 200;
/// Characters kept of the reason that a program gives.
const REASON: usize = 2000;

/// What a line says.
#[derive(Debug, PartialEq)]
pub(super) enum Answer {
    /// About this trial, with what is in it.
    Of(usize, Result<Metrics, Failure>),
    /// How this trial stands after a step.
    Step(usize, usize, Metrics),
    /// It is no answer; why, in a few words and in full.
    Rubbish(String, String),
}

/// Reads a line. `wanted` must be among the metrics.
pub(super) fn read(line: &[u8], wanted: &[String]) -> Answer {
    let text = String::from_utf8_lossy(line);
    let text = text.trim();
    let rubbish = |kind: &str, why: &str| {
        let kind = kind.to_string();
        let reason = format!("{kind}{why}: {}", shown(text));
        Answer::Rubbish(kind, reason)
    };
    let line: Map<String, Value> = match serde_json::from_str(text) {
        Ok(line) => line,
        // Python's json.dumps writes what JSON does not have.
        Err(_) if text.starts_with('{') && (text.contains("NaN") || text.contains("Infinity")) => {
            return rubbish("its answer holds NaN or Infinity", ", which are not JSON")
        }
        Err(_) => return rubbish("what it wrote to standard output is no answer", ""),
    };
    let Some(trial) = line.get("trial").and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok()) else {
        return rubbish("its answer has no trial number", "");
    };
    if let Some(step) = line.get("step") {
        let step = step.as_u64().and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
        return match (step, line.get("metrics")) {
            (Some(step), Some(Value::Object(metrics))) => Answer::Step(trial, step, finite(metrics)),
            _ => rubbish("its report of a step has no number from 1 or no `metrics`", ""),
        };
    }
    let result = match (line.get("error"), line.get("metrics")) {
        (Some(Value::String(why)), _) => Err(Failure::Reported(cut(why, REASON))),
        (Some(Value::Null) | None, Some(Value::Object(metrics))) => numbers(metrics, wanted),
        (Some(Value::Null) | None, _) => return rubbish("its answer has neither `metrics` nor `error`", ""),
        (Some(other), _) => Err(Failure::Reported(cut(&other.to_string(), REASON))),
    };
    Answer::Of(trial, result)
}

fn numbers(metrics: &Map<String, Value>, wanted: &[String]) -> Result<Metrics, Failure> {
    let broken = |kind: String, details: String| Failure::Broken { reason: kind.clone() + &details, kind };
    for name in wanted {
        match metrics.get(name) {
            Some(Value::Number(_)) => {}
            Some(Value::Null) => return Err(broken(format!("its `{name}` is null"), String::new())),
            Some(other) => {
                let details = format!(": {}", shown(&other.to_string()));
                return Err(broken(format!("its `{name}` is not a number"), details));
            }
            None => {
                let names: Vec<&str> = metrics.keys().map(String::as_str).collect();
                let details = match names.as_slice() {
                    [] => "; it has no metrics at all".to_string(),
                    some => format!("; it has {}", shown(&some.join(", "))),
                };
                return Err(broken(format!("its answer has no metric `{name}`"), details));
            }
        }
    }
    Ok(finite(metrics))
}

/// What of it is a number.
fn finite(metrics: &Map<String, Value>) -> Metrics {
    let number = |v: &Value| v.as_f64().filter(|v| v.is_finite());
    metrics.iter().filter_map(|(name, value)| Some((name.clone(), number(value)?))).collect()
}

/// A foreign text as it can be shown: on one line, not too long, without control characters.
pub(super) fn shown(text: &str) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    format!("`{}`", cut(&clean, SHOWN))
}

/// The first characters of a text.
pub(super) fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}...", text.get(..at).unwrap_or("")),
        None => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Answer {
        read(line.as_bytes(), &["a".to_string()])
    }

    #[test]
    fn good_answers() {
        let metrics = Metrics::from([("a".to_string(), 1.5), ("b".to_string(), -2.0)]);
        let text = r#" {"trial":3,"metrics":{"a":1.5,"b":-2,"c":"text"},"more":1}  "#;
        assert_eq!(of(text), Answer::Of(3, Ok(metrics)));
        let said = Answer::Of(3, Err(Failure::Reported("no GPU".into())));
        assert_eq!(of(r#"{"trial":3,"error":"no GPU"}"#), said);
        assert_eq!(of(r#"{"trial":3,"error":"no GPU","metrics":{"a":1}}"#), said);
        let step = Answer::Step(3, 2, Metrics::from([("b".to_string(), 1.0)]));
        assert_eq!(of(r#"{"trial":3,"step":2,"metrics":{"b":1}}"#), step);
    }

    #[test]
    fn everything_else_is_said() {
        for (line, expected) in [
            ("hello", "is no answer: `hello`"),
            ("[1]", "is no answer"),
            ("", "is no answer: ``"),
            ("\u{1b}[31m{", "is no answer: `\u{fffd}[31m{`"),
            (r#"{"trial":1,"metrics":{"a":NaN}}"#, "NaN or Infinity, which are not JSON"),
            (r#"{"trial":-1,"metrics":{"a":1}}"#, "no trial number"),
            (r#"{"trial":"1","metrics":{"a":1}}"#, "no trial number"),
            (r#"{"trial":1}"#, "neither `metrics` nor `error`"),
            (r#"{"trial":1,"step":0,"metrics":{"a":1}}"#, "no number from 1"),
            (r#"{"trial":1,"step":1}"#, "no number from 1"),
            (r#"{"trial":1,"metrics":[1]}"#, "neither `metrics` nor `error`"),
            (r#"{"metrics":{"a":1}}"#, "no trial number"),
        ] {
            match of(line) {
                Answer::Rubbish(_, reason) => assert!(reason.contains(expected), "{line}: {reason}"),
                other => panic!("{line}: {other:?}"),
            }
        }
        for (line, expected) in [
            (r#"{"trial":1,"metrics":{"a":null}}"#, "`a` is null"),
            (r#"{"trial":1,"metrics":{"a":"1"}}"#, "`a` is not a number"),
            (r#"{"trial":1,"metrics":{"b":1}}"#, "no metric `a`; it has `b`"),
            (r#"{"trial":1,"metrics":{}}"#, "no metric `a`; it has no metrics at all"),
        ] {
            match of(line) {
                Answer::Of(1, Err(Failure::Broken { reason, .. })) => {
                    assert!(reason.contains(expected), "{line}: {reason}")
                }
                other => panic!("{line}: {other:?}"),
            }
        }
    }
}
