//! The engine as a whole, on a made-up space with conditional decisions, a known cost and a
//! requirement.

use super::journal::{Identity, Journal};
use super::volume::hypervolume;
use super::*;
use crate::check::spec::Algorithm;
use crate::space::{DecisionInfo, DecisionKind, Point, SearchSpace};
use rand::{Rng, RngExt};
use std::collections::BTreeMap;

mod design;
mod fidelity;
mod fine;

struct Toy {
    decisions: Vec<DecisionInfo>,
}

const WIDTH: usize = 0;
const DEPTH: usize = 1;
const KERNEL: usize = 2;
const MIXER: usize = 3;
const EXPAND: usize = 4;
const SQUEEZE: usize = 5;
const HEADS: usize = 6;
const BLOCKS: usize = 7;
const FFN: usize = 8;
const ACT: usize = 9;
const IDLE: usize = 10;
const MUL: usize = 11;
const DEPTH2: usize = 12;

impl Toy {
    fn new() -> Toy {
        let number = |path: &str, v: &[f64]| DecisionInfo {
            path: path.into(),
            values: v.iter().map(f64::to_string).collect(),
            kind: DecisionKind::Ordinal(v.to_vec()),
        };
        let name = |path: &str, v: &[&str]| DecisionInfo {
            path: path.into(),
            values: v.iter().map(|s| s.to_string()).collect(),
            kind: DecisionKind::Categorical,
        };
        Toy {
            decisions: vec![
                number("width", &[8.0, 16.0, 24.0, 32.0, 48.0]),
                number("depth", &[1.0, 2.0, 3.0, 4.0]),
                number("kernel", &[3.0, 5.0, 7.0]),
                name("mixer", &["conv", "attention", "none"]),
                number("conv.expand", &[1.0, 2.0, 4.0, 6.0]),
                name("conv.squeeze", &["no", "yes"]),
                number("attention.heads", &[1.0, 2.0, 4.0, 8.0]),
                number("attention.blocks", &[1.0, 2.0, 3.0]),
                number("attention.ffn", &[1.0, 1.5, 2.0]),
                name("act", &["relu", "silu", "gelu"]),
                name("idle", &["a", "b"]),
                number("mul", &[1.0, 1.5, 2.0]),
                number("depth2", &[1.0, 2.0, 3.0, 4.0]),
            ],
        }
    }

    fn number(&self, p: &Point, d: usize) -> f64 {
        match (&self.decisions[d].kind, p.0[d]) {
            (DecisionKind::Ordinal(v), Some(i)) => v[i as usize],
            (_, Some(i)) => f64::from(i),
            _ => 0.0,
        }
    }

    /// Accuracy, MACs, RAM, hash.
    fn truth(&self, p: &Point) -> (f64, f64, f64, String) {
        let n = |d| self.number(p, d);
        let (w, w2) = (n(WIDTH), n(WIDTH) * n(MUL));
        let (mixer_macs, bonus) = match p.0[MIXER] {
            Some(0) => (
                w2 * w2 * n(EXPAND) * 2.0 + n(SQUEEZE) * w2 * 8.0,
                0.035 * (1.0 + n(EXPAND)).ln() + 0.015 * n(SQUEEZE),
            ),
            Some(1) => (
                w2 * w2 * n(BLOCKS) * (4.0 + 2.0 * n(FFN)),
                0.045 * (1.0 + n(BLOCKS)).ln() + 0.03 * n(FFN) - 0.02 * (n(HEADS).log2() - 1.0).powi(2)
                    + if w2 >= 32.0 { 0.03 } else { -0.03 },
            ),
            _ => (0.0, 0.0),
        };
        let macs = 400.0
            + n(DEPTH) * w * (n(KERNEL) * n(KERNEL) + 2.0 * w)
            + n(DEPTH2) * w2 * (9.0 + 2.0 * w2)
            + mixer_macs;
        let act = [0.0, 0.02, 0.015][p.0[ACT].unwrap() as usize];
        let capacity = 0.06 * (w * n(DEPTH)).ln() + 0.05 * (w2 * n(DEPTH2)).ln();
        let kernel = [0.0, 0.02, 0.008][p.0[KERNEL].unwrap() as usize];
        let accuracy = 0.95 * (1.0 - (-(0.6 + 2.2 * (capacity + bonus + act + kernel))).exp());
        let mut canonical = p.clone();
        canonical.0[IDLE] = None;
        (accuracy, macs, 64.0 * w + 32.0 * w2 + 3.0 * w2 * n(EXPAND), format!("{:?}", canonical.0))
    }

