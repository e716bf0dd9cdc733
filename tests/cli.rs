//! The program `hytc` from outside, on a few hundred tiny images: from spec to code, the lock, errors and
//! exit codes, and runs that are killed.
#![cfg(all(feature = "cli", feature = "train", feature = "verify"))]

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const SIDE: usize = 12;
const CLASSES: [&str; 3] = ["rows", "columns", "plain"];
const TRIALS: usize = 4;

const SPEC: &str = r#"// Stripes or none.
task {
    input   = image(12, 12, 1)
    classes = ["rows", "columns", "plain"]
    train   = idx("images/train")
    test    = idx("images/test")
    validation = 20%
}

space {
    let width = choice(4, 6, 8)
    conv_bn(width, 3, stride = 2, act = relu)
    one_of mixer {
        deep:    separable(width * 2)
        shallow: max_pool(2)
    }
    global_avg_pool > linear(classes)
}

device board = "stm32f446"

goal {
    maximize accuracy
    minimize latency on board
    require ram <= 32 KiB on board
}

search mobo { trials = 4, initial = 3, seed = 1, train { epochs = 1, batch = 16 } }
final { epochs = 30, batch = 16, learning_rate = 0.01 }
"#;

/// Stripes of two pixels along an axis, at a random place, or none; with noise.
fn image(class: usize, rng: &mut ChaCha8Rng) -> Vec<u8> {
    let shift = rng.random_range(0..4);
    let level = |on: bool| if on { 200 } else { 50 };
    let mut pixels = Vec::new();
    for y in 0..SIDE {
        for x in 0..SIDE {
            let base = match class {
                0 => level((y + shift) / 2 % 2 == 0),
                1 => level((x + shift) / 2 % 2 == 0),
                _ => 125,
            };
            pixels.push((base + rng.random_range(-25..25)) as u8);
        }
    }
    pixels
}

fn write_idx(prefix: &Path, count: usize, seed: u64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let header = |magic: u32, sizes: &[usize]| {
        let mut bytes = magic.to_be_bytes().to_vec();
        sizes.iter().for_each(|s| bytes.extend((*s as u32).to_be_bytes()));
        bytes
    };
    let mut images = header(0x0803, &[count, SIDE, SIDE]);
    let mut labels = header(0x0801, &[count]);
    for i in 0..count {
        labels.push((i % CLASSES.len()) as u8);
        images.extend(image(i % CLASSES.len(), &mut rng));
    }
    let file = |ending: &str| PathBuf::from(format!("{}-{ending}", prefix.display()));
    std::fs::write(file("images-idx3-ubyte"), images).unwrap();
    std::fs::write(file("labels-idx1-ubyte"), labels).unwrap();
}

/// A folder with a spec and its images, in which `hytc` is run.
struct Lab(tempfile::TempDir);

struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Said {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {}\n{}", self.out, self.err))
    }
}

impl Lab {
    fn new() -> Lab {
        let lab = Lab(tempfile::tempdir().unwrap());
        std::fs::create_dir(lab.path("images")).unwrap();
        write_idx(&lab.path("images/train"), 300, 1);
        write_idx(&lab.path("images/test"), 60, 2);
        lab.write("net.hyt", SPEC);
        lab
    }

    /// After `hytc compile net.hyt`.
    fn compiled() -> (Lab, Said) {
        let lab = Lab::new();
        let said = lab.succeed("compile net.hyt");
        (lab, said)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
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

    /// Ends with this code; what is said on standard error, where nothing is on standard output.
    fn fail(&self, line: &str, code: i32) -> String {
        let said = self.run(line);
        assert_eq!(said.code, Some(code), "hytc {line}\n{}{}", said.out, said.err);
        assert_eq!(said.out, "", "hytc {line}: a failure has no result");
        said.err
    }

    fn outcomes(&self) -> BTreeMap<usize, String> {
        outcomes(&self.path("net.study/journal.jsonl"))
    }
}

/// The outcomes in a journal by trial; a trial has one at most. A last line without its end, of a process
/// that was killed, does not count.
fn outcomes(journal: &Path) -> BTreeMap<usize, String> {
    let mut told = BTreeMap::new();
    let text = std::fs::read_to_string(journal).unwrap_or_default();
    for line in text.split_inclusive('\n').filter(|l| l.ends_with('\n')) {
        let line: Value = serde_json::from_str(line).unwrap();
        let Some(event) = line["event"].get("told") else { continue };
        let number = event["number"].as_u64().unwrap() as usize;
        let again = told.insert(number, event["outcome"].to_string());
        assert!(again.is_none(), "trial {number} was told twice");
    }
    told
}

/// All files below a folder.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut out = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            out.extend(files(&path));
        } else {
            out.insert(path.clone(), std::fs::read(&path).unwrap());
        }
    }
    out
}

fn has_all(value: &Value, keys: &[&str]) {
    for key in keys {
        assert!(value.get(key).is_some_and(|v| !v.is_null()), "no `{key}` in {value:#}");
    }
}

const RESULT: [&str; 7] =
    ["decisions", "accuracy", "params", "macs", "flash_bytes", "ram_bytes", "latency_ms"];

