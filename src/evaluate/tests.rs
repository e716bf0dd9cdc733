//! The client against small programs that do everything wrong that a program can.

use super::*;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A worker with a Python program; `loop` bodies see the request as `r` and answer with `say`.
fn python(text: &str) -> Worker {
    worker(program(&["python3", "-c", text]))
}

/// A program that runs `body` for every request.
fn serving(body: &str) -> Program {
    let text = format!(
        "import json, os, sys, time, signal, subprocess\n\
         def say(x): print(json.dumps(x), flush=True)\n\
         count = 0\n\
         for line in sys.stdin:\n    r = json.loads(line)\n    t = r['trial']\n    count += 1\n    {}\n",
        body.replace('\n', "\n    ")
    );
    program(&["python3", "-c", &text])
}

fn program(argv: &[&str]) -> Program {
    Program {
        argv: argv.iter().map(|s| (*s).to_string()).collect(),
        timeout: Some(Duration::from_secs(20)),
        metrics: vec!["a".into()],
        ..Program::default()
    }
}

fn worker(program: Program) -> Worker {
    Worker::new(Arc::new(program), 0)
}

fn run(worker: &mut Worker, trial: usize) -> Result<Metrics, Failure> {
    let (fidelity, decisions) = (serde_json::Map::new(), serde_json::Map::new());
    let request =
        Request { trial, seed: 7, fidelity: &fidelity, decisions: &decisions, onnx: None, continues: None };
    worker.run(&request, &|| false)
}

fn value(result: &Result<Metrics, Failure>) -> f64 {
    match result {
        Ok(metrics) => metrics["a"],
        Err(e) => panic!("{e}"),
    }
}

/// The trial fails in a way that breaks the program, and the reason says this.
fn breaks(result: Result<Metrics, Failure>, expected: &str) {
    match result {
        Err(Failure::Broken { reason, .. }) => assert!(reason.contains(expected), "{reason}"),
        other => panic!("{other:?}"),
    }
}

const ANSWER: &str = "say({'trial': t, 'metrics': {'a': t}})";

#[test]
fn a_process_is_kept_and_told_everything() {
    let body =
        "say({'trial': t, 'metrics': {'a': count, 'seed': r['seed'], 'epochs': r['fidelity']['epochs'],\n\
                'w': r['decisions']['space.w'], 'tail': r['decisions']['space.tail'] is True,\n\
                'kind': r['decisions']['space.kind'] == 'x', 'onnx': r['onnx'] == '/tmp/x.onnx',\n\
                'worker': int(os.environ['HYTC_WORKER'])}})";
    // Truth values are no numbers, neither in JSON nor here.
    let body = body.replace(" is True,", " is True and 1,").replace("== 'x',", "== 'x' and 1,");
    let body = body.replace("'/tmp/x.onnx',", "'/tmp/x.onnx' and 1,");
    let mut w = Worker::new(Arc::new(serving(&body)), 3);
    let decisions = serde_json::json!({"space.w": 16, "space.tail": true, "space.kind": "x"});
    let fidelity = serde_json::json!({"epochs": 2});
    for n in 0..3 {
        let request = Request {
            trial: n,
            seed: (1 << 53) - 1,
            fidelity: fidelity.as_object().unwrap(),
            decisions: decisions.as_object().unwrap(),
            onnx: Some("/tmp/x.onnx".as_ref()),
            continues: None,
        };
        let got = w.run(&request, &|| false).unwrap();
        let wanted = [
            ("a", (n + 1) as f64),
            ("seed", 9007199254740991.0),
            ("epochs", 2.0),
            ("w", 16.0),
            ("tail", 1.0),
            ("kind", 1.0),
            ("onnx", 1.0),
            ("worker", 3.0),
        ];
        assert_eq!(got, wanted.map(|(k, v)| (k.to_string(), v)).into());
    }
}

#[test]
fn a_crash_fails_one_trial_with_the_last_words() {
    let body =
        format!("if t == 1: print('about to die', file=sys.stderr); os.kill(os.getpid(), 11)\n{ANSWER}");
    let mut w = worker(serving(&body));
    assert_eq!(value(&run(&mut w, 0)), 0.0);
    let failed = run(&mut w, 1);
    breaks(failed.clone(), "SIGSEGV");
    breaks(failed, "standard error:\n    about to die");
    assert_eq!(value(&run(&mut w, 2)), 2.0, "started again");
}

#[test]
fn what_was_said_of_earlier_trials_is_not_repeated() {
    let body = format!(
        "print('trial', t, file=sys.stderr, flush=True)\ntime.sleep(.2)\nif t == 1: sys.exit(3)\n{ANSWER}"
    );
    let mut w = worker(serving(&body));
    run(&mut w, 0).unwrap();
    let Err(Failure::Broken { reason, .. }) = run(&mut w, 1) else { panic!() };
    assert!(reason.contains("exit status: 3") && reason.contains("trial 1"), "{reason}");
    assert!(!reason.contains("trial 0"), "{reason}");
}