    fn known(&self) -> impl Fn(&Point) -> Result<KnownPoint, String> + Sync + '_ {
        |p| {
            if p.0[KERNEL] == Some(2) && p.0[WIDTH] == Some(0) {
                return Err("a kernel larger than the map".into());
            }
            let (_, macs, ram, hash) = self.truth(p);
            let values = [("macs".to_owned(), macs), ("ram".to_owned(), ram)].into();
            Ok(KnownPoint {
                hash,
                values,
                features: vec![(self.number(p, WIDTH) * self.number(p, MUL)).log2()],
            })
        }
    }

    fn outcome(&self, trial: &Trial) -> Outcome {
        // One kind of network diverges.
        if trial.point.0[ACT] == Some(2) && trial.point.0[DEPTH] == Some(3) {
            return Outcome::Failed { reason: "the loss is not a number".into() };
        }
        Outcome::Done { metrics: [("accuracy".to_owned(), self.truth(&trial.point).0)].into() }
    }
}

impl SearchSpace for Toy {
    fn decisions(&self) -> &[DecisionInfo] {
        &self.decisions
    }

    fn sample(&self, rng: &mut dyn Rng) -> Point {
        self.repair(&vec![None; self.decisions.len()], rng).unwrap()
    }

    fn repair(&self, wish: &[Option<u32>], rng: &mut dyn Rng) -> Option<Point> {
        let mut p: Vec<Option<u32>> = Vec::new();
        for (d, info) in self.decisions.iter().enumerate() {
            let mixer = p.get(MIXER).copied().flatten();
            let exists = match d {
                EXPAND | SQUEEZE => mixer == Some(0),
                HEADS | BLOCKS | FFN => mixer == Some(1),
                _ => true,
            };
            let n = info.values.len() as u32;
            p.push(exists.then(|| wish[d].filter(|v| *v < n).unwrap_or_else(|| rng.random_range(0..n))));
        }
        Some(Point(p))
    }
}

fn problem(ram: f64) -> Problem {
    Problem {
        objectives: vec![
            Target {
                name: "accuracy".into(),
                quantity: Quantity::Fraction,
                maximize: true,
                known: false,
                ideal: None,
            },
            Target {
                name: "macs".into(),
                quantity: Quantity::Count,
                maximize: false,
                known: true,
                ideal: None,
            },
        ],
        limits: vec![Limit {
            name: "ram".into(),
            quantity: Quantity::Bytes,
            at_least: false,
            limit: ram,
            known: true,
        }],
        choice: Choice::Best { name: "accuracy".into(), maximize: true },
    }
}

fn settings(algorithm: Algorithm, trials: usize, seed: u64) -> Settings {
    Settings { effort: 300, window: 3, ..Settings::new(algorithm, trials, 8, seed) }
}

/// Runs with so many trials pending at a time, results told in order of numbers.
fn run(toy: &Toy, study: &mut Study, pending: usize) {
    let mut queue: std::collections::VecDeque<Trial> = Default::default();
    loop {
        queue.extend(study.ask(pending - queue.len()).unwrap());
        let Some(trial) = queue.pop_front() else { break };
        study.tell(trial.number, toy.outcome(&trial)).unwrap();
    }
    assert!(study.is_over());
}

fn trials(study: &Study) -> Vec<Trial> {
    study.records().iter().map(|r| r.trial.clone()).collect()
}

const ALL: [Algorithm; 5] =
    [Algorithm::Random, Algorithm::Nsga2, Algorithm::Mobo, Algorithm::Tpe, Algorithm::LocalSearch];