#[test]
fn compile_searches_once_and_then_emits_from_the_lock() {
    let (lab, first) = Lab::compiled();
    assert!(first.out.contains("accuracy") && first.out.contains("out/net.onnx"), "{}", first.out);
    assert!(first.err.contains("trial") && first.err.contains("epoch"), "progress: {}", first.err);
    let result: Value = serde_json::from_slice(&lab.read("out/net.json")).unwrap();
    has_all(&result, &RESULT);
    has_all(&result, &["front"]);
    assert!(result["accuracy"].as_f64().unwrap() > 0.9, "stripes are easy: {result:#}");
    assert!(result["decisions"]["space.width"].is_number() && result["latency_ms"]["board"].is_number());
    let front = result["front"].as_array().unwrap();
    assert!(!front.is_empty());
    for entry in front {
        has_all(entry, &RESULT);
        assert!(entry["ram_bytes"].as_u64().unwrap() <= 32 * 1024);
    }
    assert_eq!(lab.outcomes().len(), TRIALS);
    assert!(!lab.path("net.study/final.checkpoint").exists(), "of no use any more");
    assert!(lab.read("net.study/front.svg").starts_with(b"<svg"));
    // What was chosen is what `cost` speaks of.
    let cost = lab.succeed("cost net.hyt --json").json();
    for key in ["params", "macs", "ram_bytes", "decisions"] {
        assert_eq!(cost[key], result[key], "{key}");
    }

    // Again: from the lock, the same bytes, nothing trained.
    let (before, lock) = (files(&lab.path("out")), lab.read("net.hyt.lock"));
    let journal = lab.read("net.study/journal.jsonl");
    std::fs::remove_dir_all(lab.path("out")).unwrap();
    // A kernel of another network goes; what the user put there stays.
    std::fs::create_dir_all(lab.path("out/net/src/kernels")).unwrap();
    for stale in ["attention", "layer_norm"] {
        lab.write(&format!("out/net/src/kernels/{stale}.rs"), "of another network");
    }
    lab.write("out/net/notes.txt", "mine");
    let begun = Instant::now();
    let again = lab.succeed("compile net.hyt --json");
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    assert!(again.err.contains("is current"), "{}", again.err);
    assert_eq!(lab.read("out/net/notes.txt"), b"mine");
    std::fs::remove_file(lab.path("out/net/notes.txt")).unwrap();
    assert_eq!(files(&lab.path("out")), before);
    assert_eq!(again.json(), result);
    assert_eq!((lab.read("net.hyt.lock"), lab.read("net.study/journal.jsonl")), (lock.clone(), journal));

    // A build machine has neither images nor study, and may have another comment.
    std::fs::remove_dir_all(lab.path("images")).unwrap();
    std::fs::remove_dir_all(lab.path("net.study")).unwrap();
    lab.write("net.hyt", &SPEC.replace("// Stripes or none.", "// Stripes, or none of them.\n"));
    lab.succeed("compile net.hyt --locked --out elsewhere");
    assert_eq!(lab.read("elsewhere/net/src/lib.rs"), before[&lab.path("out/net/src/lib.rs")]);
    assert_eq!(lab.read("net.hyt.lock"), lock);
}

#[test]
fn a_lock_that_is_not_current_is_refused_and_said_why() {
    let (lab, _) = Lab::compiled();
    let weights = lab.read("net.hyt.safetensors");
    for (from, to, part) in [
        ("choice(4, 6, 8)", "choice(4, 6, 10)", "space"),
        ("ram <= 32 KiB", "ram <= 16 KiB", "goal"),
        ("final { epochs = 30", "final { epochs = 31", "final"),
        ("validation = 20%", "validation = 10%", "task"),
        ("trials = 4", "trials = 5", "search"),
    ] {
        let changed = SPEC.replace(from, to);
        assert_ne!(changed, SPEC);
        lab.write("net.hyt", &changed);
        let said = lab.fail("compile net.hyt --locked", 3);
        assert!(said.contains(&format!("`{part}` of the spec has changed")), "{said}");
        assert!(said.contains("net.hyt.lock") && said.contains("help:"), "{said}");
        assert!(lab.fail("verify net.hyt", 1).contains(&format!("`{part}` of the spec has changed")));
        // Others go on, and say so.
        let said = lab.succeed("cost net.hyt --json").err;
        let why = format!("note: `net.hyt.lock` is not current: `{part}` of the spec has changed");
        assert!(said.contains(&why) && said.contains(" is taken"), "{said}");
    }
    lab.write("net.hyt", SPEC);
    assert_eq!(lab.succeed("cost net.hyt").err, "");
    // Other images.
    let images = lab.read("images/test-images-idx3-ubyte");
    write_idx(&lab.path("images/test"), 60, 3);
    assert!(lab.fail("compile net.hyt --locked", 3).contains("the data have changed"));
    std::fs::write(lab.path("images/test-images-idx3-ubyte"), images).unwrap();
    lab.succeed("compile net.hyt --locked");

    // Figures that somebody made up.
    let lock = String::from_utf8(lab.read("net.hyt.lock")).unwrap();
    for (key, value) in
        [("params", "7"), ("macs", "7"), ("flash_bytes", "7"), ("ram_bytes", "7"), ("accuracy", "1.5")]
    {
        let line = format!("  {key}: ");
        let at = lock.find(&line).unwrap() + line.len();
        let end = at + lock[at..].find('\n').unwrap();
        lab.write("net.hyt.lock", &format!("{}{value}{}", &lock[..at], &lock[end..]));
        let said = lab.fail("compile net.hyt --locked", 3);
        assert!(said.contains(&format!("`{key}` {value}")), "{said}");
    }
    lab.write("net.hyt.lock", &lock);
    // Damaged images are no reason to look away, images that are not there are.
    let labels = lab.read("images/test-labels-idx1-ubyte");
    std::fs::remove_file(lab.path("images/test-labels-idx1-ubyte")).unwrap();
    assert!(lab.fail("compile net.hyt --locked", 1).contains("test-labels-idx1-ubyte"));
    std::fs::write(lab.path("images/test-labels-idx1-ubyte"), labels).unwrap();
    std::fs::rename(lab.path("images"), lab.path("away")).unwrap();
    assert!(lab.succeed("compile net.hyt --locked").err.contains("not compared"));
    std::fs::rename(lab.path("away"), lab.path("images")).unwrap();

    std::fs::write(lab.path("net.hyt.safetensors"), &weights[..weights.len() - 1]).unwrap();
    let said = lab.fail("compile net.hyt", 1);
    assert!(said.contains("net.hyt.safetensors") && said.contains("is not the one"), "{said}");
    std::fs::remove_file(lab.path("net.hyt.safetensors")).unwrap();
    let said = lab.fail("compile net.hyt", 1);
    assert!(said.contains("net.hyt.safetensors") && said.contains("is missing"), "{said}");
    assert!(said.contains("--research"), "what to do: {said}");

    lab.write("net.hyt.lock", "format: 1\nhytc: [\n");
    for line in ["compile net.hyt", "cost net.hyt", "cost net.hyt --point width=4"] {
        assert!(lab.fail(line, 1).contains("is no usable lock file"), "{line}");
    }
    std::fs::remove_file(lab.path("net.hyt.lock")).unwrap();
    let said = lab.fail("compile net.hyt --locked", 3);
    assert!(said.contains("`net.hyt.lock` does not exist"), "{said}");
}

