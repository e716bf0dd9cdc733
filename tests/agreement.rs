//! All forms of a network agree: for random points of real spaces with random weights, burn, the ONNX
//! file in tract and in ONNX Runtime, and the compiled Rust crate compute the same, and the figures
//! that `hytc cost` gives are those of the emitted files.
//!
//! A few points run by default. All of them, with the largest differences printed:
//!
//! ```text
//! HYTC_POINTS_FASHION=200 HYTC_POINTS_HYTNAS=50 cargo test --release --test agreement -- --nocapture
//! ```
#![cfg(all(feature = "train", feature = "verify"))]

mod common;

use common::compile::{compile, run};
use common::python::onnx_check;
use hytc::graph::Fact;
use hytc::project::Project;
use hytc::space::SearchSpace;
use hytc::train::forward;
use hytc::verify::{compare, run_tract};
use hytc::weights::Weights;
use rand::{RngExt, SeedableRng};
use std::fmt::Write as _;
use std::path::Path;

/// On the logits; relative to the largest one where that is above 1.
const TOLERANCE: f64 = 1e-3;
/// Of specs that squeeze all that they see through softmax and sigmoid.
const TIGHT: f64 = 1e-5;
/// Images of a point.
const BATCH: usize = 2;
/// Random weights that are tried until some let the image through.
const WEIGHTS: u64 = 50;

fn points(variable: &str, default: usize) -> usize {
    std::env::var(variable)
        .map_or(default, |n| n.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|x| x.to_le_bytes()).collect()
}

/// The value of a public constant of emitted code.
fn constant(text: &str, name: &str) -> u64 {
    let at = text.find(&format!("pub const {name}: ")).unwrap_or_else(|| panic!("no constant {name}"));
    let value = text[at..].split_once('=').unwrap().1.split_once(';').unwrap().0;
    value.trim().replace('_', "").parse().unwrap_or_else(|_| panic!("{name} is{value}"))
}

