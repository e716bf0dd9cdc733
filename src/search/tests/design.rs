//! The first trials, and what the model is shown, where the network's sizes are at hand.

use super::*;
use crate::search::design::{exchange, Design};
use crate::search::explore::{Explorer, Shown};
use crate::search::gp::{Gp, Group, Hyper};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What the toy's graph would tell.
fn sketch(toy: &Toy, p: &Point) -> Sketch {
    let n = |d| toy.number(p, d);
    Sketch {
        amounts: vec![toy.truth(p).1.log2()],
        general: vec![n(DEPTH) + n(DEPTH2)],
        sizes: vec![n(WIDTH).log2(), (n(WIDTH) * n(MUL)).log2()],
    }
}

/// Nothing but the hash and memory is known beforehand.
fn known(toy: &Toy, p: &Point) -> Result<KnownPoint, String> {
    let mut known = toy.known()(p)?;
    known.values.remove("macs");
    Ok(KnownPoint { features: sketch(toy, p).all(), ..known })
}

fn unknown() -> Problem {
    let mut problem = problem(3000.0);
    problem.objectives[1].known = false;
    problem
}

fn measured(toy: &Toy, trial: &Trial) -> Outcome {
    let (accuracy, macs, ..) = toy.truth(&trial.point);
    let metrics = [("accuracy".to_owned(), accuracy), ("macs".to_owned(), macs)];
    Outcome::Done { metrics: metrics.into() }
}

#[test]
fn decisions_are_shown_by_what_they_do_to_the_network() {
    let toy = Toy::new();
    let (features, known) = (|p: &Point| Some(sketch(&toy, p)), |p: &Point| known(&toy, p));
    let mut explorer = Explorer::new(&toy, &known, unknown());
    explorer.features = Some(&features);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let sample: Vec<Point> = (0..40).map(|_| toy.sample(&mut rng)).collect();
    let shown = explorer.shown(&sample, &[10.0], &mut rng);
    assert_eq!([shown[WIDTH], shown[MUL]], [Shown::InSizes; 2]);
    assert_eq!([shown[MIXER], shown[ACT], shown[IDLE]], [Shown::Plainly; 3]);
    let effect = |d: usize| match shown[d] {
        Shown::WithEffect(e) => e,
        other => panic!("{other:?}"),
    };
    // Heads change nothing in the number of operations, a kernel less than a depth.
    assert_eq!(effect(HEADS), 0.0);
    assert!(effect(DEPTH2) > 2.0 * effect(KERNEL) && effect(KERNEL) > 0.0);

    // Of what does more the model expects more: a shorter length.
    let design = Design::new(&mut explorer, &unknown(), &settings(Algorithm::Mobo, 30, 1)).unwrap();
    let own: Vec<usize> = (0..toy.decisions.len()).filter(|d| ![WIDTH, MUL].contains(d)).collect();
    let group = |d: usize| &design.encoder.groups()[own.iter().position(|o| *o == d).unwrap()];
    assert!(group(DEPTH2).shift < group(KERNEL).shift && group(KERNEL).shift < group(HEADS).shift);
    assert_eq!((group(ACT).shift, group(ACT).spread), (0.0, 1.0));
}

/// The sum of the logarithms of what each point tells beyond those before it.
fn entropy(explorer: &Explorer, design: &Design, points: &[Point]) -> f64 {
    let groups: Vec<Group> = design.encoder.groups().iter().map(|g| Group::new(g.columns.clone())).collect();
    let xs: Vec<Vec<f64>> =
        points.iter().map(|p| explorer.encode(&design.encoder, p, None).unwrap()).collect();
    let told = |i: usize| {
        let gp = Gp::new(&xs[..i], &vec![0.0; i], &groups, &Hyper::prior(&groups)).unwrap();
        gp.predict(&xs[i]).1.ln()
    };
    (1..points.len()).map(told).sum()
}

#[test]
fn exchange_finds_feasible_points_that_tell_more() {
    let toy = Toy::new();
    let (features, known) = (|p: &Point| Some(sketch(&toy, p)), |p: &Point| known(&toy, p));
    let mut explorer = Explorer::new(&toy, &known, unknown());
    explorer.features = Some(&features);
    let design = Design::new(&mut explorer, &unknown(), &settings(Algorithm::Mobo, 30, 1)).unwrap();
    let mut points: Vec<Point> = design.pool.iter().take(9).map(|c| c.0.point.clone()).collect();
    let before = points.clone();
    exchange(&mut points, 2, &mut explorer, &design.encoder, &mut ChaCha8Rng::seed_from_u64(3));
    assert_eq!(points[..2], before[..2]);
    let (old, new) = (entropy(&explorer, &design, &before), entropy(&explorer, &design, &points));
    assert!(new > old + 0.5, "{old} {new}");
    let hashes: std::collections::HashSet<String> = points
        .iter()
        .map(|p| explorer.usable(p).expect("keeps the requirement").known.hash.clone())
        .collect();
    assert_eq!(hashes.len(), points.len());
}

#[test]
fn a_study_with_features_goes_on_as_it_would_have() {
    let toy = Toy::new();
    let (features, known) = (|p: &Point| Some(sketch(&toy, p)), |p: &Point| known(&toy, p));
    let dir = tempfile::tempdir().unwrap();
    let walks = AtomicUsize::new(0);
    let features = |p: &Point| {
        walks.fetch_add(1, Ordering::Relaxed);
        features(p)
    };
    let drive = |path: &std::path::Path, stop: usize| {
        let study =
            Study::new(&toy, &known, unknown(), settings(Algorithm::Mobo, 16, 4)).with_features(&features);
        let (mut session, _) = Session::open(path, study, &identity("a")).unwrap();
        for _ in 0..stop {
            let Some(t) = session.ask(1).unwrap().pop() else { break };
            session.tell(t.number, measured(&toy, &t)).unwrap();
        }
        trials(session.study())
    };
    let expected = drive(&dir.path().join("whole"), usize::MAX);
    assert_eq!(expected.len(), 16);
    assert!(walks.load(Ordering::Relaxed) > 1000, "the features were used");
    // In the initial design, at its end, behind it.
    for cut in [1, 3, 7, 8, 12] {
        let path = dir.path().join(format!("cut{cut}"));
        assert_eq!(drive(&path, cut), expected[..cut]);
        assert_eq!(drive(&path, usize::MAX), expected, "cut after {cut}");
    }
}
