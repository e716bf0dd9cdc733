//! Progress on standard error: bars on a terminal, a line now and then elsewhere.

use super::common::say;
use crate::pipeline::{Event, Watch};
use crate::search::Outcome;
#[cfg(feature = "train")]
use crate::train::Progress;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Set by Ctrl-C.
static STOP: AtomicBool = AtomicBool::new(false);

/// How often a training reports where no terminal draws bars.
#[cfg(feature = "train")]
const QUIET: Duration = Duration::from_secs(20);
/// How often the final training does so at most, at ends of epochs.
#[cfg(feature = "train")]
const BUSY: Duration = Duration::from_secs(2);

/// The screen of one command.
pub(super) struct Screen {
    bars: MultiProgress,
    terminal: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    trials: Option<ProgressBar>,
    trainings: BTreeMap<Option<usize>, (ProgressBar, String)>,
    /// Where no terminal is: trials done, trials in all, when the search began, last report.
    done: usize,
    all: usize,
    fresh: usize,
    began: Option<Instant>,
    told: Option<Instant>,
    /// The epoch of the final training whose steps are done.
    #[cfg(feature = "train")]
    validating: usize,
    /// The step that each training began this process with: more than 0 where it went on.
    first: BTreeMap<Option<usize>, usize>,
}

fn style(template: &str) -> ProgressStyle {
    // The templates below are constant; a mistake in one shows as a plain bar.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl Screen {
    /// A screen that Ctrl-C makes ask for an end.
    pub(super) fn new() -> Screen {
        // A second handler is refused: the first serves the whole process.
        let _ = ctrlc::set_handler(|| {
            if STOP.swap(true, Ordering::SeqCst) {
                std::process::exit(i32::from(super::exit::STOPPED));
            }
            say(format_args!("stopping (again to end at once)"));
        });
        Screen {
            bars: MultiProgress::new(),
            terminal: std::io::stderr().is_terminal(),
            state: Mutex::default(),
        }
    }

    /// Prints a line above the bars.
    pub(super) fn note(&self, text: &str) {
        if self.terminal {
            let _ = self.bars.println(text);
        } else {
            say(format_args!("{text}"));
        }
    }

    /// Removes the bars.
    pub(super) fn clear(&self) {
        if let Ok(mut s) = self.state.lock() {
            *s = State::default();
        }
        let _ = self.bars.clear();
    }

    fn start(&self, s: &mut State, trial: Option<usize>, what: String) {
        let name = match trial {
            Some(n) => format!("trial {n:>3}"),
            None => "training ".to_string(),
        };
        if trial.is_none() {
            s.began = Some(Instant::now());
            self.note(&format!("training the chosen network: {what}"));
        }
        let bar = ProgressBar::new(1000).with_style(style("  {prefix} {bar:24} {msg}")).with_prefix(name);
        let bar = if self.terminal { self.bars.add(bar) } else { bar };
        s.trainings.insert(trial, (bar, what));
        s.first.remove(&trial);
    }

    #[cfg(feature = "train")]
    fn progress(&self, s: &mut State, trial: Option<usize>, p: &Progress) {
        let steps = (p.epochs * p.steps).max(1);
        let at = (p.epoch.saturating_sub(1) * p.steps + p.step).min(steps);
        // What was trained by an earlier process took none of this one's time.
        let first = *s.first.entry(trial).or_insert(at.saturating_sub(1));
        let (fresh, rest) = (at - first.min(at), steps - first.min(at));
        let rate = p.images_per_second;
        let accuracy =
            p.validation_accuracy.map_or(String::new(), |a| format!(", validation {:.1} %", a * 100.0));
        let loss = if p.loss.abs() < 1e4 { format!("{:.3}", p.loss) } else { format!("{:.1e}", p.loss) };
        let text = format!("epoch {}/{}, {rate:.0} images/s, loss {loss}{accuracy}", p.epoch, p.epochs);
        if let Some((bar, _)) = s.trainings.get(&trial) {
            if self.terminal {
                bar.set_position((at * 1000 / steps) as u64);
                let left = remaining(bar.elapsed(), fresh, rest);
                bar.set_message(format!("{text}{left}"));
                return;
            }
        }
        let due = s.told.is_none_or(|t| t.elapsed() > QUIET);
        // The last step of an epoch is told twice: before its validation and after.
        let last_step = trial.is_none() && p.step == p.steps;
        let end_of_epoch = last_step && s.validating == p.epoch;
        if last_step {
            s.validating = p.epoch;
        }
        let last = at == steps;
        let soon = last || s.told.is_none_or(|t| t.elapsed() > BUSY);
        if (trial.is_none() && end_of_epoch && soon) || (trial.is_some() && due) {
            let elapsed = match trial {
                None => s.began.map(|b| b.elapsed()),
                Some(_) => None,
            };
            let left = elapsed.map_or(String::new(), |e| remaining(e, fresh, rest));
            let name = trial.map_or("training".to_string(), |n| format!("trial {n}"));
            say(format_args!("  {name}: {text}{left}"));
            s.told = Some(Instant::now());
        }
    }

    fn done(&self, s: &mut State, trial: usize, outcome: &Outcome, what: &str, values: &str) {
        if let Some((bar, _)) = s.trainings.remove(&Some(trial)) {
            bar.finish_and_clear();
            self.bars.remove(&bar);
        }
        s.done += 1;
        s.fresh += 1;
        let result = match outcome {
            Outcome::Done { .. } => format!("{values} ({what})"),
            Outcome::Stopped { step, .. } => {
                format!("stopped after step {step}, expected {values}: not for the front ({what})")
            }
            Outcome::Failed { reason, .. } => format!("failed: {reason}"),
        };
        let left = match s.began {
            Some(b) => remaining(b.elapsed(), s.fresh, s.fresh + s.all.saturating_sub(s.done)),
            None => String::new(),
        };
        let line = format!("[{}/{}] trial {trial}: {result}", s.done, s.all);
        match &s.trials {
            Some(bar) if self.terminal => {
                bar.set_position(s.done as u64);
                bar.set_message(left.trim_start_matches(", ").to_string());
                let _ = self.bars.println(line);
            }
            _ => say(format_args!("{line}{left}")),
        }
        s.told = Some(Instant::now());
    }
}