#[test]
fn the_number_of_workers_does_not_matter() {
    let toy = Toy::new();
    let known = toy.known();
    for algorithm in ALL {
        let study = || Study::new(&toy, &known, problem(3000.0), settings(algorithm, 24, 7));
        let (mut one, mut three, mut many) = (study(), study(), study());
        run(&toy, &mut one, 1);
        run(&toy, &mut three, 3);
        run(&toy, &mut many, 20);
        assert_eq!(trials(&one), trials(&three), "{algorithm:?}");
        assert_eq!(trials(&one), trials(&many), "{algorithm:?}");
        let mut other = Study::new(&toy, &known, problem(3000.0), settings(algorithm, 24, 8));
        run(&toy, &mut other, 1);
        assert_ne!(trials(&one), trials(&other), "{algorithm:?}: the seed matters");
    }
}

#[test]
fn nothing_infeasible_is_asked_and_no_network_twice() {
    let toy = Toy::new();
    let known = toy.known();
    for algorithm in ALL {
        let mut study = Study::new(&toy, &known, problem(1600.0), settings(algorithm, 60, 1));
        run(&toy, &mut study, 2);
        let mut hashes: Vec<&str> = study.records().iter().map(|r| r.trial.hash.as_str()).collect();
        assert_eq!(hashes.len(), 60);
        assert!(study.records().iter().all(|r| r.known.values["ram"] <= 1600.0), "{algorithm:?}");
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), 60, "{algorithm:?}");
    }
}

#[test]
fn an_impossible_requirement_is_said_with_the_nearest_miss() {
    let toy = Toy::new();
    let known = toy.known();
    for algorithm in ALL {
        let mut study = Study::new(&toy, &known, problem(700.0), settings(algorithm, 10, 1));
        let Err(StudyError::Infeasible(shortage)) = study.ask(1) else { panic!("the least RAM is 768") };
        let near = shortage.nearest.clone().unwrap();
        assert_eq!((near.value, near.limit.limit), (768.0, 700.0), "{algorithm:?}");
        let text = StudyError::Infeasible(shortage).to_string();
        assert!(text.contains("ram 768 B, the limit is at most 700 B (9.7 % off)"), "{text}");
    }
}

#[test]
fn a_rare_feasible_region_is_found_and_used_up() {
    let toy = Toy::new();
    let known = toy.known();
    // Width 8, no growth, no expansion: 0.4 % of the samples.
    let mut study = Study::new(&toy, &known, problem(768.0), settings(Algorithm::Mobo, 30, 3));
    run(&toy, &mut study, 1);
    assert_eq!(study.records().len(), 30);

    struct Small;
    impl SearchSpace for Small {
        fn decisions(&self) -> &[DecisionInfo] {
            &[]
        }
        fn sample(&self, _: &mut dyn Rng) -> Point {
            Point(vec![])
        }
        fn repair(&self, _: &[Option<u32>], _: &mut dyn Rng) -> Option<Point> {
            Some(Point(vec![]))
        }
    }
    let one = |_: &Point| {
        let values: BTreeMap<String, f64> = [("macs".to_owned(), 1.0), ("ram".to_owned(), 1.0)].into();
        Ok(KnownPoint { hash: "only".into(), values, features: vec![] })
    };
    for algorithm in ALL {
        let mut study = Study::new(&Small, &one, problem(10.0), settings(algorithm, 5, 1));
        assert_eq!(study.ask(5).unwrap().len(), 1);
        assert!(matches!(study.finish(), Some(Finish::Exhausted(s)) if s.exhaustive));
        study.tell(0, Outcome::Done { metrics: [("accuracy".to_owned(), 0.5)].into() }).unwrap();
        assert!(study.is_over());
        assert_eq!(study.chosen(), Some(0));
    }
}

