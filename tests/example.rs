//! `examples/classify`, a crate with a network that its build script compiles: it builds from what is
//! committed, without burn, and classifies images; and what a build script is told when it cannot.

use hytc::build::{generate, BuildError};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/classify")
}

fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"))
}

/// Standard output of a command that succeeds.
fn succeed(command: &mut Command) -> String {
    let out = run(command);
    assert!(out.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

fn cargo(verb: &str) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // Its lock file has the versions of ours: where this test was built, they are at hand.
    command.args([verb, "--locked", "--manifest-path"]).arg(example().join("Cargo.toml"));
    command
}

#[test]
fn the_build_dependency_brings_no_training_and_no_command_line() {
    let tree = succeed(cargo("tree").args(["--edges", "normal,build", "--prefix", "none"]));
    let names: Vec<&str> = tree.lines().filter_map(|l| l.split(' ').next()).collect();
    assert!(names.contains(&"hytc") && names.contains(&"pest"), "{tree}");
    for name in names {
        let heavy = ["burn", "tract", "clap", "indicatif", "nalgebra", "cubecl", "rayon"];
        assert!(!heavy.iter().any(|h| name.starts_with(h)), "{name} is built");
    }
}

#[test]
fn it_builds_and_classifies() {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("example");
    succeed(cargo("build").arg("--target-dir").arg(&target));
    let program = target.join("debug/classify");
    let image = |name: &str| example().join("images").join(name);
    let first = |arguments: &mut Command| {
        let said = succeed(arguments);
        said.lines().next().and_then(|l| l.rsplit_once(": ")).map(|(_, class)| class.to_string()).unwrap()
    };
    let said = succeed(Command::new(&program).arg(image("ankle-boot.png")).arg(image("trouser.png")));
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 2 * 11, "a line for each image and each class: {said}");
    assert!(lines[0].ends_with("ankle-boot.png: ankle-boot") && lines[11].ends_with(": trouser"), "{said}");
    let percents: Vec<f64> =
        lines[1..11].iter().map(|l| l.split_whitespace().nth(1).unwrap().parse().unwrap()).collect();
    assert!(percents.is_sorted_by(|a, b| a >= b), "the likeliest first: {said}");
    assert!((percents.iter().sum::<f64>() - 100.0).abs() < 0.6, "{said}");
    // Dark on light, with the flag.
    let bag = image("bag-on-white.png");
    assert_eq!(first(Command::new(&program).arg("--invert").arg(&bag)), "bag");

    let out = run(Command::new(&program).arg(image("none.png")));
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.code() == Some(1) && said.contains("none.png"), "{said}");
    let out = run(Command::new(&program).arg(example().join("build.rs")));
    assert!(out.status.code() == Some(1) && !out.stderr.is_empty());
    assert_eq!(run(&mut Command::new(&program)).status.code(), Some(2));
}

/// A copy of the example's spec, lock and weights.
fn copy() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    for name in ["fashion.hyt", "fashion.hyt.lock", "fashion.hyt.safetensors"] {
        std::fs::copy(example().join(name), folder.path().join(name)).unwrap();
    }
    let spec = folder.path().join("fashion.hyt");
    (folder, spec)
}

#[test]
fn a_build_script_is_told_why_there_is_no_code() {
    let (_folder, spec) = copy();
    let (name, code, inputs) = generate(&spec).unwrap();
    assert_eq!(name, "fashion");
    assert_eq!(code, generate(&spec).unwrap().1, "the same text every time");
    for ending in ["hyt", "lock", "safetensors"] {
        assert!(inputs.iter().any(|p| p.extension().is_some_and(|e| e == ending)), "{inputs:?}");
    }

    let text = std::fs::read_to_string(&spec).unwrap();
    std::fs::write(&spec, format!("// A word more.\n{text}")).unwrap();
    generate(&spec).expect("a comment changes nothing");

    let other = text.replace("choice(8, 12, 16)", "choice(8, 12, 16, 20)");
    assert_ne!(other, text);
    std::fs::write(&spec, other).unwrap();
    let said = generate(&spec).unwrap_err();
    assert!(matches!(said, BuildError::Lock(_)), "{said}");
    assert!(said.to_string().contains("`space` of the spec has changed"), "{said}");
    assert!(said.to_string().contains("run `hytc compile"), "{said}");

    std::fs::write(&spec, text.replace("conv_bn(", "conv_bin(")).unwrap();
    let said = generate(&spec).unwrap_err();
    assert!(matches!(said, BuildError::Spec(_)) && said.to_string().contains("conv_bin"), "{said}");

    std::fs::write(&spec, &text).unwrap();
    let weights = spec.with_file_name("fashion.hyt.safetensors");
    let mut bytes = std::fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&weights, bytes).unwrap();
    let said = generate(&spec).unwrap_err().to_string();
    assert!(said.contains("is not the one") && said.contains("fashion.hyt.safetensors"), "{said}");
    std::fs::remove_file(&weights).unwrap();
    let said = generate(&spec).unwrap_err().to_string();
    assert!(said.contains("is missing") && said.contains("fashion.hyt.safetensors"), "{said}");

    std::fs::remove_file(spec.with_file_name("fashion.hyt.lock")).unwrap();
    let said = generate(&spec).unwrap_err();
    assert!(matches!(said, BuildError::Lock(_)) && said.to_string().contains("is missing"), "{said}");
}
