//! Spaces of finely graded decisions.

use super::*;
use crate::search::design::Design;
use crate::search::encode::Encoder;
use crate::search::explore::Explorer;
use crate::search::maximise::maximise;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Decisions of so many values each; the last exists only if the first is in the lower half.
struct Graded(Vec<DecisionInfo>);

impl Graded {
    fn new(decisions: usize, values: u32) -> Graded {
        let info = |d| DecisionInfo {
            path: format!("x{d}"),
            values: (0..values).map(|v| v.to_string()).collect(),
            kind: DecisionKind::Ordinal((0..values).map(f64::from).collect()),
        };
        Graded((0..decisions).map(info).collect())
    }
}

impl SearchSpace for Graded {
    fn decisions(&self) -> &[DecisionInfo] {
        &self.0
    }

    fn sample(&self, rng: &mut dyn Rng) -> Point {
        self.repair(&vec![None; self.0.len()], rng).unwrap()
    }

    fn repair(&self, wish: &[Option<u32>], rng: &mut dyn Rng) -> Option<Point> {
        let mut p: Vec<Option<u32>> = Vec::new();
        for (d, info) in self.0.iter().enumerate() {
            let n = info.values.len() as u32;
            let exists = d == 0 || d + 1 < self.0.len() || p[0] < Some(n / 2);
            p.push(exists.then(|| wish[d].filter(|v| *v < n).unwrap_or_else(|| rng.random_range(0..n))));
        }
        Some(Point(p))
    }
}

/// The values from 0 to 1; an absent one is 0.5.
fn numbers(space: &Graded, p: &Point) -> Vec<f64> {
    let greatest = (space.0[0].values.len() - 1) as f64;
    p.0.iter().map(|v| v.map_or(0.5, |v| f64::from(v) / greatest)).collect()
}

/// Two curved objectives and a limit that half of the space breaks, nothing known of any.
fn measured() -> Problem {
    let mut problem = problem(1.0);
    problem.objectives[1].known = false;
    problem.limits[0].known = false;
    problem
}

fn outcome(space: &Graded, trial: &Trial) -> Outcome {
    let x = numbers(space, &trial.point);
    let rest: f64 = x[1..].iter().map(|v| (v - 0.3).powi(2)).sum();
    let metrics = [("accuracy", 1.0 - x[0].powi(2) - rest), ("macs", (1.0 - x[0]).powi(2) + rest)];
    let ram = ("ram", 2.0 * x[1]);
    Outcome::Done { metrics: [metrics[0], metrics[1], ram].map(|(k, v)| (k.to_owned(), v)).into() }
}

fn known(p: &Point) -> Result<KnownPoint, String> {
    Ok(KnownPoint { hash: format!("{:?}", p.0), ..KnownPoint::default() })
}

#[test]
fn workers_and_interruptions_do_not_matter_where_decisions_are_finely_graded() {
    let space = Graded::new(6, 101);
    let study = || Study::new(&space, &known, measured(), settings(Algorithm::Mobo, 20, 3));
    let through = |pending: usize| {
        let mut study = study();
        let mut queue: std::collections::VecDeque<Trial> = Default::default();
        loop {
            queue.extend(study.ask(pending - queue.len()).unwrap());
            let Some(trial) = queue.pop_front() else { break };
            study.tell(trial.number, outcome(&space, &trial)).unwrap();
        }
        trials(&study)
    };
    let one = through(1);
    assert_eq!(one.len(), 20);
    assert!(one.iter().any(|t| t.source == Source::Chosen));
    assert_eq!(one, through(3));
    assert_eq!(one, through(20));
    // Interrupted after every result, so that nothing is remembered but what the journal holds.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.jsonl");
    for _ in 0..20 {
        let (mut session, _) = Session::open(&path, study(), &identity("a")).unwrap();
        let trial = session.ask(1).unwrap().pop().unwrap();
        session.tell(trial.number, outcome(&space, &trial)).unwrap();
    }
    let (session, _) = Session::open(&path, study(), &identity("a")).unwrap();
    assert_eq!(one, trials(session.study()));
}

#[test]
fn the_acquisition_climbs_decision_by_decision_where_they_are_finely_graded() {
    let space = Graded::new(12, 1001);
    let mut explorer = Explorer::new(&space, &known, measured());
    let settings = settings(Algorithm::Mobo, 20, 3);
    let design = Design::new(&mut explorer, &measured(), &settings).unwrap();
    // The coordinates are the decisions, from -0.5 to 0.5; that of the last has a second one, of absence.
    // The best first value is in the lower half, so that the last decision exists.
    let off = |x: &[f64]| x[..12].iter().map(|v| (v + 0.17).powi(2)).sum::<f64>();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let found = maximise(&mut explorer, &design, &[], 200, false, |x, _| -off(x), &mut rng).unwrap();
    let x = explorer.encode(&design.encoder, &found.point, Some(&found.known)).unwrap();
    assert!(off(&x) < 1e-3, "{} off", off(&x));
}

/// Repairs so slowly that it is worth several threads.
struct Slow(Graded);

impl SearchSpace for Slow {
    fn decisions(&self) -> &[DecisionInfo] {
        self.0.decisions()
    }

    fn sample(&self, rng: &mut dyn Rng) -> Point {
        self.0.sample(rng)
    }

    fn repair(&self, wish: &[Option<u32>], rng: &mut dyn Rng) -> Option<Point> {
        std::thread::sleep(std::time::Duration::from_micros(300));
        self.0.repair(wish, rng)
    }
}

#[test]
fn neighbours_found_on_several_cores_are_those_found_one_by_one() {
    // Values of the first in the lower half bring the last into being, whose value is drawn.
    let space = Slow(Graded::new(6, 101));
    let explorer = Explorer::new(&space, &known, measured());
    let point = Point(vec![Some(80), Some(1), Some(2), Some(3), Some(4), None]);
    let (mut one, mut all) = (ChaCha8Rng::seed_from_u64(7), ChaCha8Rng::seed_from_u64(7));
    let wishes = (0..6).flat_map(|d| explorer.wishes(&point, d));
    let repaired = wishes.filter_map(|wish| space.0.repair(&wish, &mut one));
    let expected: Vec<Point> = repaired.filter(|p| *p != point).collect();
    assert!(expected.iter().any(|p| p.0[5].is_some()) && expected.iter().any(|p| p.0[5].is_none()));
    assert_eq!(explorer.neighbours(&point, &mut all), expected);
    assert_eq!(one, all, "as many numbers are drawn");

    // The same with features, which are kept.
    let walks = AtomicUsize::new(0);
    let features = |p: &Point| {
        walks.fetch_add(1, Ordering::Relaxed);
        Some(Sketch { general: numbers(&space.0, p), ..Sketch::default() })
    };
    let mut explorer = Explorer::new(&space, &known, measured());
    explorer.features = Some(&features);
    let mut all = ChaCha8Rng::seed_from_u64(7);
    assert_eq!(explorer.neighbours(&point, &mut all), expected);
    assert_eq!(one, all);
    let walked = walks.load(Ordering::Relaxed);
    assert!(walked >= expected.len());
    let sample: Vec<(Point, &KnownPoint)> = Vec::new();
    let encoder = Encoder::new(space.decisions(), &[], None, &sample);
    for p in &expected {
        assert!(explorer.encode(&encoder, p, None).is_some());
    }
    assert_eq!(walks.load(Ordering::Relaxed), walked, "nothing is worked out again");
}