#[test]
fn rubbish_results_are_failures_with_a_reason() {
    let toy = Toy::new();
    let known = toy.known();
    let mut study = Study::new(&toy, &known, problem(3000.0), settings(Algorithm::Random, 3, 1));
    assert_eq!(study.ask(9).unwrap().len(), 3);
    assert_eq!(
        study.tell(0, Outcome::Done { metrics: BTreeMap::new() }).unwrap(),
        Outcome::Failed { reason: "the result has no accuracy".into() }
    );
    let nan = Outcome::Done { metrics: [("accuracy".to_owned(), f64::NAN)].into() };
    assert!(matches!(study.tell(1, nan).unwrap(), Outcome::Failed { .. }));
    assert_eq!(study.tell(1, toy.outcome(&study.records()[1].trial)), Err(StudyError::NotPending(1)));
    assert_eq!(study.tell(7, Outcome::Failed { reason: String::new() }), Err(StudyError::NotPending(7)));
    // A measured value does not overrule a computed one.
    let lie = Outcome::Done { metrics: [("accuracy".to_owned(), 0.5), ("macs".to_owned(), 1.0)].into() };
    study.tell(2, lie).unwrap();
    assert_ne!(study.records()[2].value("macs"), Some(1.0));
}

fn volume(study: &Study) -> f64 {
    let costs: Vec<Vec<f64>> = study.records().iter().filter_map(|r| study.costs(r)).collect();
    hypervolume(&costs, &[-0.6, 30_000.0])
}

#[test]
fn models_beat_chance() {
    let toy = Toy::new();
    let known = toy.known();
    let result = |algorithm, seed| {
        let mut study = Study::new(&toy, &known, problem(3000.0), settings(algorithm, 40, seed));
        run(&toy, &mut study, 2);
        volume(&study)
    };
    let (mut nsga2, mut mobo, mut over_nsga2) = (0, 0, 0);
    for seed in 0..7 {
        let v: Vec<f64> = ALL.iter().map(|a| result(*a, seed)).collect();
        eprintln!("seed {seed}: random {:.4}, NSGA-II {:.4}, MOBO {:.4}", v[0], v[1], v[2]);
        nsga2 += usize::from(v[1] > v[0]);
        mobo += usize::from(v[2] > v[0]);
        over_nsga2 += usize::from(v[2] > v[1]);
    }
    assert!(mobo == 7 && nsga2 >= 5 && over_nsga2 >= 6, "{mobo} {nsga2} {over_nsga2} of 7");
}

#[test]
fn several_unknown_objectives_and_a_measured_requirement() {
    let toy = Toy::new();
    let known = |p: &Point| {
        let k = toy.known()(p)?;
        Ok(KnownPoint { values: BTreeMap::new(), ..k })
    };
    let mut problem = problem(3000.0);
    problem.objectives[1].known = false;
    problem.limits[0] = Limit { known: false, limit: 1800.0, ..problem.limits[0].clone() };
    let mut study = Study::new(&toy, &known, problem, settings(Algorithm::Mobo, 40, 2));
    while let Some(trial) = study.ask(1).unwrap().pop() {
        let (accuracy, macs, ram, _) = toy.truth(&trial.point);
        let metrics = [("accuracy", accuracy), ("macs", macs), ("ram", ram)];
        let metrics = metrics.map(|(k, v)| (k.to_owned(), v)).into();
        study.tell(trial.number, Outcome::Done { metrics }).unwrap();
    }
    let keeps = |r: &&Record| r.value("ram").unwrap() <= 1800.0;
    let (first, later) = study.records().split_at(8);
    let share = |rs: &[Record]| rs.iter().filter(keeps).count() as f64 / rs.len() as f64;
    assert!(share(later) > share(first) && share(later) > 0.7, "{} {}", share(first), share(later));
    assert!(study.front().iter().all(|n| study.records()[*n].value("ram").unwrap() <= 1800.0));
}

fn identity(space: &str) -> Identity {
    [("space".to_owned(), space.to_owned())].into()
}

/// Runs a study in a journal to its end, or until so many results are told.
fn drive(toy: &Toy, path: &std::path::Path, algorithm: Algorithm, stop: usize) -> (Vec<Trial>, StudySummary) {
    let known = toy.known();
    let study = Study::new(toy, &known, problem(3000.0), settings(algorithm, 14, 5));
    let (mut session, _) = Session::open(path, study, &identity("a")).unwrap();
    let mut told = 0;
    loop {
        let asked = session.ask(2).unwrap();
        if asked.is_empty() || told >= stop {
            break;
        }
        for t in asked {
            session.tell(t.number, toy.outcome(&t)).unwrap();
            told += 1;
        }
    }
    (trials(session.study()), session.study().summary())
}

