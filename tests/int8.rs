//! int8 through the program `hytc`: what it costs, what is done about it, that all forms agree, and what
//! is refused.
#![cfg(all(feature = "cli", feature = "train", feature = "verify"))]
#![allow(clippy::unwrap_used)]

mod common;

use common::python::python;
use hytc::project::Lock;
use hytc::quant::REVISION;
use hytc::weights::Weights;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;

const SPEC: &str = r#"task {
    input   = image(12, 12, 3)
    classes = ["rows", "columns"]
    train   = folder("train")
    test    = folder("test")
    validation = 25%
}
space {
    conv_bn(6, 3, stride = 2, act = silu)
    unfold(2) > transformer_encoder(depth = 1, heads = 2, ffn = 2) > fold
    conv_bn(8, 1, act = relu)
    global_avg_pool > linear(classes)
}
device board = "stm32f446"
search random { trials = 1, seed = 3, train { epochs = 1, batch = 16 } }
final { epochs = 12, batch = 16, learning_rate = 0.01 }
"#;

/// A folder with a spec and images of stripes, in which `hytc` is run.
struct Lab(tempfile::TempDir);

impl Lab {
    fn new(spec: &str) -> Lab {
        let lab = Lab(tempfile::tempdir().unwrap());
        for (name, count, seed) in [("train", 160, 1), ("test", 48, 2)] {
            let classes = ["rows", "columns"];
            let folder = lab.path(name);
            let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
            for i in 0..count {
                let shift: u32 = rng.random_range(0..4);
                let mut image = image::RgbImage::new(12, 12);
                for (x, y, pixel) in image.enumerate_pixels_mut() {
                    let along = if i % 2 == 0 { y } else { x };
                    let base = if ((along + shift) / 2).is_multiple_of(2) { 190 } else { 60 };
                    // No red: see the test of a loss beyond the limit.
                    pixel.0 = [0, 1, 1].map(|on: u8| on * (base + rng.random_range(0..50u8)));
                }
                let folder = folder.join(classes[i % 2]);
                std::fs::create_dir_all(&folder).unwrap();
                image.save(folder.join(format!("{i:03}.png"))).unwrap();
            }
        }
        lab.write(spec);
        lab
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, spec: &str) {
        std::fs::write(self.path("net.hyt"), spec).unwrap();
    }

    /// Exit code, standard output, standard error.
    fn run(&self, line: &str) -> (Option<i32>, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hytc"));
        let out = command.args(line.split(' ')).current_dir(self.0.path()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (out.status.code(), text(out.stdout), text(out.stderr))
    }

    fn succeed(&self, line: &str) -> (String, String) {
        let (code, out, err) = self.run(line);
        assert_eq!(code, Some(0), "hytc {line}\n{out}{err}");
        (out, err)
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.path(name)).unwrap()).unwrap()
    }
}

const EMIT: &str = "emit onnx { precision = int8 }\nemit rust { precision = int8 }\n";

#[test]
fn int8_is_measured_and_verified() {
    let lab = Lab::new(&format!("{SPEC}{EMIT}"));
    let (out, _) = lab.succeed("compile net.hyt");
    let summary = lab.json("out/net.json");
    let accuracy = summary["accuracy_int8"].as_f64().unwrap();
    assert!(summary["accuracy"].as_f64().unwrap() > 0.9 && accuracy > 0.8, "{summary:#}");
    assert!(out.contains(&format!("({:.2} % in int8)", accuracy * 100.0)), "{out}");
    let forms = summary["forms"].as_array().unwrap();
    let of = |form: &Value| (form["path"].as_str().unwrap().to_string(), form["accuracy"].as_f64().unwrap());
    let forms: Vec<_> = forms.iter().map(of).collect();
    let wanted = [("net-int8.onnx".to_string(), accuracy), ("net-int8/".to_string(), accuracy)];
    assert_eq!(forms, wanted);

    let python = python();
    let (out, _) = lab.succeed(&format!("verify net.hyt --json --onnxruntime {}", python.display()));
    let report: Value = serde_json::from_str(&out).unwrap();
    let int8 = &report["int8"];
    assert_eq!(int8["accuracy"], accuracy, "{report:#}");
    let (rust, onnx) = (&int8["comparisons"][0], &int8["comparisons"][1]);
    assert_eq!((&rust["what"], &rust["largest"]), (&"Rust crate".into(), &0.into()), "{report:#}");
    assert_eq!((&rust["accuracy"], &rust["differing"]), (&accuracy.into(), &0.0.into()), "{report:#}");
    assert_eq!(onnx["what"], "ONNX in ONNX Runtime");
    assert!(onnx["largest"].as_u64().unwrap() <= 1, "{report:#}");

    let (out, _) = lab.succeed("verify net.hyt --images 5");
    assert!(out.contains("was not run: give --onnxruntime"), "{out}");
    assert!(out.contains("against the integer interpreter (accuracy"), "{out}");
}

