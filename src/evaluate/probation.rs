//! Telling a program that does not work from a trial that failed.

use super::Failure;

/// So many trials in a row may break a program that has not answered yet.
pub const PATIENCE: usize = 3;

/// Watches the first trials of a session. Until the program has answered once (if only with an error of
/// its own), trials that break it in the same way are held back: they say nothing about their networks,
/// and after [`PATIENCE`] of them the search ends rather than fail them all.
#[derive(Debug, Default)]
pub struct Probation {
    over: bool,
    /// What broke the program so far, and how often.
    kind: String,
    strikes: usize,
    /// The first trial that broke it, with the reason.
    first: Option<(usize, String)>,
    held: Vec<(usize, String)>,
}

/// What is to be done about a failure.
#[derive(Debug, PartialEq)]
pub enum Verdict {
    /// These trials failed for these reasons.
    Tell(Vec<(usize, String)>),
    /// Nothing yet.
    Hold,
    /// End the search: no trial can be run, for this reason.
    GiveUp(String),
}

impl Probation {
    /// A trial failed.
    pub fn failed(&mut self, trial: usize, failure: &Failure) -> Verdict {
        let (kind, reason) = match failure {
            Failure::NotStarted(reason) => return Verdict::GiveUp(reason.clone()),
            Failure::Stopped => return Verdict::Hold,
            Failure::Broken { kind, reason } if !self.over => (kind, reason),
            Failure::Reported(reason) | Failure::TimedOut(reason) | Failure::Broken { reason, .. } => {
                let mut all = self.passed();
                all.push((trial, reason.clone()));
                return Verdict::Tell(all);
            }
        };
        self.held.push((trial, reason.clone()));
        if self.strikes > 0 && self.kind != *kind {
            return Verdict::Tell(self.passed());
        }
        self.strikes += 1;
        self.kind.clone_from(kind);
        self.first.get_or_insert_with(|| (trial, reason.clone()));
        if self.strikes < PATIENCE {
            return Verdict::Hold;
        }
        Verdict::GiveUp(self.message().unwrap_or_default())
    }

    /// The program has answered: the trials held back did fail.
    pub fn passed(&mut self) -> Vec<(usize, String)> {
        self.over = true;
        self.release()
    }

    /// The trials held back did fail, where the program has answered in an earlier session and no more
    /// trials can be run without their results. The watch goes on.
    pub fn release(&mut self) -> Vec<(usize, String)> {
        std::mem::take(&mut self.held)
    }

    /// Why to give up, if the program has broken and never answered.
    pub fn message(&self) -> Option<String> {
        let (trial, reason) = self.first.as_ref().filter(|_| !self.over)?;
        let many = match self.strikes {
            1 => "the only trial so far".to_string(),
            n => format!("each of the first {n} trials"),
        };
        Some(format!("the program does not work: {many} broke it in the same way. Trial {trial}: {reason}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(kind: &str) -> Failure {
        Failure::Broken { kind: kind.into(), reason: format!("{kind} in detail") }
    }

    #[test]
    fn the_same_failure_from_the_start_ends_the_search() {
        let mut p = Probation::default();
        assert_eq!(p.message(), None);
        assert_eq!(p.failed(4, &broken("a")), Verdict::Hold);
        assert!(p.message().unwrap().contains("the only trial"));
        assert_eq!(p.failed(5, &broken("a")), Verdict::Hold);
        let Verdict::GiveUp(why) = p.failed(6, &broken("a")) else { panic!() };
        assert!(why.contains("first 3 trials") && why.contains("Trial 4: a in detail"), "{why}");
    }

    #[test]
    fn released_trials_count_all_the_same() {
        let mut p = Probation::default();
        for n in 0..2 {
            assert_eq!(p.failed(n, &broken("a")), Verdict::Hold);
            assert_eq!(p.release(), [(n, "a in detail".to_string())]);
        }
        let Verdict::GiveUp(why) = p.failed(2, &broken("a")) else { panic!() };
        assert!(why.contains("Trial 0"), "{why}");
    }

    #[test]
    fn a_program_that_works_may_fail_trials() {
        let mut p = Probation::default();
        assert_eq!(p.failed(0, &broken("a")), Verdict::Hold);
        assert_eq!(p.passed(), [(0, "a in detail".to_string())]);
        assert_eq!(p.message(), None);
        for n in 1..10 {
            assert_eq!(p.failed(n, &broken("a")), Verdict::Tell(vec![(n, "a in detail".into())]));
        }
    }

    #[test]
    fn other_failures_are_the_trials_own() {
        let mut p = Probation::default();
        assert_eq!(p.failed(0, &broken("a")), Verdict::Hold);
        let told = Verdict::Tell(vec![(0, "a in detail".into()), (1, "no".into())]);
        assert_eq!(p.failed(1, &Failure::Reported("no".into())), told);
        let mut p = Probation::default();
        assert_eq!(p.failed(0, &broken("a")), Verdict::Hold);
        let told = Verdict::Tell(vec![(0, "a in detail".into()), (1, "b in detail".into())]);
        assert_eq!(p.failed(1, &broken("b")), told);
        assert_eq!(p.failed(2, &Failure::NotStarted("gone".into())), Verdict::GiveUp("gone".into()));
    }
}