#[test]
fn verify_compares_all_forms() {
    let (lab, _) = Lab::compiled();
    let report = lab.succeed("verify net.hyt --json").json();
    assert_eq!(report["images"], 60);
    let forms = report["comparisons"].as_array().unwrap();
    assert!(forms.len() >= 2, "{report:#}");
    let worst = forms.iter().map(|c| c["max_difference"].as_f64().unwrap()).fold(0.0, f64::max);
    assert!(worst <= 1e-4, "{report:#}");
    assert!(forms.iter().all(|c| c["argmax_agreement"] == 1.0), "{report:#}");
    // Two ways to add up floats differ by something.
    assert!(worst > 1e-12, "it compares something with itself: {report:#}");
    let said = lab.run("verify net.hyt --images 8 --tolerance 1e-12");
    assert_eq!(said.code, Some(4), "{}{}", said.out, said.err);
    assert!(said.out.contains("8 test images") && said.err.contains("differ by more"), "{}", said.err);
    // A Python without the packages.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        lab.write("bare", "#!/bin/sh\nexec python3 -S -E \"$@\"\n");
        std::fs::set_permissions(lab.path("bare"), std::fs::Permissions::from_mode(0o755)).unwrap();
        let said = lab.fail("verify net.hyt --images 2 --onnxruntime ./bare", 1);
        assert!(said.contains("-m pip install numpy onnxruntime"), "{said}");
    }
}

#[test]
fn verify_looks_at_what_was_emitted() {
    let (lab, _) = Lab::compiled();
    assert_eq!(lab.succeed("verify net.hyt --images 2 --json").json()["emitted"], "current");
    assert!(lab.succeed("verify net.hyt --images 2").out.contains("files in out are these forms"));
    // One byte of a weight, a file that is gone: the forms that the lock emits are still right.
    let onnx = lab.read("out/net.onnx");
    let mut bytes = onnx.clone();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(lab.path("out/net.onnx"), bytes).unwrap();
    std::fs::remove_file(lab.path("out/net/src/weights.rs")).unwrap();
    let said = lab.run("verify net.hyt --images 2 --json");
    assert_eq!((said.code, &said.json()["emitted"]), (Some(4), &Value::from("other")), "{}", said.err);
    assert!(said.err.contains("`out/net.onnx` is not what the lock emits"), "{}", said.err);
    assert!(said.err.contains("weights.rs` is missing") && said.err.contains("hytc compile"), "{}", said.err);
    lab.succeed("compile net.hyt");
    assert_eq!(lab.read("out/net.onnx"), onnx);
    lab.succeed("verify net.hyt --images 2 --out out");
    // Nothing there: said, and an error where the folder was named.
    std::fs::rename(lab.path("out"), lab.path("elsewhere")).unwrap();
    assert!(lab.succeed("verify net.hyt --images 2").out.contains("out holds nothing of this spec"));
    assert!(lab.fail("verify net.hyt --out out", 1).contains("`out` holds nothing"));
    lab.succeed("verify net.hyt --images 2 --out elsewhere");
}

#[test]
fn a_folder_that_cannot_be_written_to_is_told_before_the_search() {
    let lab = Lab::new();
    lab.write("file", "in the way");
    assert!(lab.fail("compile net.hyt --out file/out", 1).contains("`file/out` cannot be made"));
    let said = lab.fail("compile net.hyt --out file", 2);
    assert!(said.contains("`--out file` is a file") && said.contains("name a folder"), "{said}");
    assert!(lab.outcomes().is_empty());
}

