//! Trials with learning curves, stopped where they are hopeless.

use super::*;
use crate::search::{Sample, Verdict};
use std::collections::VecDeque;

const STEPS: usize = 4;

/// The curve of a trial: networks with more MACs learn faster, with noise by the trial's seed.
fn sample(toy: &Toy, trial: &Trial, step: usize) -> Sample {
    let (last, macs, ..) = toy.truth(&trial.point);
    let rate = 0.6 + 0.05 * macs.ln();
    let noise = ((trial.seed >> (7 * step)) % 1000) as f64 / 1000.0 - 0.5;
    let value = last * (1.0 - 0.5 * (-rate * step as f64).exp()) + 0.004 * noise;
    Sample { step, metrics: [("accuracy".to_owned(), value)].into() }
}

/// Runs a trial to its end or to where it is stopped.
fn finish(toy: &Toy, study: &mut Study, trial: &Trial) -> usize {
    for step in 1..STEPS {
        match study.report(trial.number, sample(toy, trial, step)).unwrap() {
            Verdict::Promote => {}
            Verdict::Stop { predicted, chance } => {
                assert!(chance < 0.05);
                study.tell(trial.number, Outcome::Stopped { step, predicted }).unwrap();
                return step;
            }
        }
    }
    study.tell(trial.number, toy.outcome(trial)).unwrap();
    STEPS
}

fn run(toy: &Toy, study: &mut Study, pending: usize) -> usize {
    let mut queue: VecDeque<Trial> = VecDeque::new();
    let mut steps = 0;
    loop {
        queue.extend(study.ask(pending - queue.len()).unwrap());
        let Some(trial) = queue.pop_front() else { return steps };
        steps += finish(toy, study, &trial);
    }
}

fn hopeless(algorithm: Algorithm, seed: u64) -> Settings {
    Settings { hopeless: 0.05, ..settings(algorithm, 50, seed) }
}

#[test]
fn hopeless_trials_are_stopped_and_hardly_ever_a_good_one() {
    let toy = Toy::new();
    let known = toy.known();
    for algorithm in [Algorithm::Mobo, Algorithm::Nsga2] {
        let (mut stopped, mut wrong) = (0, 0);
        for seed in 0..3 {
            let mut study = Study::new(&toy, &known, problem(3000.0), hopeless(algorithm, seed));
            let steps = run(&toy, &mut study, 1);
            assert!(study.is_over());
            let summary = study.summary();
            assert_eq!(summary.done + summary.stopped + summary.failed.len(), 50);
            assert!(steps <= 50 * STEPS);
            let early: Vec<usize> = study
                .records()
                .iter()
                .filter(|r| r.has_estimate() && !r.is_done())
                .map(|r| r.trial.number)
                .collect();
            assert!(early.iter().all(|n| *n >= study.settings().initial && !study.front().contains(n)));
            // What would the stopped ones have come to?
            let front: Vec<(f64, f64)> =
                summary.front.iter().map(|p| (p.values["accuracy"], p.values["macs"])).collect();
            stopped += early.len();
            wrong += early
                .iter()
                .filter(|n| {
                    let (accuracy, macs, ..) = toy.truth(&study.records()[**n].trial.point);
                    !front.iter().any(|(a, m)| *a >= accuracy && *m <= macs)
                })
                .count();
        }
        assert!(stopped >= 3, "{algorithm:?}: {stopped}");
        assert!(10 * wrong <= stopped, "{algorithm:?}: {wrong} of {stopped}");
    }
}

#[test]
fn stopping_does_not_depend_on_the_number_of_workers() {
    let toy = Toy::new();
    let known = toy.known();
    for algorithm in ALL {
        let study = || Study::new(&toy, &known, problem(3000.0), hopeless(algorithm, 7));
        let (mut one, mut three) = (study(), study());
        assert_eq!(run(&toy, &mut one, 1), run(&toy, &mut three, 3), "{algorithm:?}");
        assert_eq!(trials(&one), trials(&three), "{algorithm:?}");
        let outcomes = |s: &Study| s.records().iter().map(|r| r.outcome.clone()).collect::<Vec<_>>();
        assert_eq!(outcomes(&one), outcomes(&three), "{algorithm:?}");
    }
}

