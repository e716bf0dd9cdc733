//! The first trials, and what the model is shown, where the network's sizes are at hand.

use super::*;
use crate::search::covariance::{Group, Hyper};
use crate::search::design::{exchange, Design};
use crate::search::explore::Explorer;
use crate::search::gp::Gp;
use crate::search::maximise::maximise;
use crate::search::shown::Shown;
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

/// Without a limit on what is known.
fn open() -> Problem {
    let mut problem = unknown();
    problem.limits.clear();
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

    // Not where an objective is known.
    let known = toy.known();
    let mut explorer = Explorer::new(&toy, &known, problem(3000.0));
    explorer.features = Some(&features);
    let settings = settings(Algorithm::Mobo, 30, 1);
    let design = Design::new(&mut explorer, &problem(3000.0), &settings).unwrap();
    assert!(design.encoder.groups().iter().all(|g| (g.shift, g.spread) == (0.0, 1.0)));
    let filling = Settings { algorithm: Algorithm::Nsga2, ..settings };
    assert_eq!(Design::new(&mut explorer, &problem(3000.0), &filling).unwrap().points, design.points);
}

#[test]
fn a_network_with_a_trial_is_not_usable_and_no_other_is_built_to_see_that() {
    let toy = Toy::new();
    let (features, known) = (|p: &Point| Some(sketch(&toy, p)), |p: &Point| known(&toy, p));
    let mut explorer = Explorer::new(&toy, &known, open());
    explorer.features = Some(&features);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let points: Vec<Point> = (0..60).map(|_| toy.sample(&mut rng)).collect();
    for point in &points[..20] {
        let hash = explorer.look(point).unwrap().known.hash.clone();
        explorer.take(&hash, point);
    }
    let usable: Vec<bool> = points.iter().map(|p| explorer.usable(p).is_some()).collect();
    assert!(usable[..20].iter().all(|u| !u) && usable[20..].iter().any(|u| *u));

    let hashes = explorer.taken.clone();
    let mut explorer = Explorer::new(&toy, &known, open());
    explorer.features = Some(&features);
    explorer.taken = hashes;
    let taken = explorer.features_taken().unwrap();
    let found: Vec<bool> = points.iter().map(|p| explorer.seems_usable(p, Some(&taken))).collect();
    // Some of the toy's points have features and are no networks: those are told apart later.
    assert!(found[..20].iter().all(|f| !f) && found.iter().zip(&usable).all(|(f, u)| *f || !u));
    let unlike = points.iter().filter(|p| points[..20].iter().all(|t| sketch(&toy, t) != sketch(&toy, p)));
    assert_eq!(explorer.calls, 60 - unlike.count());
    assert!(explorer.calls < 60);

    // Where a known value has a limit, the network must be looked at.
    let mut limited = Explorer::new(&toy, &known, unknown());
    limited.features = Some(&features);
    assert!(limited.features_taken().is_none());
}