#[test]
fn research_keeps_the_old_study_and_survives_an_interruption() {
    let (lab, _) = Lab::compiled();
    let (journal, lock) = (lab.read("net.study/journal.jsonl"), lab.read("net.hyt.lock"));
    let said = lab.succeed("compile net.hyt --research");
    assert!(said.err.contains("the old study is kept as net.study.1"), "{}", said.err);
    assert_eq!(lab.read("net.study.1/journal.jsonl"), journal);
    assert_eq!(lab.read("net.hyt.lock"), lock, "same spec, same seed, same result");
    // Killed: the same command goes on with what it began.
    kill_when(&lab, "compile net.hyt --research", || {
        lab.path("net.study.2").exists() && !lab.outcomes().is_empty()
    });
    let finished = lab.outcomes();
    let said = lab.succeed("compile net.hyt --research");
    assert!(said.err.contains("continuing"), "{}", said.err);
    assert!(!lab.path("net.study.3").exists());
    assert!(finished.iter().all(|(n, o)| lab.outcomes().get(n) == Some(o)));
    assert_eq!(lab.read("net.hyt.lock"), lock);
    lab.succeed("search net.hyt --research");
    assert!(lab.path("net.study.3").exists(), "finished: the next one begins afresh");
}

#[test]
fn the_result_does_not_depend_on_the_number_of_workers() {
    let spec = SPEC.replace("trials = 4", "workers = 2, trials = 4");
    let one = Lab::new();
    one.write("net.hyt", &spec);
    one.succeed("compile net.hyt --workers 1");
    let two = Lab::new();
    two.write("net.hyt", &spec);
    two.succeed("compile net.hyt");
    assert_eq!(one.outcomes(), two.outcomes());
    for name in ["net.hyt.lock", "net.hyt.safetensors", "out/net.onnx"] {
        assert!(one.read(name) == two.read(name), "{name} differs");
    }
}

#[test]
#[cfg(unix)]
fn what_a_program_has_chosen_is_trained_with_burn() {
    let lab = Lab::new();
    let evaluate = "evaluate command(\"sh\", \"evaluate.sh\") { metrics = [f1 in %, latency in ms] }\n";
    let spec = SPEC.replace("maximize accuracy", "maximize f1") + evaluate;
    lab.write("net.hyt", &spec);
    // The trial's number decides: the third is the best.
    let program = r#"n=0; while read -r line; do
        if [ $n = 2 ]; then f=80; else f=$((60 + n)); fi
        echo "{\"trial\":$n,\"metrics\":{\"f1\":$f,\"latency\":2.5}}"; n=$((n + 1))
    done"#;
    lab.write("evaluate.sh", program);
    lab.succeed("compile net.hyt");
    let result: Value = serde_json::from_slice(&lab.read("out/net.json")).unwrap();
    assert_eq!(result["returned"], serde_json::json!({"f1": 0.8, "latency on board": 0.0025}));
    assert!(result["accuracy"].as_f64().unwrap() > 0.9, "it was trained: {result:#}");
    let front = result["front"].as_array().unwrap();
    assert!(!front.is_empty() && front.iter().all(|f| f["accuracy"].is_null()), "{result:#}");
    assert!(lab.succeed("compile net.hyt").err.contains("is current"));
    lab.write("net.hyt", &SPEC.replace("maximize accuracy", "minimize params"));
    assert!(lab.fail("compile net.hyt --locked", 3).contains("`evaluate` of the spec has gone"));

    // Without images there is nothing to train with, and that is said before anything is evaluated.
    let bare = spec.replace("train   = idx", "// train   = idx").replace("test    = idx", "// test    = idx");
    lab.write("bare.hyt", &bare);
    let said = lab.fail("compile bare.hyt", 1);
    assert!(said.contains("no training images") && said.contains("hytc search --json"), "{said}");
    assert!(!lab.path("bare.study").exists());
    lab.succeed("search bare.hyt");
}