#[test]
fn a_resumed_study_stops_the_same_trials() {
    let toy = Toy::new();
    let known = toy.known();
    let study = || Study::new(&toy, &known, problem(3000.0), hopeless(Algorithm::Mobo, 5));
    let mut whole = study();
    run(&toy, &mut whole, 1);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.jsonl");
    // Every process dies in the middle of its fourth trial, after two reports.
    for _ in 0..50 {
        let (mut session, _) = Session::open(&path, study(), &Identity::new()).unwrap();
        for n in 0..4 {
            let Some(trial) = session.ask(1).unwrap().pop() else { break };
            let mut outcome = toy.outcome(&trial);
            for step in 1..STEPS {
                if n == 3 && step == 3 {
                    break;
                }
                if let Verdict::Stop { predicted, .. } =
                    session.report(trial.number, sample(&toy, &trial, step)).unwrap()
                {
                    outcome = Outcome::Stopped { step, predicted };
                    break;
                }
            }
            if n < 3 {
                session.tell(trial.number, outcome).unwrap();
            }
        }
    }
    let (session, _) = Session::open(&path, study(), &Identity::new()).unwrap();
    assert!(session.study().is_over());
    for (a, b) in whole.records().iter().zip(session.study().records()) {
        assert_eq!((&a.trial, &a.outcome, &a.curve), (&b.trial, &b.outcome, &b.curve));
    }
}

#[test]
fn status_adds_up() {
    let toy = Toy::new();
    let known = toy.known();
    let mut study = Study::new(&toy, &known, problem(3000.0), hopeless(Algorithm::Mobo, 1));
    assert!(study.check_models().is_empty());
    let steps = run(&toy, &mut study, 1);
    let shares = study.shares();
    assert_eq!(shares.iter().map(|s| s.source.as_str()).collect::<Vec<_>>(), ["initial design", "mobo"]);
    assert_eq!(shares.iter().map(|s| s.trials).sum::<usize>(), 50);
    // The last step of a failed trial is not reported.
    let failed: usize = shares.iter().map(|s| s.failed).sum();
    assert_eq!(shares.iter().map(|s| s.steps).sum::<usize>() + failed, steps);
    assert_eq!(shares.iter().map(|s| s.on_front).sum::<usize>(), study.front().len());
    // The toy's accuracy is smooth: its model must foretell it, and know how well.
    let models = study.check_models();
    assert_eq!(models.iter().map(|m| m.name.as_str()).collect::<Vec<_>>(), ["accuracy"]);
    assert!(models[0].rank_correlation > 0.8, "{models:?}");
    assert!(models[0].within_50 < models[0].within_90 && models[0].within_90 > 0.7, "{models:?}");
}

/// As [`sample`], but late trials show less of what they will come to: what the curves of the first ones
/// teach is wrong then, and some of those that were stopped by it were stopped too early.
fn late(toy: &Toy, trial: &Trial, step: usize, early: bool) -> Sample {
    let (last, ..) = toy.truth(&trial.point);
    let missing = if early { 0.1 } else { 0.5 };
    let value = last * (1.0 - missing * 0.5f64.powi(step as i32));
    Sample { step, metrics: [("accuracy".to_owned(), value)].into() }
}

/// Runs a study of such trials. A trial that is taken up again goes on where it was stopped, or `anew`.
fn run_late(toy: &Toy, study: &mut Study, pending: usize, anew: bool) {
    let mut queue: VecDeque<Trial> = VecDeque::new();
    // By seed, which a trial that is taken up again keeps.
    let mut first = std::collections::BTreeSet::new();
    loop {
        queue.extend(study.ask(pending - queue.len()).unwrap());
        let Some(trial) = queue.pop_front() else { break };
        if trial.number < 12 {
            first.insert(trial.seed);
        }
        let early = first.contains(&trial.seed);
        let done = trial.continues.filter(|_| !anew).map_or(0, |c| c.step);
        let stopped = (done + 1..STEPS).find_map(|step| {
            match study.report(trial.number, late(toy, &trial, step, early)).unwrap() {
                Verdict::Promote => None,
                Verdict::Stop { predicted, .. } => Some(Outcome::Stopped { step, predicted }),
            }
        });
        study.tell(trial.number, stopped.unwrap_or_else(|| toy.outcome(&trial))).unwrap();
    }
    assert!(study.is_over());
}