#[test]
fn a_hang_is_killed_with_its_children() {
    // The child holds the pipes open and would be heard of by its file if it lived.
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("alive");
    let body = format!(
        "if t == 0: subprocess.Popen(['sh', '-c', 'sleep 1; touch {}']); time.sleep(60)\n{ANSWER}",
        file.display()
    );
    let mut w = worker(Program { timeout: Some(Duration::from_millis(400)), ..serving(&body) });
    let began = Instant::now();
    match run(&mut w, 0) {
        Err(Failure::TimedOut(why)) => assert!(why.contains("within 400 ms"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    std::thread::sleep(Duration::from_millis(1200));
    assert!(!file.exists(), "the group was killed");
    assert!(run(&mut worker(serving(&body)), 1).is_ok());
}

#[test]
fn rubbish_partial_and_huge_lines_fail_the_trial() {
    for (said, expected) in [
        ("print('Epoch 1', flush=True)", "is no answer: `Epoch 1`"),
        ("sys.stdout.buffer.write(b'\\xff\\x00\\n'); sys.stdout.flush()", "is no answer"),
        (
            "print('{\"trial\": 1, \"metr', end='', flush=True); sys.exit(0)",
            "in the middle of a line: `{\"trial\": 1, \"metr`",
        ),
        ("print('x' * 3000000, flush=True)", "a line of more than 1048576 bytes"),
        ("say({'trial': 7, 'metrics': {'a': 1}})", "about another trial: 7, not 1"),
        ("say({'trial': t, 'metrics': {'a': float('nan')}})", "NaN or Infinity"),
        ("say({'trial': t, 'metrics': {'b': 1}})", "no metric `a`; it has `b`"),
        ("os.close(1); time.sleep(60)", "closed its standard output"),
        ("sys.exit(0)", "ended (exit status: 0) without an answer"),
    ] {
        let mut w = worker(serving(&format!("if t == 1: {said}\n{ANSWER}")));
        breaks(run(&mut w, 1), expected);
        assert_eq!(value(&run(&mut w, 2)), 2.0, "{said}: started again");
        // The same in a process that has answered before.
        breaks(run(&mut w, 1), expected);
    }
}

#[test]
fn an_error_of_its_own_leaves_the_process_alone() {
    let mut w = worker(serving("say({'trial': t, 'error': f'no {count}'})"));
    assert_eq!(run(&mut w, 0), Err(Failure::Reported("no 1".into())));
    assert_eq!(run(&mut w, 1), Err(Failure::Reported("no 2".into())));
}

#[test]
fn a_trial_may_be_stopped_after_a_step() {
    struct Impatient(std::cell::RefCell<Vec<(usize, f64)>>);
    impl Caller for Impatient {
        fn step(&self, step: usize, metrics: Metrics) -> bool {
            self.0.borrow_mut().push((step, metrics["a"]));
            step < 3
        }
    }
    let body = "for step in range(1, 10):\n    say({'trial': t, 'step': step, 'metrics': {'a': step / 10}})\n    \
                if not json.loads(sys.stdin.readline())['continue']: break\nsay({'trial': t, 'metrics': {'a': step}})";
    let mut w = worker(serving(body));
    let (fidelity, decisions) = (serde_json::Map::new(), serde_json::Map::new());
    let request = Request {
        trial: 4,
        seed: 7,
        fidelity: &fidelity,
        decisions: &decisions,
        onnx: None,
        continues: None,
    };
    let caller = Impatient(Vec::new().into());
    assert_eq!(value(&w.run(&request, &caller)), 3.0);
    assert_eq!(caller.0.into_inner(), [(1, 0.1), (2, 0.2), (3, 0.3)]);
    // One who does not mind.
    assert_eq!(value(&run(&mut w, 5)), 9.0);
    breaks(run(&mut worker(serving("say({'trial': 8, 'step': 1, 'metrics': {}})")), 7), "another trial: 8");
}

#[test]
fn the_first_of_two_answers_counts() {
    let body = format!("{ANSWER}\nsay({{'trial': t, 'metrics': {{'a': 99}}}})");
    let mut w = worker(serving(&body));
    for n in 0..4 {
        assert_eq!(value(&run(&mut w, n)), n as f64);
    }
}

#[test]
fn a_program_may_end_between_trials() {
    // With and without the time to see it end, and without a last newline.
    for end in ["sys.exit(0)", "time.sleep(.3); sys.exit(0)"] {
        let mut w = worker(serving(&format!("{ANSWER}\n{end}")));
        for n in 0..3 {
            assert_eq!(value(&run(&mut w, n)), n as f64);
        }
    }
    let text = r#"read line; printf '{"trial":5,"metrics":{"a":5}}'"#;
    let mut w = worker(program(&["sh", "-c", text]));
    assert_eq!(value(&run(&mut w, 5)), 5.0);
    assert_eq!(value(&run(&mut w, 5)), 5.0);
}

#[test]
fn a_program_that_ends_at_once_or_never_starts() {
    let mut w = python("import nothing_of_this_name");
    breaks(run(&mut w, 0), "No module named");
    breaks(run(&mut worker(program(&["sh", "-c", "exit 7"])), 0), "exit status: 7");
    for argv in [&["./no-such-program"][..], &["no-such-program-in-path"], &[]] {
        match run(&mut worker(program(argv)), 0) {
            Err(Failure::NotStarted(why)) => assert!(why.contains("cannot be started"), "{why}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn much_noise_on_standard_error_neither_blocks_nor_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let body = format!("for i in range(20000): print('noise', i, 'x' * 90, file=sys.stderr)\nif t == 1: sys.exit(1)\n{ANSWER}");
    let mut w = worker(Program { log: Some(log.clone()), ..serving(&body) });
    assert_eq!(value(&run(&mut w, 0)), 0.0);
    let Err(Failure::Broken { reason, .. }) = run(&mut w, 1) else { panic!() };
    assert!(reason.contains("noise 19999") && reason.len() < 2000, "{reason}");
    let logged = std::fs::read_to_string(log).unwrap();
    assert_eq!(logged.matches("noise").count(), 40000);
}

#[test]
fn a_program_that_does_not_read_is_not_waited_for() {
    let mut w = worker(Program {
        timeout: Some(Duration::from_millis(300)),
        ..program(&["sh", "-c", "exec sleep 60"])
    });
    let decisions: serde_json::Map<_, _> =
        (0..5000).map(|i| (format!("space.a_long_name_{i}"), i.into())).collect();
    let fidelity = serde_json::Map::new();
    let request = Request {
        trial: 0,
        seed: 0,
        fidelity: &fidelity,
        decisions: &decisions,
        onnx: None,
        continues: None,
    };
    let began = Instant::now();
    assert!(matches!(w.run(&request, &|| false), Err(Failure::TimedOut(_))));
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn stopping_does_not_wait_for_the_answer() {
    let mut w = worker(program(&["sh", "-c", "exec sleep 60"]));
    let began = Instant::now();
    let (fidelity, decisions) = (serde_json::Map::new(), serde_json::Map::new());
    let request = Request {
        trial: 0,
        seed: 7,
        fidelity: &fidelity,
        decisions: &decisions,
        onnx: None,
        continues: None,
    };
    let stop = || began.elapsed() > Duration::from_millis(100);
    assert_eq!(w.run(&request, &stop), Err(Failure::Stopped));
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn closing_lets_a_program_end_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ended");
    let text = "while read line; do echo '{\"trial\":0,\"metrics\":{\"a\":1}}'; done; echo end > ended";
    let pool = Pool::new(Program { dir: dir.path().into(), ..program(&["sh", "-c", text]) });
    let (fidelity, decisions) = (serde_json::Map::new(), serde_json::Map::new());
    let request = Request {
        trial: 0,
        seed: 7,
        fidelity: &fidelity,
        decisions: &decisions,
        onnx: None,
        continues: None,
    };
    pool.run(&request, &|| false).unwrap();
    pool.close();
    assert!(file.exists());
    // A program that does not end is killed.
    let stubborn =
        "trap '' TERM; while read line; do echo '{\"trial\":0,\"metrics\":{\"a\":1}}'; done; exec sleep 60";
    let pool = Pool::new(program(&["sh", "-c", stubborn]));
    pool.run(&request, &|| false).unwrap();
    let began = Instant::now();
    pool.close();
    assert!(began.elapsed() < Duration::from_secs(6));
}

#[test]
fn a_pool_runs_as_many_processes_as_trials_at_a_time() {
    let pool = Pool::new(serving("time.sleep(.3)\nsay({'trial': t, 'metrics': {'a': os.getpid()}})"));
    let both = |first: usize| {
        std::thread::scope(|s| {
            let all: Vec<_> = (first..first + 2)
                .map(|n| {
                    let pool = &pool;
                    s.spawn(move || {
                        let map = serde_json::Map::new();
                        let request = Request {
                            trial: n,
                            seed: 7,
                            fidelity: &map,
                            decisions: &map,
                            onnx: None,
                            continues: None,
                        };
                        pool.run(&request, &|| false).unwrap()["a"] as u64
                    })
                })
                .collect();
            all.into_iter().map(|t| t.join().unwrap()).collect::<std::collections::BTreeSet<u64>>()
        })
    };
    let first = both(0);
    assert_eq!(first.len(), 2);
    assert_eq!(both(2), first, "the same two processes again");
}