#[test]
fn an_equal_network_with_other_features_is_not_tried_again() {
    let toy = Toy::new();
    // An idle decision, which is no part of the hash, is told to the model all the same.
    let features = |p: &Point| {
        let mut sketch = sketch(&toy, p);
        sketch.general.push(toy.number(p, IDLE));
        Some(sketch)
    };
    let known = |p: &Point| known(&toy, p);
    let mut explorer = Explorer::new(&toy, &known, open());
    explorer.features = Some(&features);
    let design = Design::new(&mut explorer, &open(), &settings(Algorithm::Mobo, 30, 1)).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let tried = loop {
        let point = toy.sample(&mut rng);
        if explorer.usable(&point).is_some() {
            break point;
        }
    };
    let hash = explorer.look(&tried).unwrap().known.hash.clone();
    explorer.take(&hash, &tried);
    let mut twin = tried.clone();
    twin.0[IDLE] = twin.0[IDLE].map(|v| 1 - v);
    assert_eq!(explorer.look(&twin).unwrap().known.hash, hash);
    let taken = explorer.features_taken().unwrap();
    assert!(explorer.seems_usable(&twin, Some(&taken)) && explorer.usable(&twin).is_none());

    // The twin is where the score is greatest: an ascent ends there, and gives the best that is usable around.
    let goal = explorer.encode(&design.encoder, &twin, None).unwrap();
    let off = |x: &[f64]| x.iter().zip(&goal).map(|(x, g)| (x - g).powi(2)).sum::<f64>();
    let reached = AtomicUsize::new(0);
    let score = |x: &[f64], _: Option<&KnownPoint>| {
        reached.fetch_add(usize::from(off(x) == 0.0), Ordering::Relaxed);
        -off(x)
    };
    let elite = [tried.clone()];
    let found = maximise(&mut explorer, &design, &elite, 400, true, score, &mut rng).unwrap();
    assert!(reached.load(Ordering::Relaxed) > 0, "the ascent saw the twin");
    assert_ne!(found.known.hash, hash);
    let distance = |explorer: &Explorer, p: &Point| off(&explorer.encode(&design.encoder, p, None).unwrap());
    let around = explorer.neighbours(&twin, &mut rng);
    let usable: Vec<&Point> = around.iter().filter(|p| explorer.usable(p).is_some()).collect();
    let nearest = usable.iter().map(|p| distance(&explorer, p)).fold(f64::INFINITY, f64::min);
    assert!(distance(&explorer, &found.point) <= nearest, "{} {nearest}", distance(&explorer, &found.point));

    // Where no network is usable, none is given.
    let nothing = |_: &Point| Err("no network".to_string());
    let mut explorer = Explorer::new(&toy, &nothing, open());
    explorer.features = Some(&features);
    assert!(maximise(&mut explorer, &design, &elite, 100, true, |x, _| -off(x), &mut rng).is_none());
}

/// A value that constraints refuse is repaired by changing others: that is no effect of the decision.
#[test]
fn what_constraints_change_is_no_effect() {
    struct Tied(Vec<DecisionInfo>);
    impl SearchSpace for Tied {
        fn decisions(&self) -> &[DecisionInfo] {
            &self.0
        }
        fn sample(&self, rng: &mut dyn Rng) -> Point {
            self.repair(&[None, Some(rng.random_range(0..2))], rng).unwrap()
        }
        /// The first decision is whatever the second is.
        fn repair(&self, wish: &[Option<u32>], _: &mut dyn Rng) -> Option<Point> {
            Some(Point(vec![wish[1], wish[1]]))
        }
    }
    let number = |path: &str| DecisionInfo {
        path: path.into(),
        values: vec!["1".into(), "2".into()],
        kind: DecisionKind::Ordinal(vec![1.0, 2.0]),
    };
    let space = Tied(vec![number("a"), number("b")]);
    let features = |p: &Point| {
        let v = f64::from(p.0[1]?);
        Some(Sketch { amounts: vec![v], general: vec![], sizes: vec![] })
    };
    let known = |_: &Point| Ok(KnownPoint::default());
    let mut explorer = Explorer::new(&space, &known, unknown());
    explorer.features = Some(&features);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let sample: Vec<Point> = (0..4).map(|_| space.sample(&mut rng)).collect();
    assert_eq!(explorer.shown(&sample, &[1.0], &mut rng), [Shown::Plainly; 2]);
}

