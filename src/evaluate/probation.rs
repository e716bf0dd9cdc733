//! Telling a program that does not work from a trial that failed.

use super::Failure;

/// So many trials in a row may break a program that has never answered.
pub const PATIENCE: usize = 3;

/// Watches the first trials of a program. Until it has answered once (if only with an error of its own),
/// trials that break it in the same way are held back: they say nothing about their networks, and after
/// [`PATIENCE`] of them the search ends rather than fail them all.
#[derive(Debug, Default)]
pub struct Probation {
    over: bool,
    held: Vec<(usize, String, String)>,
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
            Failure::Broken { kind, reason } if !self.over => (kind.clone(), reason.clone()),
            Failure::Reported(reason) | Failure::TimedOut(reason) | Failure::Broken { reason, .. } => {
                let mut all = self.passed();
                all.push((trial, reason.clone()));
                return Verdict::Tell(all);
            }
        };
        let other = self.held.first().is_some_and(|(_, k, _)| *k != kind);
        self.held.push((trial, kind, reason));
        if other {
            return Verdict::Tell(self.passed());
        }
        if self.held.len() < PATIENCE {
            return Verdict::Hold;
        }
        Verdict::GiveUp(self.message().unwrap_or_default())
    }

    /// The program has answered: the trials held back did fail.
    pub fn passed(&mut self) -> Vec<(usize, String)> {
        self.over = true;
        self.held.drain(..).map(|(trial, _, reason)| (trial, reason)).collect()
    }

    /// What to say if no more trials can be run while some are held back.
    pub fn message(&self) -> Option<String> {
        let (trial, _, reason) = self.held.first()?;
        let many = match self.held.len() {
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
        assert_eq!(p.failed(4, &broken("a")), Verdict::Hold);
        assert_eq!(p.failed(5, &broken("a")), Verdict::Hold);
        let Verdict::GiveUp(why) = p.failed(6, &broken("a")) else { panic!() };
        assert!(why.contains("first 3 trials") && why.contains("Trial 4: a in detail"), "{why}");
    }

    #[test]
    fn a_program_that_works_may_fail_trials() {
        let mut p = Probation::default();
        assert_eq!(p.failed(0, &broken("a")), Verdict::Hold);
        assert_eq!(p.passed(), [(0, "a in detail".to_string())]);
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
