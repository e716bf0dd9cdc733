//! A spec on disk with what belongs to it: used files, device profiles, lock, weights, study.
//!
//! This is where the pipeline meets the file system; the core it calls does no IO.

mod artifacts;
mod design;
#[cfg(feature = "search")]
mod features;
mod limits;
mod lock;

pub use artifacts::Artifact;
pub use design::Design;
pub use lock::{Entry, Lock, LockError, Metrics, FORMAT};

use crate::check::spec::Metric;
use crate::check::{self, Checked};
use crate::codes;
use crate::device::{Profile, BUILTIN};
use crate::diag::{self, Diagnostic};
use crate::source::{Sources, Span};
use crate::weights::Weights;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A checked spec and its surroundings.
#[derive(Debug)]
pub struct Project {
    /// The spec's path as given.
    pub path: PathBuf,
    /// Its texts.
    pub sources: Sources,
    /// Warnings of the check.
    pub warnings: Vec<Diagnostic>,
    /// The spec.
    pub checked: Checked,
    /// The devices' profiles, in the order of the spec.
    pub profiles: Vec<Profile>,
    profile_hashes: BTreeMap<String, String>,
}

/// Why a project cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// A file cannot be read or written.
    #[error("`{}` cannot be {doing}: {why}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// `read`, `written`, `made` or `removed`.
        doing: &'static str,
        /// The system's reason.
        why: String,
    },
    /// The spec has errors.
    #[error("the spec has errors")]
    Spec(Box<(Vec<Diagnostic>, Sources)>),
    /// The lock file is damaged.
    #[error("`{}` is no usable lock file: {why}; delete it to search anew, or restore it from version control", path.display())]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The weights that the lock pins are missing or others.
    #[error("{0}")]
    Weights(String),
}

/// The state of a project's lock.
#[derive(Debug)]
pub enum LockState {
    /// There is none.
    Missing,
    /// It fits the spec.
    Current(Box<Lock>),
    /// It does not, and why.
    Stale(Box<Lock>, Vec<String>),
}

pub(crate) fn io(path: &Path, doing: &'static str, why: impl std::fmt::Display) -> ProjectError {
    ProjectError::Io { path: path.to_path_buf(), doing, why: why.to_string() }
}

impl Project {
    /// Reads and checks a spec, the files it uses, and its device profiles.
    ///
    /// # Errors
    /// If a file cannot be read, or the spec has errors.
    pub fn open(path: &Path) -> Result<Project, ProjectError> {
        let bytes = std::fs::read(path).map_err(|e| io(path, "read", e))?;
        let text = String::from_utf8(bytes).map_err(|e| {
            let start = u32::try_from(e.utf8_error().valid_up_to()).unwrap_or(u32::MAX);
            let mut sources = Sources::default();
            let file = sources.add(path.to_string_lossy(), String::from_utf8_lossy(e.as_bytes()));
            let span = Span { file, start, end: start.saturating_add(3) };
            let d = Diagnostic::error(codes::SYNTAX, span, "the file is not UTF-8 text from here on");
            ProjectError::Spec(Box::new((vec![d.help("save it as UTF-8")], sources)))
        })?;
        Project::from_text(path, text)
    }

    /// As [`Project::open`], of a spec whose text is at hand; `path` is where it would be.
    ///
    /// # Errors
    /// As [`Project::open`].
    pub fn from_text(path: &Path, text: String) -> Result<Project, ProjectError> {
        let shown = path.to_string_lossy().replace('\\', "/");
        let load = |p: &str| {
            std::fs::read_to_string(p).map_err(|e| match e.kind() {
                std::io::ErrorKind::NotFound => "there is no such file".to_string(),
                std::io::ErrorKind::InvalidData => "it is not UTF-8 text".to_string(),
                _ => e.to_string(),
            })
        };
        let report = check::check(&shown, &text, &load);
        let Some(checked) = report.checked else {
            return Err(ProjectError::Spec(Box::new((report.diagnostics, report.sources))));
        };
        let mut warnings = report.diagnostics;
        let mut profiles = Vec::new();
        let mut profile_hashes = BTreeMap::new();
        let dir = path.parent().unwrap_or(Path::new(""));
        for device in &checked.spec.devices {
            match profile(dir, &device.profile) {
                Ok((mut profile, text)) => {
                    // Reports speak of the device by the name that the spec gives it.
                    profile.name.clone_from(&device.name);
                    profile_hashes.insert(device.name.clone(), crate::hash::sha256(text.as_bytes()));
                    profiles.push(profile);
                }
                Err((message, help)) => {
                    warnings.push(Diagnostic::error(codes::DEVICE, device.span, message).help(help));
                }
            }
        }
        if !diag::has_errors(&warnings) {
            warnings.extend(without_power(&checked, &profiles));
        }
        if diag::has_errors(&warnings) {
            diag::tidy(&mut warnings);
            return Err(ProjectError::Spec(Box::new((warnings, report.sources))));
        }
        let path = path.to_path_buf();
        Ok(Project { path, sources: report.sources, warnings, checked, profiles, profile_hashes })
    }

