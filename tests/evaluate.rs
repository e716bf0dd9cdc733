//! `hytc search` with a program outside: results, failures, workers, seed points, and runs that are
//! killed.
#![cfg(all(feature = "cli", feature = "search", unix))]

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A space without data: only a program can say what its points are worth.
const SPEC: &str = r#"task {
    input   = image(16, 16, 3)
    classes = ["cat", "dog"]
}
space {
    let width = choice(8, 16, 24, 32)
    conv_bn(width, 3, act = choice(relu, silu))
    repeat deep in 1..3 {
        conv_bn(width, choice(1, 3, 5))
    }
    optional tail { conv_bn(width, 3) }
    global_avg_pool > linear(classes)
}
device board = "stm32h743"
goal {
    maximize accuracy
    minimize latency on board
}
search mobo { trials = 24, initial = 8, workers = WORKERS }
evaluate command("python3", "program.py") {
    metrics = [accuracy in %, latency on board in ms]
    timeout = 20 s
}
"#;

/// Answers every trial by a formula, after what `body` does. Every trial it is asked for is noted.
fn program(body: &str) -> String {
    let body = body.replace('\n', "\n    ");
    format!(
        r#"import json, os, sys, time, random
def say(x): print(json.dumps(x), flush=True)
for line in sys.stdin:
    r = json.loads(line)
    t, d = r["trial"], r["decisions"]
    with open("asked.log", "a") as log: log.write(f"{{t}}\n")
    w, n = d["space.width"], d["space.deep"]
    k = sum(d[f"space.deep[{{i + 1}}].kernel"] for i in range(n))
    metrics = {{"accuracy": 95 - 300 / (w + 3 * k) + (r["seed"] % 100) / 100,
               "latency on board": 0.1 * w * (n + k + 3 * d["space.tail"]), "other": 1}}
    {body}
    say({{"trial": t, "metrics": metrics}})
"#
    )
}

/// A folder with a spec and a program, in which `hytc` is run.
struct Lab(tempfile::TempDir);

struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Lab {
    fn new(workers: usize, body: &str) -> Lab {
        let lab = Lab(tempfile::tempdir().unwrap());
        lab.write("net.hyt", &SPEC.replace("WORKERS", &workers.to_string()));
        lab.write("program.py", &program(body));
        lab
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Changes the spec.
    fn edit(&self, from: &str, to: &str) {
        let text = self.read("net.hyt");
        assert!(text.contains(from), "{from}");
        self.write("net.hyt", &text.replace(from, to));
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hytc"));
        command.args(line.split(' ')).current_dir(self.0.path());
        command
    }

    fn run(&self, line: &str) -> Said {
        let out = self.command(line).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let said = Said { code: out.status.code(), out: text(out.stdout), err: text(out.stderr) };
        assert!(!said.err.contains("panicked"), "hytc {line}: {}", said.err);
        said
    }

    fn succeed(&self, line: &str) -> Said {
        let said = self.run(line);
        assert_eq!(said.code, Some(0), "hytc {line}\n{}{}", said.out, said.err);
        said
    }

    fn fail(&self, line: &str) -> String {
        let said = self.run(line);
        assert_eq!(said.code, Some(1), "hytc {line}\n{}{}", said.out, said.err);
        assert_eq!(said.out, "", "hytc {line}: a failure has no result");
        said.err
    }

    fn summary(&self) -> Value {
        serde_json::from_str(&self.succeed("search net.hyt --json").out).unwrap()
    }

    fn journal(&self) -> String {
        self.read("net.study/journal.jsonl")
    }

    /// The journal's events of a kind, by trial; a line without its end does not count.
    fn events(&self, kind: &str) -> BTreeMap<usize, Value> {
        let mut out = BTreeMap::new();
        for line in self.journal().split_inclusive('\n').filter(|l| l.ends_with('\n')) {
            let line: Value = serde_json::from_str(line).unwrap();
            let Some(event) = line["event"].get(kind) else { continue };
            let number = event["number"].as_u64().unwrap() as usize;
            assert!(out.insert(number, event.clone()).is_none(), "{kind} {number} twice");
        }
        out
    }

    fn outcomes(&self) -> BTreeMap<usize, Value> {
        self.events("told").into_iter().map(|(n, e)| (n, e["outcome"].clone())).collect()
    }

    /// The trials that the program was asked for, in order.
    fn asked(&self) -> Vec<usize> {
        self.read("asked.log").lines().filter_map(|l| l.parse().ok()).collect()
    }
}

/// The hashes of the networks of a front.
fn hashes(front: &Value) -> BTreeSet<String> {
    front.as_array().unwrap().iter().map(|f| f["hash"].as_str().unwrap().to_string()).collect()
}

fn reason(outcome: &Value) -> &str {
    outcome["failed"]["reason"].as_str().unwrap_or_else(|| panic!("{outcome}"))
}

#[test]
fn a_program_gives_the_results() {
    let lab = Lab::new(1, "");
    let said = lab.succeed("search net.hyt");
    assert!(said.err.contains("accuracy") && said.err.contains("latency on board"), "{}", said.err);
    let outcomes = lab.outcomes();
    assert_eq!(outcomes.len(), 24);
    let best = |key: &str| -> Vec<f64> {
        outcomes.values().map(|o| o["done"]["metrics"][key].as_f64().unwrap()).collect()
    };
    // Base units, and nothing that was not announced.
    assert!(best("accuracy").iter().all(|a| (0.5..1.0).contains(a)), "{outcomes:?}");
    assert!(best("latency on board").iter().all(|l| (0.001..0.1).contains(l)), "{outcomes:?}");
    assert!(outcomes[&0]["done"]["metrics"].get("other").is_none());
    let summary = lab.summary();
    let front = summary["front"].as_array().unwrap();
    assert!(front.len() > 2, "{summary:#}");
    // What hytc would have computed is there beside what was measured.
    let values = &front[0]["values"];
    assert!(values["latency on board (computed)"].is_number() && values["params"].is_number(), "{values}");
    assert_ne!(values["latency on board (computed)"], values["latency on board"]);
    // The journal can be read: values by path, of their types.
    let asked = &lab.events("asked")[&0]["decisions"];
    assert!(asked["space.width"].is_u64() && asked["space.tail"].is_boolean(), "{asked}");
    assert!(asked["space.act"].is_string(), "{asked}");
    assert_eq!(lab.asked(), (0..24).collect::<Vec<_>>());
    // Done: nothing is asked again, also not with more workers than the spec has.
    let said = lab.succeed("search net.hyt --workers 3");
    assert!(said.err.contains("`workers = 1`"), "{}", said.err);
    assert_eq!(lab.asked().len(), 24);
}

#[test]
fn the_number_of_workers_changes_nothing() {
    // Trials take different times, so that they end in another order than they began.
    let body = "time.sleep((t * 7 % 5) / 100)\nif t % 6 == 4: os._exit(3)";
    let four = Lab::new(4, body);
    four.succeed("search net.hyt");
    let one = Lab::new(4, body);
    one.succeed("search net.hyt --workers 1");
    assert_eq!(four.events("asked"), one.events("asked"));
    assert_eq!(four.outcomes(), one.outcomes());
    assert_eq!(four.read("net.study/front.txt"), one.read("net.study/front.txt"));
    assert_eq!(reason(&one.outcomes()[&4]), "the program ended (exit status: 3) without an answer");
    assert_eq!(one.outcomes().values().filter(|o| o.get("failed").is_some()).count(), 4);
    assert_ne!(four.asked(), one.asked(), "the order of four at a time is another");
}

#[test]
fn failures_are_the_trials_own_and_the_search_goes_on() {
    let body = "m = metrics\n\
        if t == 3: sys.stderr.write('out of memory\\n'); sys.stderr.flush(); os.abort()\n\
        if t == 4: time.sleep(60)\n\
        if t == 5: print('Epoch 1')\n\
        if t == 6: m['accuracy'] = float('nan')\n\
        if t == 7: del m['latency on board']\n\
        if t == 8: say({'trial': t, 'error': 'no such board'}); continue\n\
        if t == 9: m['accuracy'] = 120\n\
        if t == 10: m['latency on board'] = -1\n\
        if t == 11: t = 12";
    let lab = Lab::new(1, body);
    lab.edit("timeout = 20 s", "timeout = 4 s");
    let summary = lab.summary();
    let outcomes = lab.outcomes();
    for (trial, expected) in [
        (3, "signal: 6 (SIGABRT)"),
        (3, "out of memory"),
        (4, "did not answer within 4 s"),
        (5, "is no answer: `Epoch 1`"),
        (6, "NaN or Infinity"),
        (7, "no metric `latency on board`; it has `accuracy, other`"),
        (8, "no such board"),
        (9, "its `accuracy` is more than 100 %: 120"),
        (10, "its `latency on board` is negative: -1"),
        (11, "another trial: 12, not 11"),
    ] {
        assert!(reason(&outcomes[&trial]).contains(expected), "{trial}: {}", outcomes[&trial]);
    }
    assert_eq!(summary["failed"].as_array().unwrap().len(), 9);
    assert_eq!(summary["done"], 15);
}

#[test]
fn a_program_that_does_not_work_burns_no_trials() {
    let lab = Lab::new(1, "");
    let good = lab.read("program.py");
    lab.write("program.py", "import nothing_of_this_name\n");
    let said = lab.fail("search net.hyt");
    assert!(said.contains("does not work: each of the first 3 trials"), "{said}");
    assert!(said.contains("No module named"), "{said}");
    assert!(lab.outcomes().is_empty(), "{:?}", lab.outcomes());
    lab.write("program.py", &good.replace("say({\"trial\"", "print('banner'); say({\"trial\""));
    assert!(lab.fail("search net.hyt").contains("`banner`"));
    lab.edit("accuracy in %", "accuracy");
    lab.write("program.py", &good);
    let said = lab.fail("search net.hyt");
    assert!(said.contains("write `accuracy in %` in `metrics`"), "{said}");
    lab.edit("accuracy,", "accuracy in %,");
    lab.edit("\"python3\"", "\"python-of-another-age\"");
    let said = lab.fail("search net.hyt");
    assert!(said.contains("`python-of-another-age` cannot be started"), "{said}");
    lab.edit("\"python-of-another-age\"", "\"python3\"");
    lab.succeed("search net.hyt");
    // The same trials as without all that.
    let other = Lab::new(1, "");
    other.succeed("search net.hyt");
    assert_eq!(lab.outcomes(), other.outcomes());

    // A study whose program has worked before, and does no more.
    lab.edit("trials = 24", "trials = 40");
    lab.write("program.py", "import nothing_of_this_name\n");
    let said = lab.fail("search net.hyt");
    assert!(said.contains("does not work"), "{said}");
    assert!(lab.outcomes().len() <= 26, "{}", lab.outcomes().len());
}

#[test]
fn onnx_files_are_written_for_the_program() {
    let body = "with open(r['onnx'], 'rb') as f: data = f.read()\n\
                assert os.path.isabs(r['onnx']) and len(data) > 1000\n\
                if t == 2: say({'trial': t, 'error': 'kept'}); continue";
    let lab = Lab::new(2, body);
    lab.edit("timeout = 20 s", "onnx = true, timeout = 20 s");
    lab.succeed("search net.hyt");
    let failed: Vec<usize> = (0..24).filter(|n| lab.outcomes()[n].get("failed").is_some()).collect();
    assert_eq!(failed, [2]);
    let kept: Vec<_> = std::fs::read_dir(lab.path("net.study/onnx")).unwrap().collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert!(lab.path("net.study/onnx/trial-2.onnx").exists());
}

#[test]
fn hopeless_trials_are_stopped_by_their_steps() {
    // Every trial comes to what its first step promises.
    let body = "for step in range(1, 4):\n    \
                say({'trial': t, 'step': step, 'metrics': dict(metrics, accuracy=metrics['accuracy'] - 9 + 3 * step)})\n    \
                if not json.loads(sys.stdin.readline())['continue']: break";
    let lab = Lab::new(1, body);
    let summary = lab.summary();
    let stopped = summary["stopped"].as_u64().unwrap();
    assert!(stopped > 0, "{summary:#}");
    assert_eq!(lab.outcomes().values().filter(|o| o.get("stopped").is_some()).count() as u64, stopped);
    lab.edit("trials = 24", "hopeless = 0%, trials = 24");
    assert_eq!(lab.summary()["stopped"], 0);
}

#[test]
fn a_trial_taken_up_again_is_told_to_the_program() {
    // From trial 12 on, first steps show less of what comes: what the curves before them taught is wrong.
    let body = "c = r.get('continues', {'trial': t, 'step': 0})\n\
                missing = 0.1 if c['trial'] < 12 else 0.5\n\
                for step in range(c['step'] + 1, 4):\n    \
                now = metrics['accuracy'] * (1 - missing * 0.5 ** step)\n    \
                say({'trial': t, 'step': step, 'metrics': dict(metrics, accuracy=now)})\n    \
                if not json.loads(sys.stdin.readline())['continue']: break";
    let lab = Lab::new(1, body);
    lab.edit("trials = 24", "hopeless = 10%, trials = 60");
    lab.summary();
    let (asked, outcomes) = (lab.events("asked"), lab.outcomes());
    let again: Vec<&Value> = asked.values().filter(|a| a.get("continues").is_some()).collect();
    assert!(!again.is_empty(), "{outcomes:#?}");
    for a in again {
        let before = a["continues"]["trial"].as_u64().unwrap() as usize;
        assert_eq!(a["continues"]["step"], outcomes[&before]["stopped"]["step"]);
        assert_eq!((&a["point"], &a["seed"]), (&asked[&before]["point"], &asked[&before]["seed"]));
    }
    let status: Value = serde_json::from_str(&lab.succeed("status net.hyt --json").out).unwrap();
    let shares = status["shares"].as_array().unwrap();
    assert!(shares.iter().any(|s| s["source"] == "taken up again"), "{shares:#?}");
}

#[test]
fn seed_points_come_first() {
    let lab = Lab::new(1, "");
    let seeds = "seed_points = [point(width = 16, deep = 2), file(\"points.yaml\")],";
    lab.edit("search mobo {", &format!("search mobo {{ {seeds}"));
    assert!(lab.fail("search net.hyt").contains("points.yaml` cannot be read"));
    lab.write("points.yaml", "- space.width: 24\n  space.deep: 1\n- {decisions: {space.width: 7}}\n");
    let said = lab.fail("search net.hyt");
    assert!(
        said.contains("point 2: `space.width` has no value `7`") && said.contains("8, 16, 24, 32"),
        "{said}"
    );
    lab.write(
        "points.yaml",
        "- space.width: 24\n  space.deep: 1\n- {decisions: {space.width: 32, space.tail: true}}\n",
    );
    lab.edit("minimize latency", "require params <= 10 k\n    minimize latency");
    let said = lab.succeed("search net.hyt");
    assert!(said.err.contains("a seed point is left out, its params is"), "{}", said.err);
    let asked = lab.events("asked");
    let of = |n: usize| {
        (asked[&n]["decisions"]["space.width"].clone(), asked[&n]["decisions"]["space.deep"].clone())
    };
    assert_eq!(of(0), (16.into(), 2.into()));
    assert_eq!(of(1), (24.into(), 1.into()));

    // Another spec, of another space, begins with the front of this study.
    let front = hashes(&lab.summary()["front"]);
    let next = lab.read("net.hyt").replace(seeds, "seed_points = [study(\"net.study\")], seed = 5,");
    lab.write("next.hyt", &next.replace("8, 16, 24, 32", "8, 16, 24, 32, 40"));
    lab.succeed("search next.hyt");
    let text = lab.read("next.study/journal.jsonl");
    let asked: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let trials = asked.iter().filter_map(|l| l["event"].get("asked")).take(front.len());
    let first: BTreeSet<String> = trials.map(|t| t["hash"].as_str().unwrap().to_string()).collect();
    assert!(front.len() <= 8, "more than the initial trials: {front:?}");
    assert_eq!(first, front);
    lab.write("other.hyt", &next.replace("8, 16, 24, 32", "8, 16, 20, 40"));
    let said = lab.succeed("search other.hyt");
    assert!(
        said.err.contains("results in `net.study/journal.jsonl` are no points of this space"),
        "{}",
        said.err
    );
    // A study cannot begin with itself.
    lab.write("net.hyt", &next);
    assert!(lab.fail("search net.hyt").contains("is where this spec's own study will be"));
}

#[test]
fn one_process_at_a_time_and_only_its_own_study() {
    let lab = Lab::new(1, "time.sleep(.1)");
    let mut first =
        lab.command("search net.hyt").stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    while lab.outcomes().is_empty() {
        assert!(began.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(5));
    }
    let said = lab.fail("search net.hyt");
    assert!(said.contains("journal.jsonl is in use by another process"), "{said}");
    let said = lab.fail("search net.hyt --research");
    assert!(said.contains("in use by another process"), "{said}");
    assert!(first.wait().unwrap().success());
    assert_eq!(lab.outcomes().len(), 24);

    // Another spec: said, and the old study kept.
    for (from, to, difference) in [
        ("latency on board in ms", "latency on board in s", "evaluate.metrics was"),
        ("trials = 24", "seed = 9, trials = 24", "search.seed was 1, is 9"),
        ("choice(8, 16, 24, 32)", "choice(8, 16, 24, 48)", "space has changed"),
        ("minimize latency", "require params <= 30 k\n    minimize latency", "goal.requirements was"),
    ] {
        lab.edit(from, to);
        let said = lab.succeed("search net.hyt");
        assert!(
            said.err.contains("belongs to another study") && said.err.contains(difference),
            "{}",
            said.err
        );
        assert!(said.err.contains("the old study is kept as net.study."), "{}", said.err);
    }
    assert!(lab.path("net.study.4").exists() && !lab.path("net.study.5").exists());
    // The time limit is nobody's business but the program's.
    lab.edit("timeout = 20 s", "timeout = 30 s");
    assert!(!lab.succeed("search net.hyt").err.contains("another study"));
}

#[test]
fn a_journal_cut_off_loses_its_last_line_only() {
    let lab = Lab::new(1, "");
    lab.succeed("search net.hyt");
    let (journal, outcomes) = (lab.journal(), lab.outcomes());
    lab.write("net.study/journal.jsonl", &journal[..journal.len() - 9]);
    let said = lab.succeed("search net.hyt");
    assert!(said.err.contains("was cut off while it was written; it is dropped"), "{}", said.err);
    assert_eq!((lab.journal(), lab.outcomes()), (journal.clone(), outcomes));
    lab.write("net.study/journal.jsonl", &journal.replacen("accuracy\":0.", "accuracy\":1.", 1));
    let said = lab.fail("search net.hyt");
    assert!(said.contains("its checksum does not fit"), "{said}");
    assert!(lab.journal().contains("accuracy\":1."), "it is left as it is");
}

#[test]
fn interrupted_by_a_signal_it_stops_and_goes_on() {
    let lab =
        Lab::new(1, "if t == 6 and not os.path.exists('again'): open('again', 'w').close(); time.sleep(60)");
    let mut child = lab.command("search net.hyt").stderr(Stdio::piped()).spawn().unwrap();
    let began = Instant::now();
    while !lab.path("again").exists() {
        assert!(began.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(5));
    }
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let stopped = Instant::now();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(stopped.elapsed() < Duration::from_secs(10));
    assert_eq!(lab.outcomes().len(), 6);
    lab.succeed("search net.hyt");
    let whole = Lab::new(1, "");
    whole.succeed("search net.hyt");
    assert_eq!(lab.journal(), whole.journal());
}

/// Studies killed at random moments, as many times as `HYTC_KILLS` says, and gone on with.
#[test]
fn killed_at_random_moments_nothing_is_lost() {
    let kills: usize = std::env::var("HYTC_KILLS").ok().and_then(|k| k.parse().ok()).unwrap_or(6);
    let body = "time.sleep(random.random() / 50)\nif t == 5: os.abort()";
    let trials = 60;
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let (mut killed, mut partly) = (0, 0);
    let mut study = 0;
    while killed < kills {
        // One worker and four in turn.
        let workers = if study % 2 == 0 { 1 } else { 4 };
        study += 1;
        let new = || {
            let lab = Lab::new(workers, body);
            lab.edit("trials = 24", &format!("trials = {trials}"));
            lab
        };
        let whole = new();
        let began = Instant::now();
        whole.succeed("search net.hyt");
        let length = began.elapsed();
        let lab = new();
        // What was told when hytc was killed, and how many trials had been asked for until then.
        let mut moments = Vec::new();
        for _ in 0..5 {
            let mut child =
                lab.command("search net.hyt").stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
            let wait = length.mul_f64(rng.random_range(0.0..0.5));
            std::thread::sleep(wait);
            let running = child.try_wait().unwrap().is_none();
            // SIGKILL: nothing of hytc runs after it.
            let _ = child.kill();
            child.wait().unwrap();
            if !running {
                break;
            }
            killed += 1;
            // The program notices that nobody listens; a trial at hand may still end.
            std::thread::sleep(Duration::from_millis(150));
            let told = lab.outcomes();
            partly += usize::from(!told.is_empty() && told.len() < trials);
            assert!(told.iter().all(|(n, o)| whole.outcomes().get(n) == Some(o)), "study {study}: {told:?}");
            moments.push((told, lab.asked().len()));
            if killed >= kills {
                break;
            }
        }
        lab.succeed("search net.hyt");
        for (told, before) in moments {
            let again: Vec<usize> = lab.asked().into_iter().skip(before).collect();
            assert!(again.iter().all(|n| !told.contains_key(n)), "study {study}: {told:?} then {again:?}");
        }
        assert_eq!(lab.events("asked"), whole.events("asked"), "study {study}");
        assert_eq!(lab.outcomes(), whole.outcomes(), "study {study}");
        if workers == 1 {
            assert_eq!(lab.journal(), whole.journal(), "study {study}: to the byte");
        }
        assert_eq!(lab.summary(), whole.summary(), "study {study}");
        for file in ["front.txt", "front.svg"] {
            let name = format!("net.study/{file}");
            assert_eq!(lab.read(&name), whole.read(&name), "study {study}: {file}");
        }
    }
    println!("{killed} kills in {study} studies, {partly} of them between the first result and the last");
    assert!(partly * 3 >= killed, "{partly} of {killed} kills met a study at work");
}