/// The sum of the logarithms of what each point tells beyond those before it.
fn entropy(explorer: &Explorer, design: &Design, points: &[Point]) -> f64 {
    let groups: Vec<Group> = design.encoder.groups().iter().map(|g| Group::new(g.columns.clone())).collect();
    let xs: Vec<Vec<f64>> =
        points.iter().map(|p| explorer.encode(&design.encoder, p, None).unwrap()).collect();
    let hyper = Hyper { additive: f64::NEG_INFINITY, ..Hyper::prior(&groups) };
    let told = |i: usize| {
        let gp = Gp::new(&xs[..i], &vec![0.0; i], &groups, &hyper).unwrap();
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
    let (walks, looks) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let features = |p: &Point| {
        walks.fetch_add(1, Ordering::Relaxed);
        features(p)
    };
    let known = |p: &Point| {
        looks.fetch_add(1, Ordering::Relaxed);
        known(p)
    };
    let mut needed = Vec::new();
    for (name, problem) in [("limited", unknown()), ("open", open())] {
        let drive = |path: &std::path::Path, stop: usize| {
            let study = Study::new(&toy, &known, problem.clone(), settings(Algorithm::Mobo, 16, 4));
            let study = study.with_features(&features);
            let (mut session, _) = Session::open(path, study, &identity("a")).unwrap();
            for _ in 0..stop {
                let Some(t) = session.ask(1).unwrap().pop() else { break };
                session.tell(t.number, measured(&toy, &t)).unwrap();
            }
            trials(session.study())
        };
        walks.store(0, Ordering::Relaxed);
        looks.store(0, Ordering::Relaxed);
        let expected = drive(&dir.path().join(format!("{name}-whole")), usize::MAX);
        assert_eq!(expected.len(), 16);
        assert!(walks.load(Ordering::Relaxed) > 1000, "the features were used");
        // Those of the suggestions behind the design.
        let all = looks.swap(0, Ordering::Relaxed);
        drive(&dir.path().join(format!("{name}-design")), 8);
        needed.push(all - looks.load(Ordering::Relaxed));
        // In the initial design, at its end, behind it.
        for cut in [1, 3, 7, 8, 12] {
            let path = dir.path().join(format!("{name}-cut{cut}"));
            assert_eq!(drive(&path, cut), expected[..cut]);
            assert_eq!(drive(&path, usize::MAX), expected, "{name}, cut after {cut}");
        }
    }
    // Without limits the ends of six ascents at most.
    assert!(needed[1] <= 8 * 8 && needed[1] < needed[0] / 2, "{needed:?}");
}

#[test]
fn workers_do_not_matter_where_there_are_features() {
    let toy = Toy::new();
    let (features, known) = (|p: &Point| Some(sketch(&toy, p)), |p: &Point| known(&toy, p));
    for problem in [unknown(), open()] {
        let run = |pending: usize| {
            let mut study = Study::new(&toy, &known, problem.clone(), settings(Algorithm::Mobo, 18, 6))
                .with_features(&features);
            let mut queue: std::collections::VecDeque<Trial> = Default::default();
            loop {
                queue.extend(study.ask(pending - queue.len()).unwrap());
                let Some(trial) = queue.pop_front() else { break };
                study.tell(trial.number, measured(&toy, &trial)).unwrap();
            }
            trials(&study)
        };
        let one = run(1);
        assert_eq!(one.len(), 18);
        assert_eq!(run(3), one);
        assert_eq!(run(20), one);
    }
}

#[test]
fn seed_points_stay_and_only_processes_move_the_others() {
    let toy = Toy::new();
    let (features, known) = (|p: &Point| Some(sketch(&toy, p)), |p: &Point| known(&toy, p));
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    let mut seed_points: Vec<Point> = (0..200).map(|_| toy.sample(&mut rng)).collect();
    let mut look = Explorer::new(&toy, &known, unknown());
    let (good, bad): (Vec<Point>, Vec<Point>) = seed_points.drain(..).partition(|p| look.usable(p).is_some());
    let begin = |algorithm, initial: usize, problem: &Problem, seeds: &[Point]| {
        let mut explorer = Explorer::new(&toy, &known, problem.clone());
        explorer.features = Some(&features);
        let settings = Settings { seed_points: seeds.to_vec(), initial, ..settings(algorithm, 30, 1) };
        Design::new(&mut explorer, problem, &settings).unwrap().points
    };
    let seeds = [good[0].clone(), bad[0].clone(), good[1].clone()];
    let points = begin(Algorithm::Mobo, 8, &unknown(), &seeds);
    assert_eq!(points.len(), 8);
    assert_eq!(points[..2], good[..2], "those that keep the requirement, first and as they are");
    assert_eq!(begin(Algorithm::Mobo, 1, &unknown(), &seeds), good[..1]);
    assert_eq!(begin(Algorithm::Mobo, 1, &unknown(), &[]).len(), 1);
    // For others, and where an objective is known, the points are those that fill the space.
    let plain = begin(Algorithm::Nsga2, 8, &unknown(), &[]);
    assert_ne!(begin(Algorithm::Mobo, 8, &unknown(), &[]), plain);
    assert_eq!(begin(Algorithm::Tpe, 8, &unknown(), &[]), plain);
}

#[test]
fn finely_graded_decisions_ask_for_more_first_trials() {
    let number = |n: u32| DecisionInfo {
        path: "a".into(),
        values: (0..n).map(|v| v.to_string()).collect(),
        kind: DecisionKind::Ordinal((0..n).map(f64::from).collect()),
    };
    let usual = |algorithm, trials, fine: usize, coarse: usize| {
        let decisions: Vec<DecisionInfo> = [vec![number(17); fine], vec![number(16); coarse]].concat();
        Settings::usual_initial(algorithm, trials, &decisions)
    };
    for (fine, coarse, expected) in [(0, 30, 10), (12, 9, 10), (16, 9, 12), (40, 0, 20)] {
        assert_eq!(usual(Algorithm::Mobo, 100, fine, coarse), expected);
        assert_eq!(usual(Algorithm::Tpe, 100, fine, coarse), 10);
        assert_eq!(usual(Algorithm::Nsga2, 100, fine, coarse), 20);
        // Few trials are for the models, too.
        assert_eq!(usual(Algorithm::Mobo, 24, fine, coarse), 8);
        assert_eq!(usual(Algorithm::Nsga2, 5, fine, coarse), 4);
    }
}

#[test]
fn a_spec_that_does_not_say_initial_gets_the_usual_one() {
    let graded = "conv_bn(choice(8 .. 64 step 1), 3) > ".repeat(16);
    let head = format!(
        "task {{ input = image(16, 16, 3) classes = [\"a\", \"b\"] }}
        space {{ {graded} global_avg_pool > linear(classes) }}
        goal {{ maximize accuracy }}
        "
    );
    let read = |search: &str| {
        let report = crate::check::check("t.hyt", &format!("{head}{search}"), &|_| Err("none".into()));
        let checked = report.checked.unwrap_or_else(|| panic!("{:?}", report.diagnostics));
        let decisions = checked.space.decisions();
        let settings = |seeds: usize| {
            let seeds = vec![Point(vec![Some(0); decisions.len()]); seeds];
            Settings::from_spec(&checked.spec.search, decisions, seeds)
        };
        assert_eq!(settings(7).seed_points.len(), 7);
        (settings(0).initial, settings(11).initial, settings(0).initial_is_usual)
    };
    assert_eq!(read("search mobo { trials = 24 }"), (8, 11, true), "all seed points are tried");
    assert_eq!(read("search mobo { trials = 12 }"), (4, 6, true), "but for half of the trials");
    assert_eq!(read("search mobo { trials = 60 }"), (12, 12, true));
    assert_eq!(read("search mobo { trials = 24, workers = 16 }"), (17, 17, true), "none by chance");
    assert_eq!(read("search tpe { trials = 2 }"), (2, 2, true));
    assert_eq!(read("search nsga2 { trials = 60 }"), (20, 20, true));
    assert_eq!(read("search mobo { trials = 60, initial = 9 }"), (9, 9, false));
}