/// The lock of a network that was compiled before int8 was asked for does not say what it is worth.
#[test]
fn int8_asked_for_later_is_measured_where_the_images_are() {
    let lab = Lab::new(&format!("{SPEC}emit rust\n"));
    lab.succeed("compile net.hyt");
    assert!(lab.json("out/net.json").get("accuracy_int8").is_none());
    let lock = std::fs::read(lab.path("net.hyt.lock")).unwrap();
    lab.write(&format!("{SPEC}{EMIT}"));
    for (from, to) in [("train", "away"), ("test", "gone")] {
        std::fs::rename(lab.path(from), lab.path(to)).unwrap();
    }
    let (out, err) = lab.succeed("compile net.hyt");
    assert!(out.contains("(not measured in int8)") && err.contains("the images are not here"), "{out}{err}");
    assert!(lab.json("out/net.json")["accuracy_int8"].is_null());
    assert_eq!(std::fs::read(lab.path("net.hyt.lock")).unwrap(), lock);
    for (from, to) in [("away", "train"), ("gone", "test")] {
        std::fs::rename(lab.path(from), lab.path(to)).unwrap();
    }
    lab.succeed("compile net.hyt --locked");
    let measured = lab.json("out/net.json");
    assert!(measured["accuracy_int8"].as_f64().unwrap() > 0.8, "{measured:#}");
    assert_eq!(std::fs::read(lab.path("net.hyt.lock")).unwrap(), lock, "--locked writes none");
    lab.succeed("compile net.hyt");
    let text = std::fs::read_to_string(lab.path("net.hyt.lock")).unwrap();
    let lock = Lock::parse(&text).unwrap();
    assert_eq!(lock.chosen.metrics.accuracy_int8, measured["accuracy_int8"].as_f64());
    let (_, err) = lab.succeed("compile net.hyt");
    assert!(!err.contains("measuring"), "{err}");
    assert_eq!(lab.json("out/net.json"), measured);
}

/// A later hytc may compute int8 otherwise: an accuracy of another revision is measured anew, or left out.
#[test]
fn an_accuracy_of_another_arithmetic_is_not_kept() {
    let lab = Lab::new(&format!("{SPEC}{EMIT}"));
    lab.succeed("compile net.hyt");
    let read = |name: &str| std::fs::read(lab.path(name)).unwrap();
    let (fresh, summary, onnx) = (read("net.hyt.lock"), lab.json("out/net.json"), read("out/net-int8.onnx"));
    let text = String::from_utf8(fresh.clone()).unwrap();
    let lock = Lock::parse(&text).unwrap();
    assert_eq!(lock.chosen.metrics.int8_revision, Some(REVISION));
    for revision in [None, Some(REVISION - 1), Some(REVISION + 1)] {
        let mut old = lock.clone();
        old.chosen.metrics.accuracy_int8 = Some(0.125);
        old.chosen.metrics.int8_revision = revision;
        let old = old.print().unwrap();
        std::fs::write(lab.path("net.hyt.lock"), &old).unwrap();
        for (from, to) in [("train", "away"), ("test", "gone")] {
            std::fs::rename(lab.path(from), lab.path(to)).unwrap();
        }
        let (out, err) = lab.succeed("compile net.hyt");
        assert!(
            out.contains("(not measured in int8)") && err.contains("the images are not here"),
            "{out}{err}"
        );
        let of = revision.map_or("without a revision".to_string(), |r| format!("of revision {r} "));
        assert!(err.contains(&of) && err.contains(&format!("by revision {REVISION}")), "{err}");
        assert!(lab.json("out/net.json")["accuracy_int8"].is_null());
        assert_eq!(read("net.hyt.lock"), old.into_bytes(), "nothing was measured");
        for (from, to) in [("away", "train"), ("gone", "test")] {
            std::fs::rename(lab.path(from), lab.path(to)).unwrap();
        }
        let (_, err) = lab.succeed("compile net.hyt");
        assert!(err.contains("measuring int8"), "{err}");
        assert_eq!(read("net.hyt.lock"), fresh);
        assert_eq!((lab.json("out/net.json"), read("out/net-int8.onnx")), (summary.clone(), onnx.clone()));
    }
    let (_, err) = lab.succeed("compile net.hyt");
    assert!(!err.contains("revision"), "{err}");
}