    /// The spec's name.
    pub fn name(&self) -> &str {
        &self.checked.spec.name
    }

    /// The folder that relative paths of the spec refer to.
    pub fn dir(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.path.file_name().unwrap_or_default().to_os_string();
        name.push(suffix);
        self.path.with_file_name(name)
    }

    /// `<spec>.lock`
    pub fn lock_path(&self) -> PathBuf {
        self.beside(".lock")
    }

    /// `<spec>.safetensors`
    pub fn weights_path(&self) -> PathBuf {
        self.beside(".safetensors")
    }

    /// `<name>.study`, where the journal of trials is.
    pub fn study_path(&self) -> PathBuf {
        self.path.with_extension("study")
    }

    /// All files that emitted code depends on: the spec, what it uses, profiles, lock, weights.
    pub fn inputs(&self) -> Vec<PathBuf> {
        let mut out = vec![self.path.clone(), self.lock_path(), self.weights_path()];
        out.extend(self.sources.names().skip(2).map(PathBuf::from));
        let own = self.checked.spec.devices.iter().map(|d| d.profile.as_str());
        out.extend(own.filter(|p| !BUILTIN.iter().any(|(n, _)| n == p)).map(|p| self.dir().join(p)));
        out
    }

    /// The names of the devices, in the order of the spec.
    pub fn device_names(&self) -> Vec<String> {
        self.checked.spec.devices.iter().map(|d| d.name.clone()).collect()
    }

    /// Hashes of the spec's parts.
    pub fn parts(&self) -> BTreeMap<String, String> {
        self.checked.parts.iter().map(|(k, v)| ((*k).to_string(), v.clone())).collect()
    }

    /// Hashes of the devices' profiles, by the devices' names.
    pub fn profile_hashes(&self) -> &BTreeMap<String, String> {
        &self.profile_hashes
    }

    /// One hash of all parts, to mark what is emitted.
    pub fn spec_hash(&self) -> String {
        let all: Vec<String> =
            self.parts().into_values().chain(self.profile_hashes.values().cloned()).collect();
        crate::hash::sha256(all.join("\n").as_bytes())
    }

    /// Reads the lock and compares it with the spec. `data` is the hash of the data, where they
    /// are at hand.
    ///
    /// # Errors
    /// If the lock file is there and cannot be read.
    pub fn lock(&self, data: Option<&str>) -> Result<LockState, ProjectError> {
        let path = self.lock_path();
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(LockState::Missing),
            Err(e) => return Err(io(&path, "read", e)),
        };
        let lock = Box::new(
            Lock::parse(&text).map_err(|e| ProjectError::Lock { path: path.clone(), why: e.to_string() })?,
        );
        let mut why = lock.differences(&self.parts(), &self.profile_hashes, data);
        if why.is_empty() {
            match self.locked_design(&lock) {
                Ok(design) if design.network.hash() == lock.network => {
                    why.extend(lock.chosen.metrics.wrong(&self.metrics(&design, 0.0)));
                    why.extend(lock.chosen.metrics.wrong_accuracies());
                    let front = lock.front.iter().enumerate();
                    why.extend(front.flat_map(|(i, e)| self.front_entry_wrong(i, e)));
                }
                Ok(_) => why.push("this version of hytc builds another network from the decisions".into()),
                Err(d) => {
                    let first = d.first().map_or(String::new(), |d| format!(": {}", d.message));
                    why.push(format!("the decisions are no point of the space{first}"));
                }
            }
        }
        Ok(if why.is_empty() { LockState::Current(lock) } else { LockState::Stale(lock, why) })
    }

    /// What contradicts itself in a point of a lock's front.
    fn front_entry_wrong(&self, index: usize, entry: &Entry) -> Vec<String> {
        let point = self.checked.space.point(&entry.decisions, None);
        let mut wrong = match point.and_then(|p| self.design(&p)) {
            Ok(design) => entry.metrics.wrong(&self.metrics(&design, 0.0)),
            Err(_) => vec!["it is no point of the space".to_string()],
        };
        // What a program returned is in a unit of its own.
        if self.checked.spec.evaluate.is_none() {
            wrong.extend(entry.metrics.wrong_accuracies());
        }
        wrong.into_iter().map(|why| format!("point {} of its front: {why}", index + 1)).collect()
    }

    /// The network of a lock's decisions.
    ///
    /// # Errors
    /// If they are no point of the space.
    pub fn locked_design(&self, lock: &Lock) -> Result<Design, Vec<Diagnostic>> {
        let point = self.checked.space.point(&lock.chosen.decisions, None)?;
        self.design(&point)
    }

    /// Reads the weights that a lock pins.
    ///
    /// # Errors
    /// If they are missing, others, or do not fit the network.
    pub fn locked_weights(&self, lock: &Lock, design: &Design) -> Result<Weights, ProjectError> {
        let path = self.weights_path();
        let advice = "restore it from version control, or train anew with `hytc compile --research`";
        let bytes = std::fs::read(&path).map_err(|e| {
            let why = if e.kind() == std::io::ErrorKind::NotFound {
                "is missing".to_string()
            } else {
                e.to_string()
            };
            let lock = self.lock_path();
            ProjectError::Weights(format!(
                "the weights file `{}` {why}, `{}` pins it: {advice}",
                path.display(),
                lock.display()
            ))
        })?;
        if crate::hash::sha256(&bytes) != lock.weights {
            let m = format!(
                "the weights file `{}` is not the one that `{}` pins: {advice}",
                path.display(),
                self.lock_path().display()
            );
            return Err(ProjectError::Weights(m));
        }
        let fit = |e| ProjectError::Weights(format!("`{}`: {e}: {advice}", path.display()));
        let weights = Weights::from_safetensors(&bytes).map_err(fit)?;
        weights.check(&design.network).map_err(fit)?;
        Ok(weights)
    }
}

