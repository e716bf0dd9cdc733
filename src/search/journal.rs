//! The journal of a study: one line of JSON an event, appended and synced before anyone acts on it.
//!
//! ```text
//! {"sum":"9f86d081884c7d65","event":{"study":{"format":1,"tool":"0.1.0","identity":{..}}}}
//! {"sum":"60303ae22b998861","event":{"asked":{"number":0,"point":[1,null],"seed":..,"hash":"..","decisions":{..}}}}
//! {"sum":"fd61a03af4f77d87","event":{"told":{"number":0,"outcome":{"done":{"metrics":{"accuracy":0.91}}}}}}
//! ```
//!
//! `sum` is the beginning of the SHA-256 of the previous line's `sum` followed by the event's bytes,
//! so a changed, missing or reordered line is found. A process killed while it writes leaves a last
//! line without its end; that line is dropped and said so. A lock on the file keeps a second process
//! out. This is the search's only module with IO.

use super::fidelity::{Sample, Verdict};
use super::study::{Outcome, Study, StudyError, Trial};
use crate::hash::sha256;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The version of the format.
pub const FORMAT: u32 = 1;

/// What a journal belongs to: parts by name (`space`, `data`, `training`, ..) with their hashes or
/// values. Two studies are the same when all parts are equal.
pub type Identity = BTreeMap<String, String>;

/// An event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The first line.
    Study {
        /// [`FORMAT`].
        format: u32,
        /// The version of hytc that began it.
        tool: String,
        /// What is studied.
        identity: Identity,
    },
    /// A trial was given out.
    Asked {
        /// It.
        #[serde(flatten)]
        trial: Trial,
        /// The point's decisions by path: for people, and for studies of other spaces.
        #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
        decisions: serde_json::Map<String, serde_json::Value>,
    },
    /// Its outcome came in.
    Told {
        /// The trial.
        number: usize,
        /// The outcome.
        outcome: Outcome,
        /// Its learning curve.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        curve: Vec<Sample>,
    },
}

impl Event {
    /// What is studied, of the first line.
    fn identity(&self) -> Option<&Identity> {
        match self {
            Event::Study { identity, .. } => Some(identity),
            _ => None,
        }
    }
}

/// What can go wrong with a journal.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The journal.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another process holds the lock.
    #[error("{} is in use by another process; one study can be run by one process at a time", .0.display())]
    Locked(PathBuf),
    /// A line that is not the last is not what was written.
    #[error(
        "{}, line {line}: {reason}; the journal was changed after it was written \
         (delete this line and all after it to continue from there)", path.display()
    )]
    Corrupt {
        /// The journal.
        path: PathBuf,
        /// Counts from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// The journal is of another study.
    #[error("{} belongs to another study: {}", path.display(), differences(parts))]
    Other {
        /// The journal.
        path: PathBuf,
        /// Name of each part that differs, the journal's value, the value now.
        parts: Vec<(String, Option<String>, Option<String>)>,
    },
    /// The events are well-formed but make no sense to the study.
    #[error(transparent)]
    Study(#[from] StudyError),
}

fn differences(parts: &[(String, Option<String>, Option<String>)]) -> String {
    let shown = |v: &Option<String>| v.clone().unwrap_or_else(|| "nothing".to_owned());
    let hash = |v: &Option<String>| {
        v.as_ref().is_some_and(|v| v.len() == 64 && v.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    let each: Vec<String> = parts
        .iter()
        .map(|(name, old, new)| match hash(old) && hash(new) {
            true => format!("{name} has changed"),
            false => format!("{name} was {}, is {}", shown(old), shown(new)),
        })
        .collect();
    each.join("; ")
}

/// An open journal, locked against other processes until dropped.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    sum: String,
    length: u64,
}

/// What a journal's bytes hold.
struct Parsed {
    events: Vec<Event>,
    sum: String,
    /// Bytes that hold the events.
    length: usize,
    /// The last line has no newline but is whole.
    unterminated: bool,
    /// The number of a torn last line, if there is one.
    torn: Option<usize>,
}

impl Journal {
    /// Opens or creates the journal at `path` for the study with the identity that `identity` returns when it is
    /// shown that of the study in the journal. Returns what the journal holds (without the header) and a warning
    /// where a torn line was dropped.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn open(
        path: &Path,
        identity: impl FnOnce(Option<&Identity>) -> Identity,
    ) -> Result<(Journal, Vec<Event>, Option<String>), JournalError> {
        let io = |source| JournalError::Io { path: path.to_owned(), source };
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(JournalError::Locked(path.to_owned())),
            Err(TryLockError::Error(e)) => return Err(io(e)),
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(io)?;
        let parsed = parse(path, &bytes)?;
        let mut events = parsed.events.into_iter();
        let mut journal =
            Journal { file, path: path.to_owned(), sum: parsed.sum, length: parsed.length as u64 };
        let warning = parsed.torn.map(|line| {
            format!("{}: line {line} was cut off while it was written; it is dropped", path.display())
        });
        let first = events.next();
        let identity = identity(first.as_ref().and_then(Event::identity));
        if let Some(header) = &first {
            check_header(path, header, &identity)?;
        }
        journal.file.set_len(journal.length).map_err(io)?;
        journal.file.seek(SeekFrom::End(0)).map_err(io)?;
        if parsed.unterminated {
            journal.file.write_all(b"\n").and_then(|()| journal.file.sync_data()).map_err(io)?;
            journal.length += 1;
        }
        if first.is_none() {
            let tool = env!("CARGO_PKG_VERSION").to_owned();
            journal.append(&[Event::Study { format: FORMAT, tool, identity }])?;
            // The name of a new file is durable once its directory is.
            if let Some(dir) = path.parent() {
                let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
                if let Ok(d) = File::open(dir) {
                    let _ = d.sync_all();
                }
            }
        }
        Ok((journal, events.collect(), warning))
    }

    /// Whether a process is writing the journal at `path`.
    pub fn is_in_use(path: &Path) -> bool {
        let lock = || File::open(path).map(|f| f.try_lock());
        matches!(lock(), Ok(Err(TryLockError::WouldBlock)))
    }

    /// What a journal holds, header first, without locking it: to show a study that may be running.
    ///
    /// # Errors
    /// [`JournalError::Io`], [`JournalError::Corrupt`].
    pub fn read(path: &Path) -> Result<Vec<Event>, JournalError> {
        let bytes =
            std::fs::read(path).map_err(|source| JournalError::Io { path: path.to_owned(), source })?;
        Ok(parse(path, &bytes)?.events)
    }

    /// Appends events and waits until they are on the disk. After an error nothing of them is in the
    /// journal, as far as the file system obeys.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub fn append(&mut self, events: &[Event]) -> Result<(), JournalError> {
        if events.is_empty() {
            return Ok(());
        }
        let io = |source| JournalError::Io { path: self.path.clone(), source };
        let mut text = String::new();
        let mut sum = self.sum.clone();
        for event in events {
            let body = serde_json::to_string(event).map_err(|e| io(e.into()))?;
            sum = chain(&sum, &body);
            text.push_str(&format!("{OPEN}{sum}{MIDDLE}{body}{CLOSE}\n"));
        }
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data());
        if let Err(e) = written {
            let _ = self.file.set_len(self.length);
            let _ = self.file.seek(SeekFrom::Start(self.length));
            return Err(io(e));
        }
        self.length += text.len() as u64;
        self.sum = sum;
        Ok(())
    }
}