#[test]
fn a_study_cut_off_anywhere_ends_the_same() {
    let toy = Toy::new();
    let dir = tempfile::tempdir().unwrap();
    let whole = dir.path().join("whole.jsonl");
    let expected = drive(&toy, &whole, Algorithm::Mobo, usize::MAX);
    assert_eq!(expected.1.trials, 14);
    let bytes = std::fs::read(&whole).unwrap();
    let events = Journal::read(&whole).unwrap();
    let path = dir.path().join("cut.jsonl");
    let known = toy.known();
    let mut ends = std::collections::BTreeSet::new();
    for cut in 0..=bytes.len() {
        std::fs::write(&path, &bytes[..cut]).unwrap();
        let study = Study::new(&toy, &known, problem(3000.0), settings(Algorithm::Mobo, 14, 5));
        let (session, warning) = Session::open(&path, study, &identity("a")).unwrap();
        // Everything whose line is complete is there.
        let lines = bytes[..cut].split(|b| *b == b'\n').collect::<Vec<_>>();
        let complete = lines.len() - 1;
        let held = Journal::read(&path).unwrap();
        assert_eq!(&held[..complete], &events[..complete]);
        let told = session.study().records().iter().filter(|r| r.outcome.is_some()).count();
        let whole_told = held.iter().filter(|e| matches!(e, journal::Event::Told { .. })).count();
        assert_eq!(told, whole_told);
        let torn = !lines[complete].is_empty() && held.len() <= complete;
        assert!(!torn || warning.is_some(), "byte {cut}: a torn line is said");
        ends.insert(complete);
        drop(session);
        // Finishing it takes a while, so once for each line, with a torn remainder.
        if cut % 97 == 0 || bytes[..cut].last() == Some(&b'\n') {
            assert_eq!(drive(&toy, &path, Algorithm::Mobo, usize::MAX), expected, "cut at byte {cut}");
        }
    }
    assert_eq!(ends.len(), events.len() + 1);
}

#[test]
fn pending_trials_are_asked_again() {
    let toy = Toy::new();
    let known = toy.known();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.jsonl");
    let study = || Study::new(&toy, &known, problem(3000.0), settings(Algorithm::Random, 10, 5));
    let (mut first, _) = Session::open(&path, study(), &identity("a")).unwrap();
    let asked = first.ask(4).unwrap();
    first.tell(2, toy.outcome(&asked[2])).unwrap();
    assert!(matches!(Session::open(&path, study(), &identity("a")), Err(JournalError::Locked(_))));
    drop(first);
    let (mut second, _) = Session::open(&path, study(), &identity("a")).unwrap();
    let again = second.ask(4).unwrap();
    assert_eq!(again[..3], [asked[0].clone(), asked[1].clone(), asked[3].clone()]);
    assert_eq!(again[3].number, 4);
}

#[test]
fn a_changed_or_foreign_journal_is_refused() {
    let toy = Toy::new();
    let known = toy.known();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.jsonl");
    drive(&toy, &path, Algorithm::Random, 4);
    let open = |seed, space: &str| {
        let study = Study::new(&toy, &known, problem(3000.0), settings(Algorithm::Random, 14, seed));
        Session::open(&path, study, &identity(space)).map(|_| ()).map_err(|e| e.to_string())
    };
    open(5, "a").unwrap();
    let e = open(6, "b").unwrap_err();
    assert!(e.contains("search.seed was 5, is 6") && e.contains("space was a, is b"), "{e}");
    let text = std::fs::read_to_string(&path).unwrap();
    // A changed digit, a missing line, two lines swapped: each names the line.
    std::fs::write(&path, text.replacen("\"number\":1", "\"number\":9", 1)).unwrap();
    assert!(open(5, "a").unwrap_err().contains("line 3: its checksum does not fit"));
    let mut lines: Vec<&str> = text.lines().collect();
    lines.swap(2, 3);
    std::fs::write(&path, format!("{}\n", lines.join("\n"))).unwrap();
    assert!(open(5, "a").unwrap_err().contains("line 3"));
    lines.remove(1);
    std::fs::write(&path, format!("{}\n", lines.join("\n"))).unwrap();
    assert!(open(5, "a").unwrap_err().contains("line 2"));
    // Another file is not overwritten.
    std::fs::write(&path, "my diary").unwrap();
    assert!(open(5, "a").unwrap_err().contains("line 1"));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "my diary");
}