/// `, 1 min 20 s left`
fn remaining(elapsed: Duration, done: usize, all: usize) -> String {
    if done == 0 || done >= all {
        return String::new();
    }
    let seconds = elapsed.as_secs_f64() / done as f64 * (all - done) as f64;
    if seconds >= 60.0 {
        format!(", about {:.0} min {:.0} s left", (seconds / 60.0).floor(), seconds % 60.0)
    } else {
        format!(", about {seconds:.0} s left")
    }
}

impl Watch for Screen {
    fn event(&self, event: Event<'_>) {
        let Ok(mut s) = self.state.lock() else { return };
        match event {
            Event::Note(text) => self.note(&text),
            Event::Search { done, trials } => {
                let already = if done > 0 { format!(", {done} of them done already") } else { String::new() };
                self.note(&format!("searching: {trials} trials{already}"));
                s.done = done;
                s.all = trials;
                s.began = Some(Instant::now());
                let bar = ProgressBar::new(trials as u64)
                    .with_style(style("search     {bar:24} {pos}/{len} trials {msg}"));
                let bar = if self.terminal { self.bars.add(bar) } else { bar };
                bar.set_position(done as u64);
                s.trials = Some(bar);
            }
            Event::Start { trial, what } => self.start(&mut s, trial, what),
            #[cfg(feature = "train")]
            Event::Progress { trial, progress } => self.progress(&mut s, trial, progress),
            Event::Done { trial, outcome, what, values } => self.done(&mut s, trial, outcome, &what, &values),
        }
    }

    fn stop(&self) -> bool {
        STOP.load(Ordering::SeqCst)
    }
}