const OPEN: &str = "{\"sum\":\"";
const MIDDLE: &str = "\",\"event\":";
const CLOSE: &str = "}";

fn chain(previous: &str, body: &str) -> String {
    sha256(format!("{previous}{body}").as_bytes()).chars().take(16).collect()
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Parsed, JournalError> {
    let mut parsed =
        Parsed { events: Vec::new(), sum: String::new(), length: 0, unterminated: false, torn: None };
    let lines = bytes.split_inclusive(|b| *b == b'\n');
    for (i, raw) in lines.enumerate() {
        let (line, whole) = match raw.strip_suffix(b"\n") {
            Some(line) => (line, true),
            None => (raw, false),
        };
        let corrupt = |reason: String| JournalError::Corrupt { path: path.to_owned(), line: i + 1, reason };
        match read_line(line, &parsed.sum) {
            Ok((event, sum)) => {
                if (i == 0) != matches!(event, Event::Study { .. }) {
                    return Err(corrupt("only the first line can name the study".into()));
                }
                parsed.events.push(event);
                parsed.sum = sum;
                parsed.length += raw.len();
                parsed.unterminated = !whole;
            }
            // A foreign file is not a torn journal: do not overwrite it.
            Err(reason) if whole || !begins_like_ours(line) => return Err(corrupt(reason)),
            Err(_) => parsed.torn = Some(i + 1),
        }
    }
    Ok(parsed)
}

fn begins_like_ours(line: &[u8]) -> bool {
    // A file system may leave zeros where the data of a torn write did not arrive.
    line.iter().zip(OPEN.as_bytes()).all(|(a, b)| a == b) || line.iter().all(|b| *b == 0)
}

fn read_line(line: &[u8], previous: &str) -> Result<(Event, String), String> {
    let text = std::str::from_utf8(line).map_err(|_| "it is not text".to_owned())?;
    let (sum, body) = text
        .strip_prefix(OPEN)
        .and_then(|t| t.strip_suffix(CLOSE))
        .and_then(|t| t.split_once(MIDDLE))
        .ok_or("it is not an event")?;
    if chain(previous, body) != sum {
        return Err("its checksum does not fit".to_owned());
    }
    let event =
        serde_json::from_str(body).map_err(|e| format!("an event that this version does not know: {e}"))?;
    Ok((event, sum.to_owned()))
}

fn check_header(path: &Path, header: &Event, now: &Identity) -> Result<(), JournalError> {
    let Event::Study { format, identity, .. } = header else { return Ok(()) };
    let mut parts = Vec::new();
    if *format != FORMAT {
        parts.push(("format".to_owned(), Some(format.to_string()), Some(FORMAT.to_string())));
    }
    let names: std::collections::BTreeSet<&String> = identity.keys().chain(now.keys()).collect();
    for name in names {
        let (old, new) = (identity.get(name), now.get(name));
        if old != new {
            parts.push((name.clone(), old.cloned(), new.cloned()));
        }
    }
    if parts.is_empty() {
        return Ok(());
    }
    Err(JournalError::Other { path: path.to_owned(), parts })
}

/// Brings a study to where the events of a journal leave it; `first` is the line of the first event.
fn replay(path: &Path, study: &mut Study<'_>, events: Vec<Event>, first: usize) -> Result<(), JournalError> {
    for (i, event) in events.into_iter().enumerate() {
        match event {
            Event::Study { .. } => {}
            Event::Asked { trial, .. } => study.replay_asked(trial)?,
            Event::Told { number, outcome, curve } => {
                study.replay_curve(number, curve).and_then(|()| study.tell(number, outcome)).map_err(
                    |e| JournalError::Corrupt {
                        path: path.to_owned(),
                        line: i + first,
                        reason: e.to_string(),
                    },
                )?;
            }
        }
    }
    Ok(())
}

/// Shows a study as its journal leaves it, without locking it: it may be running. Refuses the journal
/// of another study, as far as `identity` tells; parts that it does not have are not compared.
///
/// # Errors
/// [`JournalError`], but for [`JournalError::Locked`].
pub fn view(path: &Path, study: &mut Study<'_>, identity: &Identity) -> Result<(), JournalError> {
    let events = Journal::read(path)?;
    study.keep(events.first().and_then(Event::identity));
    let identity: Identity = identity.clone().into_iter().chain(study.identity()).collect();
    if let Some(Event::Study { format, tool, identity: then }) = events.first() {
        let then = then.iter().filter(|(name, _)| identity.contains_key(*name));
        let then = then.map(|(name, value)| (name.clone(), value.clone())).collect();
        let header = Event::Study { format: *format, tool: tool.clone(), identity: then };
        check_header(path, &header, &identity)?;
    }
    replay(path, study, events, 1)
}

/// A study whose every step is on the disk before it counts.
pub struct Session<'a> {
    study: Study<'a>,
    journal: Journal,
}