#[test]
fn a_study_can_be_given_more_trials() {
    let toy = Toy::new();
    let known = toy.known();
    let mut long = Study::new(&toy, &known, problem(3000.0), settings(Algorithm::Mobo, 20, 5));
    run(&toy, &mut long, 2);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.jsonl");
    let (first, _) = drive(&toy, &path, Algorithm::Mobo, usize::MAX);
    let study = Study::new(&toy, &known, problem(3000.0), settings(Algorithm::Mobo, 20, 5));
    let (mut session, _) = Session::open(&path, study, &identity("a")).unwrap();
    assert_eq!(trials(session.study()), first);
    while let Some(t) = session.ask(1).unwrap().pop() {
        session.tell(t.number, toy.outcome(&t)).unwrap();
    }
    assert_eq!(trials(session.study()), trials(&long));
}

#[test]
fn a_study_keeps_the_first_trials_that_it_began_with() {
    let toy = Toy::new();
    let known = toy.known();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.jsonl");
    let (first, _) = drive(&toy, &path, Algorithm::Mobo, 5);
    let study = |initial_is_usual| {
        let settings = Settings { initial: 20, initial_is_usual, ..settings(Algorithm::Mobo, 60, 5) };
        Study::new(&toy, &known, problem(3000.0), settings)
    };
    let e = Session::open(&path, study(false), &identity("a")).map(|_| ()).unwrap_err().to_string();
    assert!(e.contains("search.initial was 8, is 20"), "{e}");
    let mut seen = study(true);
    journal::view(&path, &mut seen, &identity("a")).unwrap();
    assert_eq!((seen.settings().initial, trials(&seen)), (8, first.clone()));
    let (mut session, _) = Session::open(&path, study(true), &identity("a")).unwrap();
    assert_eq!(session.study().settings().initial, 8);
    while session.study().records().len() < 14 {
        let trial = session.ask(1).unwrap().pop().unwrap();
        session.tell(trial.number, toy.outcome(&trial)).unwrap();
    }
    let mut whole = Study::new(&toy, &known, problem(3000.0), settings(Algorithm::Mobo, 14, 5));
    run(&toy, &mut whole, 2);
    assert_eq!(trials(session.study())[..14], trials(&whole), "as if it had been said");
}

#[test]
fn the_summary_agrees_with_itself() {
    let toy = Toy::new();
    let known = toy.known();
    let mut study = Study::new(&toy, &known, problem(3000.0), settings(Algorithm::Nsga2, 40, 5));
    run(&toy, &mut study, 1);
    let s = study.summary();
    assert_eq!(s.done + s.failed.len(), 40);
    assert!(!s.failed.is_empty(), "some networks of the toy diverge");
    assert!(s.history.windows(2).all(|w| w[0] <= w[1]));
    let costs: Vec<Vec<f64>> =
        s.front.iter().map(|p| vec![-p.values["accuracy"], p.values["macs"]]).collect();
    assert!((s.hypervolume - hypervolume(&costs, &[-s.reference[0], s.reference[1]])).abs() < 1e-9);
    assert_eq!(s.front.iter().filter(|p| p.chosen).count(), 1);
    let best = s.front.iter().map(|p| p.values["accuracy"]).fold(0.0, f64::max);
    assert!(s.front.iter().any(|p| p.chosen && p.values["accuracy"] == best));
    let table = study.front_table();
    assert_eq!(table.lines().count(), s.front.len() + 1);
    let svg = front_svg(&study, "a <toy> & its front");
    assert!(svg.contains("a &lt;toy&gt; &amp; its front") && svg.ends_with("</svg>\n"));
    assert!(!svg.contains("NaN") && !svg.contains("inf"));
    if let Ok(path) = std::env::var("HYTC_TOY_SVG") {
        std::fs::write(path, svg).unwrap();
    }
}