#[test]
fn other_verbs_and_what_programs_read_of_them() {
    let lab = Lab::new();
    let space = lab.succeed("space net.hyt --json --sample 2").json();
    assert_eq!(space["size"], "6");
    assert_eq!(space["sample"].as_array().unwrap().len(), 2);
    assert!(lab.succeed("space net.hyt").out.contains("6 points"));

    let cost = lab.succeed("cost net.hyt --json --point width=8,mixer=shallow").json();
    has_all(&cost, &["params", "macs", "weight_bytes", "ram_bytes", "layers"]);
    // conv 3x3x1x8 + 8 biases, linear 8x3 + 3.
    assert_eq!(cost["params"], 72 + 8 + 24 + 3);
    // 36 places of 9x8, the classifier.
    assert_eq!(cost["macs"], 36 * 72 + 24);
    assert_eq!(cost["weight_bytes"], 4 * 107);
    assert!(lab.succeed("cost net.hyt").out.contains("linear"));
    assert!(lab.fail("cost net.hyt --point width=7", 2).contains("7"));

    assert!(lab.succeed("graph net.hyt").out.contains("global_avg_pool"));
    assert!(lab.succeed("graph net.hyt --format dot").out.starts_with("digraph"));
    lab.succeed("graph net.hyt --point mixer=deep --out net.svg");
    assert!(lab.read("net.svg").starts_with(b"<svg"));
    lab.succeed("graph net.hyt --out NET.SVG");
    assert!(lab.read("NET.SVG").starts_with(b"<svg"));

    assert!(lab.succeed("check net.hyt").out.contains("no errors"));
    assert_eq!(lab.succeed("check net.hyt --json").json(), serde_json::json!([]));
    lab.write("broken.hyt", &SPEC.replace("conv_bn(", "conv_bin(").replace("separable(", "seperable("));
    let said = lab.run("check broken.hyt --json");
    assert_eq!(said.code, Some(1));
    let found = said.json();
    let lines: Vec<_> = found.as_array().unwrap().iter().map(|d| d["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, [12, 14], "both at once: {found:#}");
    let place = ["column", "end_line", "end_column"].map(|k| found[0][k].as_u64().unwrap());
    assert_eq!(place, [5, 12, 13], "of `conv_bin`: {found:#}");
    let said = lab.fail("check broken.hyt", 1);
    assert!(said.contains("conv_bin") && said.contains("seperable") && said.contains("help"), "{said}");
    assert!(lab.fail("check none.hyt", 1).contains("none.hyt"));
    assert!(lab.fail("check", 2).contains("Usage"));

    let search = lab.succeed("search net.hyt --json").json();
    let front = search["front"].as_array().unwrap();
    assert!(!front.is_empty(), "{search:#}");
    // Each entry can be asked for again.
    let decisions = &front[0]["decisions"];
    assert!(decisions["space.width"].is_number() && decisions["space.mixer"].is_string(), "{search:#}");
    lab.write("point.json", &front[0].to_string());
    let again = lab.succeed("cost net.hyt --json --point point.json").json();
    assert_eq!(
        (&again["decisions"], again["params"].as_f64()),
        (decisions, front[0]["values"]["params"].as_f64())
    );
    assert_eq!(lab.succeed("status net.hyt --json").json()["front"], search["front"]);
    assert!(!lab.path("net.hyt.lock").exists(), "a search alone pins nothing");
    assert!(lab.succeed("search net.hyt").out.contains("accuracy"), "the table, from the journal");

    let train = lab.succeed("train net.hyt --json --epochs 2 --out w.safetensors").json();
    has_all(&train, &["accuracy", "validation_accuracy", "history", "decisions"]);
    assert_eq!(train["history"].as_array().unwrap().len(), 2);
    let first = lab.read("w.safetensors");
    assert!(!first.is_empty());
    lab.succeed("train net.hyt --epochs 2 --out w.safetensors");
    assert!(lab.read("w.safetensors") == first, "same seed, same weights");

    let said = lab.fail("verify net.hyt", 1);
    assert!(said.contains("nothing to verify"), "{said}");

    lab.succeed("new cats");
    lab.succeed("check cats.hyt");
    assert!(lab.fail("new cats", 1).contains("exists already"));
    let said = lab.fail("compile cats.hyt", 1);
    assert!(said.contains("cats-images/train") && said.contains("cats.hyt:"), "{said}");
}

#[test]
fn bad_images_are_named() {
    let lab = Lab::new();
    let said_of = |change: &dyn Fn()| {
        change();
        let said = lab.fail("compile net.hyt", 1);
        assert!(said.contains("net.hyt:") && said.contains("help:"), "the place and what to do: {said}");
        said
    };
    let train = lab.path("images/train-images-idx3-ubyte");
    let bytes = std::fs::read(&train).unwrap();
    let said = said_of(&|| std::fs::write(&train, &bytes[..1000]).unwrap());
    assert!(said.contains("train-images-idx3-ubyte") && said.contains("cut off"), "{said}");
    let said = said_of(&|| std::fs::remove_file(&train).unwrap());
    assert!(said.contains("train-images-idx3-ubyte") && said.contains("does not exist"), "{said}");
    std::fs::write(&train, &bytes).unwrap();
    let said = said_of(&|| lab.write("net.hyt", &SPEC.replace("image(12, 12, 1)", "image(14, 12, 1)")));
    assert!(said.contains("12x12x1") && said.contains("14x12x1"), "{said}");
    let said = said_of(&|| lab.write("net.hyt", &SPEC.replace("\"columns\", ", "")));
    assert!(said.contains("label 2"), "{said}");
    lab.write("net.hyt", SPEC);
    let test = lab.path("images/test-labels-idx1-ubyte");
    let labels: Vec<u8> = std::fs::read(&test)
        .unwrap()
        .iter()
        .enumerate()
        .map(|(i, b)| if i < 8 { *b } else { b % 2 })
        .collect();
    let said = said_of(&|| std::fs::write(&test, &labels).unwrap());
    assert!(said.contains("class `plain` has no image") && said.contains("images/test"), "{said}");
    assert!(said.contains("net.hyt:6:"), "the line of `test`: {said}");

    // One path is a part of the other.
    lab.write("net.hyt", &SPEC.replace("idx(\"images/test\")", "idx(\"images/t\")"));
    write_idx(&lab.path("images/t"), 60, 2);
    let said = said_of(&|| std::fs::write(&train, &bytes[..1000]).unwrap());
    assert!(said.contains("net.hyt:5:"), "the line of `train`: {said}");
    std::fs::write(&train, &bytes).unwrap();

    // Folders.
    let folders = SPEC
        .replace("idx(\"images/train\")", "folder(\"pictures/train\")")
        .replace("idx(\"images/test\")", "folder(\"pictures/test\")");
    lab.write("net.hyt", &folders);
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    for (set, count) in [("train", 20), ("test", 5)] {
        for (i, class) in CLASSES.iter().enumerate() {
            let folder = lab.path("pictures").join(set).join(class);
            std::fs::create_dir_all(&folder).unwrap();
            for n in 0..count {
                let side = SIDE as u32;
                let picture = image::GrayImage::from_raw(side, side, image(i, &mut rng)).unwrap();
                picture.save(folder.join(format!("{n}.png"))).unwrap();
            }
        }
    }
    let bad = lab.path("pictures/train/rows/3.png");
    let sound = std::fs::read(&bad).unwrap();
    let said = said_of(&|| std::fs::write(&bad, &sound[..sound.len() / 2]).unwrap());
    assert!(said.contains("pictures/train/rows/3.png"), "{said}");
    std::fs::write(&bad, &sound).unwrap();
    let class = lab.path("pictures/train/plain");
    let said = said_of(&|| {
        std::fs::rename(&class, lab.path("aside")).unwrap();
        std::fs::create_dir(&class).unwrap();
    });
    assert!(said.contains("class `plain` has no image"), "{said}");
    let said = said_of(&|| std::fs::rename(&class, lab.path("pictures/train/plane")).unwrap());
    assert!(said.contains("`plain` missing") && said.contains("`plane`"), "{said}");
    std::fs::rename(lab.path("pictures/train/plane"), &class).unwrap();
    std::fs::remove_dir(&class).unwrap();
    std::fs::rename(lab.path("aside"), &class).unwrap();
    // Nothing was begun that a sound set would have to go on with.
    assert!(lab.outcomes().is_empty());
    lab.succeed("compile net.hyt");
}

/// Runs a command and sends SIGKILL once `now` says so; whether it was still running.
fn kill_when(lab: &Lab, line: &str, now: impl Fn() -> bool) -> bool {
    let mut child = lab.command(line).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() && !now() {
        assert!(begun.elapsed() < Duration::from_secs(120), "hytc {line} does not get there");
        std::thread::sleep(Duration::from_millis(1));
    }
    let running = child.try_wait().unwrap().is_none();
    // SIGKILL on Unix: nothing of the program runs after it.
    let _ = child.kill();
    child.wait().unwrap();
    running
}

#[test]
fn killed_at_any_moment_it_goes_on_and_loses_no_finished_trial() {
    let begun = Instant::now();
    let (reference, _) = Lab::compiled();
    let whole = begun.elapsed();
    let want = reference.outcomes();
    let mut partly = 0;
    for seed in 0..4 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let lab = Lab::new();
        let mut finished = BTreeMap::new();
        for attempt in 0..3 {
            // Anywhere; after some trial; in the final training.
            let wait = whole.mul_f64(rng.random_range(0.0..0.9));
            let trials = rng.random_range(1..=TRIALS);
            let pause = Duration::from_millis(rng.random_range(0..20));
            let start = Instant::now();
            kill_when(&lab, "compile net.hyt", || match attempt {
                0 => start.elapsed() >= wait,
                1 => lines(&lab) >= trials && start.elapsed() >= pause,
                _ => lab.path("net.study/final.checkpoint").exists() && start.elapsed() >= pause,
            });
            let now = lab.outcomes();
            assert!(finished.iter().all(|(n, o)| now.get(n) == Some(o)), "{finished:?} then {now:?}");
            assert!(now.iter().all(|(n, o)| want.get(n) == Some(o)), "{now:?} is no part of {want:?}");
            partly += usize::from(!now.is_empty() && !lab.path("net.hyt.lock").exists());
            finished = now;
        }
        lab.succeed("compile net.hyt");
        assert_eq!(lab.outcomes(), want);
        for name in ["net.hyt.lock", "net.hyt.safetensors"] {
            assert!(lab.read(name) == reference.read(name), "seed {seed}: {name} differs");
        }
        assert_eq!(files_below(&lab), files_below(&reference));
    }
    assert!(partly > 0, "no run was killed between its first trial and its end");
}

/// Trials told so far, without reading the journal as one: it may be written to at this moment.
fn lines(lab: &Lab) -> usize {
    let text = std::fs::read_to_string(lab.path("net.study/journal.jsonl")).unwrap_or_default();
    text.lines().filter(|l| l.contains("\"told\"")).count()
}

fn files_below(lab: &Lab) -> BTreeMap<PathBuf, Vec<u8>> {
    let out = lab.path("out");
    files(&out).into_iter().map(|(p, b)| (p.strip_prefix(&out).unwrap().to_path_buf(), b)).collect()
}

#[test]
fn a_journal_cut_off_while_it_was_written_loses_its_last_line_only() {
    let (reference, _) = Lab::compiled();
    let journal = reference.read("net.study/journal.jsonl");
    let lab = Lab::new();
    lab.succeed("search net.hyt");
    assert!(lab.read("net.study/journal.jsonl").len() == journal.len());
    std::fs::write(lab.path("net.study/journal.jsonl"), &journal[..journal.len() - 7]).unwrap();
    let said = lab.succeed("compile net.hyt");
    assert!(said.err.contains("was cut off while it was written"), "{}", said.err);
    assert_eq!(lab.outcomes(), reference.outcomes());
    assert!(lab.read("net.hyt.lock") == reference.read("net.hyt.lock"));

    // A line changed by someone is another matter.
    std::fs::remove_file(lab.path("net.hyt.lock")).unwrap();
    let text = String::from_utf8(journal).unwrap().replacen("accuracy\":", "accuracy\": ", 1);
    lab.write("net.study/journal.jsonl", &text);
    let said = lab.fail("compile net.hyt", 1);
    assert!(said.contains("journal.jsonl, line") && said.contains("changed after it was written"), "{said}");
}

#[test]
fn a_closed_or_full_standard_output_is_no_panic() {
    let lab = Lab::new();
    for line in [
        "check net.hyt",
        "space net.hyt",
        "cost net.hyt",
        "cost net.hyt --json",
        "graph net.hyt",
        "dump net.hyt",
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let out = lab.command(line).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        let err = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!((out.status.code(), err.as_str()), (Some(0), ""), "hytc {line}: the reader has gone");

        #[cfg(target_os = "linux")]
        {
            let full = std::fs::File::create("/dev/full").unwrap();
            let out = lab.command(line).stdout(full).stderr(Stdio::piped()).output().unwrap();
            let err = String::from_utf8_lossy(&out.stderr).into_owned();
            assert_eq!(out.status.code(), Some(1), "hytc {line}: {err}");
            assert!(err.contains("error: standard output cannot be written"), "hytc {line}: {err}");
        }
    }
}

#[test]
fn numbers_that_mean_nothing_are_a_wrong_command_line() {
    let lab = Lab::new();
    for line in [
        "verify net.hyt --images 0",
        "verify net.hyt --tolerance nan",
        "verify net.hyt --tolerance -1",
        "train net.hyt --epochs 0",
        "search net.hyt --workers 0",
        "compile net.hyt --workers 0",
        "graph net.hyt --out net.pdf",
    ] {
        lab.fail(line, 2);
    }
}

#[test]
fn names_that_nothing_has_come_with_the_likely_one() {
    let lab = Lab::new();
    for (line, wanted) in [
        ("bench net.hyt --target cortexm4", "did you mean `cortex-m4`?"),
        ("bench net.hyt --target hots", "did you mean `host`?"),
        ("bench net.hyt", "with one of cortex-m0"),
        ("bench hytns", "did you mean `hytc bench search --problem hytnas`?"),
        ("bench serch", "did you mean `hytc bench search`?"),
        ("bench search --problem hytns", "did you mean `hytnas`?"),
        ("bench search --algorithm mbo", "did you mean `mobo`?"),
        ("bench search --surrogate frest", "did you mean `forest`?"),
        ("dump net.hyt --pass fus", "did you mean `fuse`?"),
    ] {
        let said = lab.fail(line, 2);
        assert!(said.contains(wanted) && said.contains("help:"), "{line}: {said}");
    }
}

#[test]
fn options_of_bench_that_do_not_go_together_are_refused() {
    let lab = Lab::new();
    for (line, wanted) in [
        ("--target aarch64 --seconds 1", "`--seconds` go with `--target host` only"),
        ("--target aarch64 --native", "`--native`, `--peers` and `--seconds` go with"),
        ("--target aarch64 --peers python3", "`--peers` and `--seconds` go with"),
        ("--target aarch64 --precision float", "run int8 only"),
        ("--target host --peers python3 --native", "do not go with `--peers`"),
        ("--target host --peers python3 --precision int8", "do not go with `--peers`"),
    ] {
        let said = lab.fail(&format!("bench net.hyt {line}"), 2);
        assert!(said.contains(wanted) && said.contains("help:"), "{line}: {said}");
    }
}

/// What a point on the command line cannot mean, and what to write instead.
#[test]
fn wrong_points_are_refused() {
    let lab = Lab::new();
    let spec = SPEC.replace("separable(width * 2)", "separable(width * choice(1, 2), kernel = choice(3, 5))");
    lab.write("net.hyt", &spec);
    let form = "write `--point path=value,..`, such as `--point mixer=deep`, or name a JSON file";
    for (point, wanted, help) in [
        ("", "`--point` names no decision", form),
        ("width", "`--point width` is neither a list of decisions nor a file", form),
        ("width=", "`width=` is not of the form path=value", form),
        ("width=4,mixer", "`mixer` is not of the form path=value", form),
        ("width=4,space.width=8", "`space.width` is given twice", "leave one of the two out"),
        ("widht=4", "the space has no decision `space.widht`", "did you mean `space.width`?"),
        ("kernel=3", "no decision `space.kernel`", "did you mean `space.mixer.deep.kernel`?"),
        // Nothing is like it but that all paths begin with `space.`.
        ("depth=3", "no decision `space.depth`", "the decisions are space.width, space.mixer,"),
        ("width=5", "`space.width` has no value `5`", "it is one of 4, 6, 8"),
        (
            "mixer=shallow,mixer.deep.kernel=3",
            "the network asked for does not decide `space.mixer.deep.kernel`",
            "write `space.mixer=deep`, or leave `space.mixer.deep.kernel` out",
        ),
    ] {
        let out = lab.command("cost net.hyt --point").arg(point).output().unwrap();
        let said = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(2), "{point}: {said}");
        assert!(said.contains(wanted) && said.contains(&format!("= help: {help}")), "{point}: {said}");
    }
    // A default that does not decide it is one of them too.
    lab.write("turned.hyt", &spec.replace("one_of mixer {", "one_of mixer {\n        none: relu"));
    let said = lab.fail("cost turned.hyt --point mixer.deep.kernel=3", 2);
    assert!(said.contains("help: write `space.mixer=deep` too, or leave it out"), "{said}");
    lab.succeed("cost turned.hyt --point mixer.deep.kernel=3,mixer=deep");
    // A file is no part of the command line.
    lab.write("point.json", "{\"widht\": 4}");
    assert!(lab.fail("cost net.hyt --point point.json", 1).contains("did you mean `space.width`?"));
}

/// Everything that a target needs is looked for before anything is built.
#[test]
fn missing_cross_tools_are_named_with_the_command_that_installs_them() {
    let lab = Lab::new();
    for (cross, target, wanted) in [
        (
            "/nowhere",
            "cortex-m4",
            &[
                "`/nowhere/tc/bin/rustc`",
                "`qemu-system-arm`",
                "setup-cross.sh /nowhere thumbv7em-none-eabihf`",
            ],
        ),
        (
            "/nowhere",
            "aarch64",
            &[
                "`aarch64-linux-gnu-gcc`",
                "`qemu-aarch64`",
                "setup-cross.sh /nowhere aarch64-unknown-linux-gnu`",
            ],
        ),
        // Set to nothing is not set.
        ("", "armv7", &["`arm-linux-gnueabihf-gcc`", "`qemu-arm`", "setup-cross.sh /opt/hyt-cross armv7-"]),
    ] {
        let mut command = lab.command("bench net.hyt --images 1 --target");
        let out =
            command.arg(target).env("HYTC_CROSS", cross).env("PATH", lab.path("images")).output().unwrap();
        let said = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(1), "{said}");
        assert!(wanted.iter().all(|w| said.contains(w)), "{said}");
    }
}