impl<'a> Session<'a> {
    /// Continues the study in the journal at `path`, or begins it there. `identity` names what the
    /// study itself cannot know (hashes of space, data, training); the study adds its own settings.
    /// The number of trials is not part of it: a study may be given more.
    ///
    /// The second value is a warning, where a torn line was dropped.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn open(
        path: &Path,
        mut study: Study<'a>,
        identity: &Identity,
    ) -> Result<(Session<'a>, Option<String>), JournalError> {
        let (journal, events, warning) = Journal::open(path, |begun| {
            study.keep(begun);
            identity.clone().into_iter().chain(study.identity()).collect()
        })?;
        replay(path, &mut study, events, 2)?;
        Ok((Session { study, journal }, warning))
    }

    /// The study.
    pub fn study(&self) -> &Study<'a> {
        &self.study
    }

    /// [`Study::ask`], written down before it is returned.
    ///
    /// # Errors
    /// [`StudyError::Infeasible`] or [`JournalError::Io`].
    pub fn ask(&mut self, n: usize) -> Result<Vec<Trial>, JournalError> {
        let before = self.study.records().len();
        let trials = self.study.ask(n)?;
        let new: Vec<Event> = (trials.iter().filter(|t| t.number >= before))
            .map(|t| Event::Asked { trial: t.clone(), decisions: self.study.describe(&t.point) })
            .collect();
        self.journal.append(&new)?;
        Ok(trials)
    }

    /// [`Study::report`]; the curve is written down with the outcome.
    ///
    /// # Errors
    /// [`StudyError::NotPending`].
    pub fn report(&mut self, number: usize, sample: Sample) -> Result<Verdict, JournalError> {
        Ok(self.study.report(number, sample)?)
    }

    /// [`Study::tell`], written down before it counts. Returns the outcome as taken.
    ///
    /// # Errors
    /// [`StudyError::NotPending`] or [`JournalError::Io`].
    pub fn tell(&mut self, number: usize, outcome: Outcome) -> Result<Outcome, JournalError> {
        let outcome = self.study.judge(number, outcome)?;
        let curve = self.study.records().get(number).map_or_else(Vec::new, |r| r.curve.clone());
        self.journal.append(&[Event::Told { number, outcome: outcome.clone(), curve }])?;
        Ok(self.study.tell(number, outcome)?)
    }
}
