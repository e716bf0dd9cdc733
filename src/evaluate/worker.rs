//! One worker: asks its process about one trial after the other, and replaces a process that fails.

use super::answer::{self, Answer};
use super::process::{Output, Process, LONGEST_LINE};
use super::{Caller, Failure, Metrics, Program, Request};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often a waiting worker looks whether it should stop.
const TICK: Duration = Duration::from_millis(50);
/// How long the last line of a process that has ended is waited for: a process that it left behind may
/// hold the pipe open.
const LINGER: Duration = Duration::from_millis(500);
/// How long a process that has closed its output may take to end.
const ENDING: Duration = Duration::from_secs(1);

/// A program's process, started when it is first needed.
pub struct Worker {
    program: Arc<Program>,
    number: usize,
    process: Option<Process>,
    /// The last trial that this process has answered.
    answered: Option<usize>,
}

/// Why a process has not answered.
enum Silence {
    /// It ended by itself.
    Ended,
    TimedOut(Duration),
    /// It did not keep to the protocol: in a few words, and in full.
    Broken(String, String),
    Stopped,
}

impl Worker {
    /// A worker that has no process yet. The program finds the number in `HYTC_WORKER`.
    pub fn new(program: Arc<Program>, number: usize) -> Worker {
        Worker { program, number, process: None, answered: None }
    }

    /// Has the program evaluate a trial, and waits for its answer.
    ///
    /// # Errors
    /// See [`Failure`]. After any but [`Failure::Reported`] the process is gone; the next trial starts
    /// another.
    pub fn run(&mut self, request: &Request<'_>, caller: &dyn Caller) -> Result<Metrics, Failure> {
        let began = Instant::now();
        let mut line = serde_json::to_vec(request)
            .map_err(|e| Failure::NotStarted(format!("the program cannot be told of a trial: {e}")))?;
        line.push(b'\n');
        loop {
            if caller.stop() {
                self.kill();
                return Err(Failure::Stopped);
            }
            let process = match self.process.take() {
                Some(process) => process,
                None => {
                    self.answered = None;
                    Process::start(&self.program, self.number).map_err(Failure::NotStarted)?
                }
            };
            let process = self.process.insert(process);
            process.forget();
            process.write(line.clone());
            let silence = match self.listen(request.trial, began, caller) {
                Ok(result) => {
                    self.answered = Some(request.trial);
                    return result.map_err(|f| self.explained(f));
                }
                Err(silence) => silence,
            };
            let answered = self.answered.is_some();
            let Some(mut process) = self.process.take() else { return Err(Failure::Stopped) };
            let status = process.kill();
            let (kind, reason) = match silence {
                Silence::Stopped => return Err(Failure::Stopped),
                Silence::TimedOut(limit) => {
                    let text = format!("the program did not answer within {}", shown_time(limit));
                    return Err(Failure::TimedOut(text + &last_words(&process)));
                }
                // It may end between two trials, and did not know of this one yet.
                Silence::Ended if answered && status.is_some_and(|s| s.success()) => continue,
                Silence::Ended => {
                    let how = status.map_or_else(|| "for an unknown reason".to_string(), |s| s.to_string());
                    let text = format!("the program ended ({how}) without an answer");
                    (text.clone(), text)
                }
                Silence::Broken(kind, reason) => (kind, reason),
            };
            return Err(Failure::Broken { kind, reason: reason + &last_words(&process) });
        }
    }

    /// Closes the program's input, waits a moment for it to end, and kills it.
    pub fn close(mut self) {
        if let Some(process) = self.process.take() {
            process.close();
        }
    }

    fn kill(&mut self) {
        self.process = None;
    }

    /// An answer that is wrong in itself ends the process, too: who knows what it does next.
    fn explained(&mut self, failure: Failure) -> Failure {
        let Failure::Broken { kind, reason } = failure else { return failure };
        let words = self.process.take().map_or_else(String::new, |mut p| {
            p.kill();
            last_words(&p)
        });
        Failure::Broken { kind, reason: reason + &words }
    }

    /// Waits for the answer about a trial.
    fn listen(
        &mut self,
        trial: usize,
        began: Instant,
        caller: &dyn Caller,
    ) -> Result<Result<Metrics, Failure>, Silence> {
        let Some(process) = &mut self.process else { return Err(Silence::Stopped) };
        let wanted = &self.program.metrics;
        let mut gone: Option<Instant> = None;
        loop {
            if caller.stop() {
                return Err(Silence::Stopped);
            }
            let mut wait = TICK;
            if let Some(limit) = self.program.timeout {
                let left = limit.saturating_sub(began.elapsed());
                if left.is_zero() {
                    return Err(Silence::TimedOut(limit));
                }
                wait = wait.min(left);
            }
            match process.next(wait) {
                None if process.ended() && gone.get_or_insert_with(Instant::now).elapsed() > LINGER => {
                    return Err(Silence::Ended)
                }
                None => {}
                Some(Output::Line(line)) => match answer::read(&line, wanted) {
                    Answer::Of(t, result) if t == trial => return Ok(result),
                    Answer::Step(t, step, metrics) if t == trial => {
                        let reply = serde_json::json!({"trial": t, "continue": caller.step(step, metrics)});
                        process.write(format!("{reply}\n").into_bytes());
                    }
                    // Said twice. The first answer counted, whichever worker has the next trial.
                    Answer::Of(t, _) if Some(t) == self.answered => {}
                    Answer::Of(t, _) | Answer::Step(t, ..) => {
                        let kind = "its answer is about another trial".to_string();
                        let reason = format!("{kind}: {t}, not {trial}");
                        return Err(Silence::Broken(kind, reason));
                    }
                    Answer::Rubbish(kind, reason) => return Err(Silence::Broken(kind, reason)),
                },
                Some(Output::TooLong) => {
                    let text = format!("it wrote a line of more than {LONGEST_LINE} bytes");
                    return Err(Silence::Broken(text.clone(), text));
                }
                Some(Output::End(rest)) => {
                    // The last line may lack its end: whole it must be all the same.
                    if let Answer::Of(t, result) = answer::read(&rest, wanted) {
                        if t == trial {
                            return Ok(result);
                        }
                    }
                    if !rest.is_empty() {
                        let kind = "it ended in the middle of a line".to_string();
                        let reason = format!("{kind}: {}", answer::shown(&String::from_utf8_lossy(&rest)));
                        return Err(Silence::Broken(kind, reason));
                    }
                    if process.wait(ENDING) {
                        return Err(Silence::Ended);
                    }
                    let text = "it closed its standard output".to_string();
                    return Err(Silence::Broken(text.clone(), text));
                }
            }
        }
    }
}

fn last_words(process: &Process) -> String {
    match process.last_words().as_slice() {
        [] => String::new(),
        lines => format!("; its last lines on standard error:\n    {}", lines.join("\n    ")),
    }
}

/// `10 min`
fn shown_time(t: Duration) -> String {
    let seconds = t.as_secs_f64();
    match seconds {
        s if s < 1.0 => format!("{} ms", (s * 1e3).round()),
        s if s >= 3600.0 && s % 3600.0 == 0.0 => format!("{} h", s / 3600.0),
        s if s >= 60.0 && s % 60.0 == 0.0 => format!("{} min", s / 60.0),
        s => format!("{s} s"),
    }
}