/// Energies that the goal asks for of devices whose profiles do not say what power they take.
fn without_power(checked: &Checked, profiles: &[Profile]) -> Vec<Diagnostic> {
    let goal = &checked.spec.goal;
    let objectives = goal.objectives.iter().map(|o| (&o.measure, o.span));
    let all = objectives.chain(goal.requirements.iter().map(|r| (&r.measure, r.span)));
    all.filter(|(m, _)| m.metric == Metric::Energy && m.computed)
        .filter_map(|(m, span)| {
            let device = m.device?;
            let profile = profiles.get(device).filter(|p| p.active_milliwatts.is_none())?;
            let name = &checked.spec.devices.get(device)?.profile;
            let m = format!("energy on {} cannot be computed: profile `{name}` names no power", profile.name);
            let with =
                BUILTIN.iter().filter(|(_, text)| text.contains("\nactive_milliwatts:")).map(|(n, _)| *n);
            let with: Vec<&str> = with.collect();
            let help = format!(
                "of the built-in profiles {} do; in your own, give `active_milliwatts`",
                with.join(" and ")
            );
            Some(Diagnostic::error(codes::DEVICE, span, m).help(help))
        })
        .collect()
}

/// A profile by built-in name or path, with its text.
fn profile(dir: &Path, name: &str) -> Result<(Profile, String), (String, String)> {
    if let Some((_, text)) = BUILTIN.iter().find(|(n, _)| *n == name) {
        let profile = Profile::parse(text, name).map_err(|e| {
            (format!("the built-in profile `{name}`: {e}"), "this is a defect of hytc".to_string())
        })?;
        return Ok((profile, (*text).to_string()));
    }
    let known = BUILTIN.map(|b| b.0).join(", ");
    if !(name.ends_with(".yaml") || name.ends_with(".yml")) {
        let near = crate::syntax::nearest(name, BUILTIN.map(|b| b.0));
        let near = near.map_or(String::new(), |n| format!("did you mean `{n}`? "));
        let help =
            format!("{near}built in are {known}; a profile of your own is a path that ends in `.yaml`");
        return Err((format!("there is no device profile `{name}`"), help));
    }
    let path = dir.join(name);
    let text = std::fs::read_to_string(&path).map_err(|e| {
        (
            format!("the device profile `{}` cannot be read: {e}", path.display()),
            "the path is relative to the spec".to_string(),
        )
    })?;
    match Profile::parse(&text, name) {
        Ok(profile) => Ok((profile, text)),
        Err(e) => Err((
            format!("the device profile `{}` is not usable: {e}", path.display()),
            "docs/devices.md describes the format".into(),
        )),
    }
}

/// Writes a file so that a crash leaves the old one or the new one, never a part.
///
/// # Errors
/// If the file system refuses.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), ProjectError> {
    use std::io::Write;
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".tmp");
    let temporary = path.with_file_name(name);
    let write = || -> std::io::Result<()> {
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir)?;
        }
        let mut file = std::fs::File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    };
    write().map_err(|e| {
        let _ = std::fs::remove_file(&temporary);
        io(path, "written", e)
    })
}