fn agree(spec: &str, count: usize, seed: u64, tolerance: f64) {
    let project = Project::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join(spec)).unwrap();
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let mut worst = [0.0f64; 2];
    let (mut worst_runtime, mut largest) = (0.0f64, 0usize);
    let mut faintest = f64::INFINITY;
    let begun = std::time::Instant::now();
    for i in 0..count {
        let point = project.checked.space.sample(&mut rng);
        let told = format!("{spec}, point {i}: {:?}", project.checked.space.describe(&point));
        let design = project.design(&point).unwrap();
        let Fact::Map { c, h, w } = design.network.input_fact() else { panic!("{told}: no image") };
        let classes = design.network.output_fact().elements();
        // Rows of channels, as burn and the crate take them, and planes, as ONNX does.
        let images: Vec<f32> = (0..BATCH * c * h * w).map(|_| rng.random_range(-1.0..1.0)).collect();
        let mut planes = Vec::with_capacity(images.len());
        for image in images.chunks(c * h * w) {
            (0..c).for_each(|k| planes.extend(image.iter().skip(k).step_by(c)));
        }
        // Forms that ignore the image would agree as well: its trace in the logits must be far above the
        // tolerance. Where random weights hide it, others are drawn.
        let drawn = (0..WEIGHTS).find_map(|draw| {
            let weights = Weights::random(&design.network, seed + i as u64 + 1000 * draw);
            let burn = forward(&design.network, &weights, &images, BATCH).unwrap();
            let scale = burn.iter().fold(1.0f64, |m, x| m.max(f64::from(x.abs())));
            let (first, second) = burn.split_at(classes);
            let trace = compare(first, second, classes).unwrap().max_difference / scale;
            (trace > 3.0 * tolerance).then_some((weights, burn, scale, trace))
        });
        let Some((weights, burn, scale, trace)) = drawn else {
            panic!("{told}: two images differ by less than 3 times the tolerance only");
        };
        faintest = faintest.min(trace);

        let bound = project.bind(&design, &weights).unwrap();
        let onnx = project.onnx(&design, &bound, None).unwrap();
        let tract = run_tract(&onnx, &planes, BATCH, (c, h, w)).unwrap();

        let files = project.crate_files(&design, &bound).unwrap();
        let library = &files.iter().find(|f| f.path == "src/lib.rs").unwrap().text;
        assert_eq!(constant(library, "ARENA_BYTES"), design.cost.ram_bytes, "{told}: RAM");
        assert_eq!(constant(library, "PARAMS"), design.cost.params, "{told}: parameters");
        assert_eq!(constant(library, "MACS"), design.cost.macs, "{told}: MACs");
        let folder = tempfile::tempdir().unwrap();
        let program = compile(folder.path(), &files, project.name());
        let rust = run(&program, &images);

        for (theirs, worst) in [&tract, &rust].into_iter().zip(&mut worst) {
            let difference = compare(&burn, theirs, classes).unwrap().max_difference / scale;
            assert!(difference <= tolerance, "{told}: differs from burn by {difference} of {scale}");
            *worst = worst.max(difference);
        }
        // The onnx checker, ONNX Runtime, and that the initialisers are the parameters.
        let cases = tempfile::tempdir().unwrap();
        let case = cases.path().join("point");
        std::fs::create_dir(&case).unwrap();
        std::fs::write(case.join("model.onnx"), &onnx).unwrap();
        std::fs::write(case.join("input.f32"), bytes(&planes)).unwrap();
        std::fs::write(case.join("expected.f32"), bytes(&burn)).unwrap();
        std::fs::write(case.join("expected.rust.f32"), bytes(&rust)).unwrap();
        let about = serde_json::json!({
            "batch": BATCH, "input": [c, h, w], "params": design.cost.params, "tolerance": tolerance * scale,
        });
        std::fs::write(case.join("case.json"), about.to_string()).unwrap();
        let (fine, report) = onnx_check(cases.path());
        assert!(fine, "{told}: {report:#}");
        let differences = report.to_string();
        for part in differences.split("\"max_difference\":").skip(1) {
            let number = part.split([',', '}']).next().unwrap().trim();
            worst_runtime = worst_runtime.max(number.parse::<f64>().unwrap() / scale);
        }
        largest = largest.max(design.cost.params as usize);
    }
    let mut line =
        format!("{spec}: {count} points of up to {largest} parameters; largest differences from burn: ");
    let [tract, rust] = worst;
    write!(line, "tract {tract:.1e}, ONNX Runtime {worst_runtime:.1e}, Rust {rust:.1e}").unwrap();
    write!(line, "; two images differ by {faintest:.1e} or more; {} s", begun.elapsed().as_secs()).unwrap();
    println!("{line}");
}

#[test]
fn random_points_of_fashion_agree() {
    agree("specs/fashion.hyt", points("HYTC_POINTS_FASHION", 6), 1, TOLERANCE);
}

#[test]
fn random_points_of_hytnas_agree() {
    agree("specs/hytnas.hyt", points("HYTC_POINTS_HYTNAS", 2), 2, TOLERANCE);
}

#[test]
fn mobilenet_v1_agrees_and_has_the_published_size() {
    let project =
        Project::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("specs/mobilenet_v1.hyt")).unwrap();
    let design = project.design(&project.checked.space.first_point()).unwrap();
    assert_eq!((design.cost.params, design.cost.macs), (210_850, 7_489_664));
    agree("specs/mobilenet_v1.hyt", 1, 3, TOLERANCE);
}

/// Every element, operator and block of the language, as the specs of `tests/in/good` use them.
#[test]
fn all_of_the_language_agrees() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (i, file) in common::specs::specs("tests/in/good").iter().enumerate() {
        let spec = file.strip_prefix(root).unwrap().to_str().unwrap();
        agree(spec, points("HYTC_POINTS_GOOD", 1), i as u64, TIGHT);
    }
}