/// One channel of the pixels can be so much wider that the others have no step left: int8 is no better than
/// chance, which is more than the spec allows; fine-tuning is tried, and what is left is said.
#[test]
fn a_loss_beyond_the_limit_is_fine_tuned() {
    let task = "validation = 25%\n    normalize { mean = [0, 0.5, 0.5], std = [0.0005, 0.25, 0.25] }";
    let spec = SPEC.replace("validation = 25%", task);
    let section = "learning_rate = 0.01, int8 { loss = 2%, epochs = 2 } }";
    let spec = spec.replace("learning_rate = 0.01 }", section);
    let lab = Lab::new(&format!("{spec}{EMIT}"));
    let (_, err) = lab.succeed("compile net.hyt");
    assert!(err.contains("more than 2.00 points: fine-tuning"), "{err}");
    assert!(err.contains("after fine-tuning int8 loses"), "{err}");
    lab.succeed("verify net.hyt");
    // Nothing is tried where int8 loses no more than it may.
    let lab = Lab::new(&format!("{}{EMIT}", SPEC.replace("learning_rate = 0.01 }", "int8 { loss = 60% } }")));
    let (_, err) = lab.succeed("compile net.hyt");
    assert!(err.contains("60.00 points are allowed") && !err.contains("fine-tuning"), "{err}");
}

/// Changes weights as a careless hand might, and the lock with them.
fn change(lab: &Lab, how: impl Fn(&str, &mut Vec<f32>) -> bool) {
    let path = lab.path("net.hyt.safetensors");
    let mut weights = Weights::from_safetensors(&std::fs::read(&path).unwrap()).unwrap();
    weights.0.retain(|name, array| how(name, &mut array.data));
    let bytes = weights.to_safetensors().unwrap();
    let mut lock = Lock::parse(&std::fs::read_to_string(lab.path("net.hyt.lock")).unwrap()).unwrap();
    lock.weights = hytc::hash::sha256(&bytes);
    lock.chosen.metrics.accuracy_int8 = None;
    std::fs::write(path, bytes).unwrap();
    std::fs::write(lab.path("net.hyt.lock"), lock.print().unwrap()).unwrap();
}

#[test]
fn bad_values_are_refused_or_exact() {
    let lab = Lab::new(&format!("{SPEC}{EMIT}"));
    lab.succeed("compile net.hyt");
    let fresh = ["net.hyt.safetensors", "net.hyt.lock"].map(|f| (f, std::fs::read(lab.path(f)).unwrap()));
    let restore = || fresh.iter().for_each(|(f, bytes)| std::fs::write(lab.path(f), bytes).unwrap());
    let refused = |wanted: &[&str]| {
        let (code, out, err) = lab.run("compile net.hyt");
        assert_eq!(code, Some(1), "{out}{err}");
        wanted.iter().for_each(|w| assert!(err.contains(w), "no {w} in {err}"));
        restore();
    };
    // A constant is added to what flows, the calibration is old: a weight that is none.
    change(&lab, |name, data| {
        if name == "conv_bn.conv.weight" {
            data[0] = f32::NAN;
        }
        true
    });
    refused(&["E1061", "prelude.hyt:6", "`conv_bn.conv`", "not a number"]);
    // The same without a calibration: all that follows from it is not a number either.
    change(&lab, |name, data| {
        if name == "conv_bn.conv.weight" {
            data[0] = f32::NAN;
        }
        !name.starts_with("calibration.") && !name.starts_with("int8.")
    });
    refused(&["E1060", "prelude.hyt:6", "`conv_bn.conv`", "infinite or not a number"]);
    change(&lab, |name, data| {
        if name == "calibration.conv_bn.conv" {
            // Ends of the ranges before and behind the activation; between them is how they were found.
            [0, 1, 3, 4].into_iter().for_each(|i| data[i] = f32::NAN);
        }
        true
    });
    refused(&["E1060", "`conv_bn.conv`"]);
    change(&lab, |name, data| {
        if name == "calibration.conv_bn.conv" {
            [0, 1, 3, 4].into_iter().for_each(|i| data[i] *= 1e-42);
        }
        true
    });
    refused(&["E1060", "which no int8 scale holds"]);
    // Channels that are constant, tensors that are zero throughout: no scale of zero, and the crate equals
    // the interpreter.
    for all in [false, true] {
        change(&lab, |name, data| {
            if name.ends_with("batch_norm.weight") {
                let few = if all { data.len() } else { 2 };
                data[..few].fill(0.0);
            }
            if all && name.ends_with("batch_norm.bias") {
                data.fill(0.0);
            }
            !name.starts_with("calibration.") && !name.starts_with("int8.")
        });
        lab.succeed("compile net.hyt");
        lab.succeed("verify net.hyt");
        restore();
    }
    // A scale of zero for the pixels.
    let spec = SPEC.replace("validation = 25%", "validation = 25%\n    normalize { std = 1e38 }");
    let lab = Lab::new(&format!("{spec}{EMIT}"));
    let (code, _, err) = lab.run("compile net.hyt");
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("E1060") && err.contains("no int8 scale"), "{err}");
}
