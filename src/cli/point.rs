//! Which network of the space a verb works on: the one asked for, the locked one, or the first.

use super::common::{error, say};
use super::{exit, Failure};
use crate::project::{LockState, Project};
use crate::space::{Point, SearchSpace, Space};
use std::path::Path;

/// Which network of the space is meant.
#[derive(clap::Args)]
pub(super) struct PointArgs {
    /// The network: `path=value,..` or a JSON file of decisions (such as a compile's result);
    /// decisions that are not named keep the default's value [default: the locked network, else the
    /// first of the space]
    #[arg(long, value_name = "DECISIONS|FILE")]
    point: Option<String>,
}

type Values = serde_json::Map<String, serde_json::Value>;

/// The point that is meant, and where it comes from in a few words.
pub(super) fn point(project: &Project, args: &PointArgs) -> Result<(Point, &'static str), Failure> {
    let space = &project.checked.space;
    let (default, origin) = default(project)?;
    let Some(text) = &args.point else { return Ok((default, origin)) };
    // A list is a part of the command line, a file is not.
    let (given, code) = match text.contains('=') {
        true => (from_list(space, text)?, exit::USAGE),
        false => (from_file(space, text)?, exit::FAILED),
    };
    let values = by_full_path(given).map_err(|f| f.code(code))?;
    let point = space.point(&values, Some(&default)).map_err(|found| {
        // The place in the spec says nothing about a mistake on the command line.
        wrong(found.into_iter().map(|d| (d.message, d.help))).code(code)
    })?;
    let unused = not_made(space, &point, &values, &default);
    if !unused.is_empty() {
        return Err(wrong(unused).code(code));
    }
    Ok((point, "the network asked for"))
}

/// Messages, each with its help.
fn wrong(found: impl IntoIterator<Item = (String, String)>) -> Failure {
    let line = |(message, help): (String, String)| match help.as_str() {
        "" => error(message),
        help => format!("{}\n  = help: {help}", error(message)),
    };
    Failure::new(found.into_iter().map(line).collect::<Vec<_>>().join("\n"))
}

/// The locked network, else the first of the space. A lock that is not current is said to be so.
fn default(project: &Project) -> Result<(Point, &'static str), Failure> {
    let space = &project.checked.space;
    let first = || (space.first_point(), "the first network of the space");
    let (lock, why) = match project.lock(None)? {
        LockState::Missing => return Ok(first()),
        LockState::Current(lock) => (lock, Vec::new()),
        LockState::Stale(lock, why) => (lock, why),
    };
    let locked = space.point(&lock.chosen.decisions, None).ok();
    if !why.is_empty() {
        let taken = match locked {
            Some(_) => "its network is taken all the same",
            None => "the first network of the space is taken",
        };
        let path = project.lock_path();
        say(format_args!("note: `{}` is not current: {}; {taken}", path.display(), why.join("; ")));
    }
    Ok(locked.map_or_else(first, |p| (p, "the locked network")))
}

/// What can be written after `--point`.
fn form(space: &Space) -> String {
    let first = space.first_point();
    let named = space.describe(&first).into_iter().next();
    let example = named.map_or(String::new(), |(path, value)| {
        let value = value.as_str().map_or(value.to_string(), str::to_string);
        format!(" such as `--point {}={value}`,", path.strip_prefix("space.").unwrap_or(&path))
    });
    format!("write `--point path=value,..`,{example} or name a JSON file of decisions")
}

/// `path=value,..`
fn from_list(space: &Space, text: &str) -> Result<Vec<(String, serde_json::Value)>, Failure> {
    // A value may be a call, with commas between its arguments.
    let mut depth = 0i32;
    let parts = text.split(|c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == ',' && depth <= 0
    });
    parts
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| match part.split_once('=').map(|(path, value)| (path.trim(), value.trim())) {
            Some((path, value)) if !path.is_empty() && !value.is_empty() => {
                Ok((path.to_string(), value.into()))
            }
            _ => {
                Err(wrong([(format!("`{part}` is not of the form path=value"), form(space))])
                    .code(exit::USAGE))
            }
        })
        .collect()
}

fn from_file(space: &Space, name: &str) -> Result<Vec<(String, serde_json::Value)>, Failure> {
    if name.trim().is_empty() {
        let m = "`--point` names no decision".to_string();
        return Err(wrong([(m, form(space))]).code(exit::USAGE));
    }
    let path = Path::new(name);
    if !path.exists() {
        let m = format!("`--point {name}` is neither a list of decisions nor a file");
        return Err(wrong([(m, form(space))]).code(exit::USAGE));
    }
    let wrong = |why: String| Failure::new(error(format!("`{name}` cannot be read as decisions: {why}")));
    let text = std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
    let value: serde_json::Value = serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))?;
    let decisions = value.get("decisions").cloned().unwrap_or(value);
    match decisions {
        serde_json::Value::Object(map) => Ok(map.into_iter().collect()),
        _ => Err(wrong("it holds no object of values by path".into())),
    }
}

/// Values by path from `space` on; none may be given twice.
fn by_full_path(given: Vec<(String, serde_json::Value)>) -> Result<Values, Failure> {
    let mut values = Values::new();
    for (path, value) in given {
        let full = if path.starts_with("space.") { path } else { format!("space.{path}") };
        if values.contains_key(&full) {
            let help = "leave one of the two out".to_string();
            return Err(wrong([(format!("`{full}` is given twice"), help)]));
        }
        values.insert(full, value);
    }
    Ok(values)
}

/// Decisions with a value that the network does not make, because it takes another branch.
fn not_made(space: &Space, point: &Point, values: &Values, fill: &Point) -> Vec<(String, String)> {
    let made = |p: &Point, path: &str| space.describe(p).contains_key(path);
    let unused = values.keys().filter(|path| !made(point, path));
    unused
        .map(|path| {
            // Of those that would lead there, decisions above it first.
            let all = space.describe(point);
            let mut others: Vec<_> = space.decisions().iter().filter(|d| all.contains_key(&d.path)).collect();
            let above = |d: &str| path.strip_prefix(d).is_some_and(|rest| rest.starts_with(['.', '[']));
            others.sort_by_key(|d| !above(&d.path));
            let mut tried =
                others.iter().flat_map(|d| d.values.iter().map(|v| (d.path.as_str(), v.as_str())));
            let way = tried.find(|(other, value)| {
                let mut with = values.clone();
                with.insert((*other).to_string(), (*value).into());
                let keeps = |p: &Point| {
                    made(p, path) && values.keys().all(|v| v == path || !made(point, v) || made(p, v))
                };
                space.point(&with, Some(fill)).is_ok_and(|p| keeps(&p))
            });
            let help = match way {
                Some((other, value)) if values.contains_key(other) => {
                    format!("write `{other}={value}`, or leave `{path}` out")
                }
                Some((other, value)) => format!("write `{other}={value}` too, or leave it out"),
                None => "leave it out; `hytc space --sample 3` prints points with their decisions".into(),
            };
            (format!("the network asked for does not decide `{path}`"), help)
        })
        .collect()
}