/// A network may leave nothing to compute.
#[test]
fn a_network_without_a_step_is_measured() {
    let lab = Lab::new();
    let task = "task {\n    input = image(1, 1, 3)\n    classes = [\"a\", \"b\", \"c\"]\n}\n";
    for space in ["flatten", "identity > flatten", "global_avg_pool"] {
        lab.write("net.hyt", &format!("{task}space {{\n    {space}\n}}\n"));
        for precision in ["int8", "float"] {
            let line = format!("bench net.hyt --target host --seconds 0.02 --json --precision {precision}");
            let found = lab.succeed(&line).json();
            assert!(found["nanoseconds"].is_number() && found["arena_bytes"].is_number(), "{found:#}");
        }
    }
}

#[test]
fn images_that_are_not_here_are_noted_by_check() {
    let lab = Lab::new();
    assert_eq!(lab.succeed("check net.hyt").err, "");
    std::fs::rename(lab.path("images"), lab.path("away")).unwrap();
    let said = lab.succeed("check net.hyt");
    assert!(said.out.contains("no errors"), "{}", said.out);
    for (line, set) in [(5, "train"), (6, "test")] {
        let note = format!("note: net.hyt:{line}: the images `images/{set}` are not here");
        assert!(said.err.contains(&note), "{}", said.err);
    }
    assert_eq!(lab.succeed("check net.hyt --json").json(), serde_json::json!([]));
}