#[test]
fn a_trial_that_was_stopped_too_early_is_taken_up_again() {
    let toy = Toy::new();
    let known = toy.known();
    let mut again = 0;
    for algorithm in [Algorithm::Mobo, Algorithm::Tpe, Algorithm::LocalSearch] {
        let study = || {
            let settings = Settings { hopeless: 0.1, ..settings(algorithm, 60, 3) };
            Study::new(&toy, &known, problem(3000.0), settings)
        };
        let mut one = study();
        run_late(&toy, &mut one, 1, false);
        let mut seen = std::collections::BTreeSet::new();
        for r in one.records() {
            let Some(c) = r.trial.continues else { continue };
            again += 1;
            let before = &one.records()[c.trial];
            assert_eq!((before.stopped_after(), r.trial.source), (Some(c.step), Source::Continued));
            assert_eq!((&r.trial.point, r.trial.seed), (&before.trial.point, before.trial.seed));
            assert!(seen.insert(c.trial), "trial {} is taken up again twice", c.trial);
            // Its curve is whole, and it has gone further.
            let steps: Vec<usize> = r.curve.iter().map(|s| s.step).collect();
            assert_eq!(steps, (1..=steps.len()).collect::<Vec<_>>());
            assert!(r.is_done() || r.stopped_after() > Some(c.step) || r.outcome.is_some());
        }
        let shares: usize = one.shares().iter().map(|s| s.trials).sum();
        assert_eq!(shares, 60);
        // Neither workers nor a lost state change anything.
        let (mut three, mut anew) = (study(), study());
        run_late(&toy, &mut three, 3, false);
        run_late(&toy, &mut anew, 1, true);
        for other in [&three, &anew] {
            let of = |s: &Study| {
                let each = s.records().iter().map(|r| (r.trial.clone(), r.outcome.clone(), r.curve.clone()));
                each.collect::<Vec<_>>()
            };
            assert_eq!(of(&one), of(other), "{algorithm:?}");
        }
    }
    assert!(again > 0, "no trial was taken up again");
}

#[test]
fn a_journal_remembers_what_was_taken_up_again() {
    let toy = Toy::new();
    let known = toy.known();
    let study = |seed| {
        let settings = Settings { hopeless: 0.1, ..settings(Algorithm::Tpe, 60, seed) };
        Study::new(&toy, &known, problem(3000.0), settings)
    };
    let whole = |seed| {
        let mut whole = study(seed);
        run_late(&toy, &mut whole, 1, false);
        whole.records().iter().any(|r| r.trial.continues.is_some()).then_some((seed, whole))
    };
    let (seed, whole) = (0..8).find_map(whole).unwrap();
    let study = || study(seed);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.jsonl");
    let mut early = std::collections::BTreeSet::new();
    // Every process runs three trials.
    for _ in 0..30 {
        let (mut session, _) = Session::open(&path, study(), &Identity::new()).unwrap();
        for _ in 0..3 {
            let Some(trial) = session.ask(1).unwrap().pop() else { break };
            if trial.number < 12 {
                early.insert(trial.seed);
            }
            let first = trial.continues.map_or(0, |c| c.step) + 1;
            let mut outcome = toy.outcome(&trial);
            for step in first..STEPS {
                let verdict = session
                    .report(trial.number, late(&toy, &trial, step, early.contains(&trial.seed)))
                    .unwrap();
                if let Verdict::Stop { predicted, .. } = verdict {
                    outcome = Outcome::Stopped { step, predicted };
                    break;
                }
            }
            session.tell(trial.number, outcome).unwrap();
        }
    }
    let (session, _) = Session::open(&path, study(), &Identity::new()).unwrap();
    assert!(session.study().is_over());
    for (a, b) in whole.records().iter().zip(session.study().records()) {
        assert_eq!((&a.trial, &a.outcome, &a.curve), (&b.trial, &b.outcome, &b.curve));
    }
}