/// Where numbers have hundreds of digits, an exponent says how many.
#[test]
fn points_beyond_counting_are_said_with_an_exponent() {
    let lab = Lab::new();
    let blocks =
        (0..60).map(|i| format!("let w{i} = choice(4, 6, 8)\n    conv(w{i}, 3)\n    ")).collect::<String>();
    lab.write("net.hyt", &SPEC.replace("conv_bn(", &format!("{blocks}conv_bn(")));
    assert!(lab.succeed("space net.hyt").out.contains(" decisions, 2.54e29 points"));
    let exact = lab.succeed("space net.hyt --json").json()["size"].as_str().unwrap().to_string();
    assert_eq!((exact.len(), &exact[..3]), (30, "254"));
}

#[test]
fn energy_needs_a_profile_with_a_power() {
    let lab = Lab::new();
    let energy = SPEC.replace("minimize latency on board", "minimize energy on board");
    lab.write("net.hyt", &energy);
    let said = lab.fail("check net.hyt", 1);
    assert!(said.contains("error[E0702]: energy on board cannot be computed"), "{said}");
    assert!(said.contains("net.hyt:24:") && said.contains("active_milliwatts"), "{said}");
    lab.write("net.hyt", &energy.replace("stm32f446", "stm32h743"));
    lab.succeed("check net.hyt");
}

#[test]
fn limits_that_nothing_keeps_are_errors_only_where_that_is_proved() {
    let lab = Lab::new();
    // Six points: all are looked at.
    lab.write("small.hyt", &SPEC.replace("ram <= 32 KiB", "ram <= 1 KiB"));
    let said = lab.fail("check small.hyt", 1);
    assert!(said.contains("error[E0704]: no network of the space keeps this limit on board"), "{said}");
    // Too many to look at, so what was not found may be there.
    let blocks =
        (0..12).map(|i| format!("let w{i} = choice(4, 6, 8)\n    conv(w{i}, 3)\n    ")).collect::<String>();
    let large =
        SPEC.replace("conv_bn(", &format!("{blocks}conv_bn(")).replace("ram <= 32 KiB", "ram <= 1 KiB");
    lab.write("large.hyt", &large);
    let said = lab.succeed("check large.hyt");
    assert!(
        said.err.contains("warning[E0704]: no network was found in the space that keeps"),
        "{}",
        said.err
    );
    // The image alone needs 576 bytes.
    lab.write("image.hyt", &large.replace("ram <= 1 KiB", "ram <= 0.5 KiB"));
    assert!(lab.fail("check image.hyt", 1).contains("error[E0704]"));
    // A device's memory is a limit too.
    let profile =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/devices/stm32f446.yaml")).unwrap();
    let at = profile.find("ram_bytes").unwrap();
    let value = at + profile[at..].find("value: ").unwrap() + "value: ".len();
    let end = value + profile[value..].find(|c: char| !c.is_ascii_digit()).unwrap();
    lab.write("tiny.yaml", &format!("{}1024{}", &profile[..value], &profile[end..]));
    lab.write("tiny.hyt", &SPEC.replace("\"stm32f446\"", "\"tiny.yaml\""));
    let said = lab.fail("check tiny.hyt", 1);
    assert!(said.contains("fits the ram of board, 1.0 KiB") && said.contains("device board"), "{said}");
}
