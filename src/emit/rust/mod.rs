//! Emission of inference code in Rust: a crate without dependencies, `no_std`, without allocation
//! and `unsafe`; or the same as one file, for build scripts.
//!
//! The kernels are copied from `hytc-kernels`, those files that the network needs. The weights are
//! statics, in the order the kernels read them. The arena is laid out by [`crate::lower::plan`]:
//! every borrow of it in the emitted code is checked against overlap when that code is compiled.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod calls;
mod int8;
mod interface;
mod names;
mod program;
mod steps;
mod text;
mod weights;
mod writer;

pub use names::crate_name;
pub(crate) use weights::arrange;

use crate::diag::Diagnostic;
use crate::lower::{Bound, Plan};
use crate::quant::Quantised;
use interface::{HARNESS, HARNESS_INT8, INTERFACE, INTERFACE_INT8, ONE, RESULT, SET_PIXELS};
use interface::{SET_PIXELS_PLAIN, THREE, TRACED, TRACED_NOTHING, TRACED_STATEMENTS, TWO};
use program::{Code, Numbers, Program};
use text::{float, plain, Text};

/// What the emitted code says of itself besides the network.
#[derive(Debug, Clone, PartialEq)]
pub struct Metadata {
    /// The spec's name; [`crate_name`] makes the crate's of it.
    pub name: String,
    /// Class names in the order of the labels; as many as the network has outputs, or none.
    pub classes: Vec<String>,
    /// Subtracted from pixels scaled to 0..1, one per channel.
    pub mean: Vec<f32>,
    /// Divides afterwards, one per channel.
    pub std: Vec<f32>,
    /// Hash of the spec.
    pub spec_hash: String,
    /// Version of hytc.
    pub version: String,
}

/// One emitted file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmittedFile {
    /// Path relative to the crate's folder, with `/`.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// The oldest Rust that compiles the emitted code (`slice::as_chunks`).
const RUST_VERSION: &str = "1.88";

/// Emits a crate: `Cargo.toml`, `README.md`, `rustfmt.toml`, `src/lib.rs`, `src/weights.rs`,
/// `src/kernels/*.rs`. `plan` is that of `bound.lowered` for elements of four bytes.
///
/// # Errors
/// What cannot be emitted: weights that are no finite numbers, metadata that does not fit the
/// network, a plan of another network.
pub fn emit(bound: &Bound, plan: &Plan, metadata: &Metadata) -> Result<Vec<EmittedFile>, Vec<Diagnostic>> {
    Ok(files(&Program::float(bound, plan, metadata, false)?, metadata))
}

/// [`emit`] with `run_traced` besides `run`: it calls a function with the number of each step of the
/// schedule before it, and at the end with their number. For measuring layer by layer.
///
/// # Errors
/// As [`emit`].
pub fn emit_traced(
    bound: &Bound,
    plan: &Plan,
    metadata: &Metadata,
) -> Result<Vec<EmittedFile>, Vec<Diagnostic>> {
    Ok(files(&Program::float(bound, plan, metadata, true)?, metadata))
}

/// [`emit`] in int8; `plan` is that of the network for elements of one byte.
///
/// # Errors
/// As [`emit`].
pub fn emit_int8(
    network: &Quantised,
    plan: &Plan,
    metadata: &Metadata,
) -> Result<Vec<EmittedFile>, Vec<Diagnostic>> {
    Ok(files(&Program::int8(network, plan, metadata, false)?, metadata))
}

/// [`emit_int8`] with `run_traced` besides `run`: it calls a function with the number of each step of
/// the schedule before it. For measuring layer by layer.
///
/// # Errors
/// As [`emit`].
pub fn emit_int8_traced(
    network: &Quantised,
    plan: &Plan,
    metadata: &Metadata,
) -> Result<Vec<EmittedFile>, Vec<Diagnostic>> {
    Ok(files(&Program::int8(network, plan, metadata, true)?, metadata))
}

/// Emits the same as [`emit`] as the text of one module, to be written by a build script and taken in
/// by `mod model { include!(concat!(env!("OUT_DIR"), "/model.rs")); }`.
///
/// # Errors
/// As [`emit`].
pub fn single_file(bound: &Bound, plan: &Plan, metadata: &Metadata) -> Result<String, Vec<Diagnostic>> {
    Ok(module(&Program::float(bound, plan, metadata, false)?, metadata))
}

/// [`single_file`] in int8.
///
/// # Errors
/// As [`emit`].
pub fn single_file_int8(
    network: &Quantised,
    plan: &Plan,
    metadata: &Metadata,
) -> Result<String, Vec<Diagnostic>> {
    Ok(module(&Program::int8(network, plan, metadata, false)?, metadata))
}

fn files(program: &Program, metadata: &Metadata) -> Vec<EmittedFile> {
    let name = crate_name(&metadata.name);
    let mut files = Vec::new();
    let mut file = |path: &str, text: String| files.push(EmittedFile { path: path.into(), text });
    file("Cargo.toml", manifest(&name, metadata));
    file("README.md", readme(&name, program, metadata));
    file("rustfmt.toml", "# The default style, whatever the folders above say.\nmax_width = 100\n".into());
    file("src/lib.rs", library(&name, program, metadata));
    let head = "//! The weights, in the order in which the kernels read them.\n\n";
    file("src/weights.rs", format!("{head}{}", program.weights));
    if let Code::Steps { module: Some(steps), .. } = &program.code {
        let head = "//! The steps: what each computes, and where in the arena.\n\n";
        file("src/steps.rs", format!("{head}{steps}"));
    }
    let mut modules = Text::default();
    modules.line("//! The kernels that this network needs, copied from hytc-kernels.");
    modules.line("");
    let mut sorted = program.kernels.clone();
    sorted.sort_by_key(|f| f.name);
    for f in &sorted {
        modules.line(format!("pub mod {};", f.name));
    }
    file("src/kernels/mod.rs", modules.0);
    for f in sorted {
        file(&format!("src/kernels/{}.rs", f.name), f.text.into());
    }
    files
}

fn module(program: &Program, metadata: &Metadata) -> String {
    let mut t = Text::default();
    t.line(format!("// Generated by hytc {}; do not edit.\n", plain(&metadata.version)));
    t.0.push_str(&items(program, metadata));
    t.line("");
    // Lints are for the person who writes, not for the crate that includes.
    t.line("#[rustfmt::skip]\n#[allow(clippy::all, clippy::pedantic)]\nmod weights {");
    t.0.push_str(&program.weights);
    t.line("}\n");
    if let Code::Steps { module: Some(steps), .. } = &program.code {
        t.line("#[rustfmt::skip]\n#[allow(clippy::all, clippy::pedantic)]\nmod steps {");
        t.0.push_str(steps);
        t.line("}\n");
    }
    t.line("#[rustfmt::skip]\n#[allow(dead_code, clippy::all, clippy::pedantic)]\nmod kernels {");
    for f in &program.kernels {
        t.line(format!("pub mod {} {{", f.name));
        t.0.push_str(f.text);
        t.line("}");
    }
    t.line("}");
    t.0
}

/// The source of a program that runs an emitted crate on many images: images of f32, little-endian,
/// `[h][w][c]`, one after the other from standard input; results likewise to standard output.
pub fn harness_main(crate_name: &str) -> String {
    HARNESS.replace("{model}", crate_name)
}

/// The same for a crate of int8: images and results are quantised, a byte an element.
pub fn harness_main_int8(crate_name: &str) -> String {
    HARNESS_INT8.replace("{model}", crate_name)
}

fn manifest(name: &str, metadata: &Metadata) -> String {
    format!(
        "# Generated by hytc {version}.\n\
         [package]\n\
         name = \"{name}\"\n\
         version = \"0.1.0\"\n\
         edition = \"2021\"\n\
         rust-version = \"{RUST_VERSION}\"\n\
         description = \"A neural network for classifying images, no_std, generated by hytc\"\n\
         \n\
         [lib]\n\
         \n\
         [dependencies]\n\
         \n\
         # Stands alone, wherever it lies.\n\
         [workspace]\n",
        version = plain(&metadata.version),
    )
}

fn readme(name: &str, p: &Program, metadata: &Metadata) -> String {
    let [h, w, c] = p.shape();
    format!(
        "# {name}\n\
         \n\
         An image classifier, generated by hytc {version}. `no_std`, no allocation, no dependencies, no `unsafe`.\n\
         \n\
         | | |\n\
         |---|---|\n\
         | input | {h} x {w} x {c} |\n\
         | outputs | {outputs} |\n\
         | weights and biases | {params} |\n\
         | multiply-accumulate operations | {macs} |\n\
         | arena | {arena} bytes |\n\
         \n\
         ```rust\n\
         let mut arena = {name}::Arena::new();\n\
         arena.set_pixels(&pixels);\n\
         let scores = {name}::run(&mut arena);\n\
         let class = {name}::argmax(&scores);\n\
         ```\n",
        version = plain(&metadata.version),
        outputs = p.output_len,
        params = p.params,
        macs = p.macs,
        arena = p.arena_bytes,
    )
}

/// `lib.rs` of the crate.
fn library(name: &str, p: &Program, metadata: &Metadata) -> String {
    let [h, w, c] = p.shape();
    let mut t = Text::default();
    t.line("//! An image classifier: no allocation, no dependencies, no `unsafe`.");
    t.line("//!");
    t.line(format!("//! Input: {h} rows of {w} pixels of {c} channels. Result: {} scores.", p.output_len));
    t.line(format!("//! Generated by hytc {}; do not edit.", plain(&metadata.version)));
    t.line("//!");
    // A large arena does not fit the stack of a documentation test.
    let run = if p.arena_bytes + 8 * p.input.elements() < 200_000 { "" } else { "no_run" };
    t.line(format!("//! ```{run}"));
    t.line(format!("//! let mut arena = {name}::Arena::new();"));
    t.line(format!("//! let pixels = [0u8; {name}::INPUT_LEN]; // from a camera"));
    t.line("//! arena.set_pixels(&pixels);");
    t.line(format!("//! let scores = {name}::run(&mut arena);"));
    t.line(format!("//! let class = {name}::argmax(&scores);"));
    t.line(format!("//! assert!(class < {name}::OUTPUT_LEN);"));
    t.line("//! ```");
    t.line("#![no_std]");
    t.line("#![forbid(unsafe_code)]");
    t.line("#![warn(missing_docs)]");
    t.line("");
    t.line("#[allow(dead_code)]");
    t.line("mod kernels;");
    if let Code::Steps { module: Some(_), .. } = &p.code {
        t.line("mod steps;");
    }
    t.line("#[allow(clippy::approx_constant, clippy::excessive_precision)]");
    t.line("mod weights;");
    t.line("");
    t.0.push_str(&items(p, metadata));
    t.0
}

/// The public items and their helpers.
fn items(p: &Program, metadata: &Metadata) -> String {
    let mut t = Text::default();
    if let Code::Statements { needs, .. } = &p.code {
        for (module, items) in &needs.imports {
            t.import(&format!("kernels::{module}"), &steps::sorted(items));
        }
        if !needs.imports.is_empty() {
            t.line("");
        }
    }
    constants(&mut t, p, metadata);
    let (kind, zero) = match &p.numbers {
        Numbers::Float => ("f32", "0.0"),
        Numbers::Int8 { .. } => ("i8", "0"),
    };
    match &p.numbers {
        Numbers::Float => t.0.push_str(INTERFACE),
        Numbers::Int8 { pixels, .. } => {
            let set = if pixels.is_empty() { SET_PIXELS_PLAIN } else { SET_PIXELS };
            t.0.push_str(&INTERFACE_INT8.replace("{set_pixels}", set));
        }
    }
    t.line(format!("pub fn run(arena: &mut Arena) -> [{kind}; OUTPUT_LEN] {{"));
    match &p.code {
        Code::Statements { body, .. } if body.is_empty() => {}
        Code::Statements { body, .. } => {
            t.line("    let a = &mut arena.0;\n");
            t.0.push_str(body);
            t.line("");
        }
        Code::Steps { module: Some(_), .. } => t.line("    steps::run(&mut arena.0);"),
        Code::Steps { module: None, .. } => {}
    }
    t.0.push_str(&RESULT.replace("0.0", zero));
    match &p.code {
        Code::Statements { needs, traced, .. } => {
            if let Some(body) = traced {
                t.0.push_str(TRACED_STATEMENTS);
                t.0.push_str(body);
                t.line("}");
            }
            for (count, helper) in [(1, ONE), (2, TWO), (3, THREE)] {
                if needs.regions.contains(&count) {
                    t.0.push_str(helper);
                }
            }
        }
        Code::Steps { module: Some(_), traced: Some(_) } => t.0.push_str(TRACED),
        Code::Steps { module: None, traced: Some(steps) } => {
            t.0.push_str(&TRACED_NOTHING.replace("{steps}", &steps.to_string()));
        }
        Code::Steps { traced: None, .. } => {}
    }
    t.0
}

fn constants(t: &mut Text, p: &Program, metadata: &Metadata) {
    let [h, w, c] = p.shape();
    let list = |x: &[f32]| x.iter().map(|&x| float(x)).collect::<Vec<_>>();
    t.line("/// Rows, columns, channels of the image.");
    t.line(format!("pub const INPUT_SHAPE: (usize, usize, usize) = ({h}, {w}, {c});"));
    t.line("/// Numbers of an image, in the order `[row][column][channel]`.");
    t.line(format!("pub const INPUT_LEN: usize = {};", h * w * c));
    t.line("/// Numbers of a result.");
    t.line(format!("pub const OUTPUT_LEN: usize = {};", p.output_len));
    t.line("/// Names of the classes, in the order of the scores.");
    let classes: Vec<String> = metadata.classes.iter().map(|c| format!("{c:?}")).collect();
    t.array(&format!("pub const CLASSES: [&str; {}]", classes.len()), &classes);
    t.line("/// Means of the channels of pixels scaled to 0..1, which preprocessing subtracts.");
    t.array(&format!("pub const MEAN: [f32; {c}]"), &list(&metadata.mean));
    t.line("/// Standard deviations of the channels, by which preprocessing divides.");
    t.array(&format!("pub const STD: [f32; {c}]"), &list(&metadata.std));
    t.line("/// Size of [`Arena`] in bytes: all memory but a little stack.");
    t.line(format!("pub const ARENA_BYTES: usize = {};", p.arena_bytes));
    match &p.numbers {
        Numbers::Float => t.line("/// Weights and biases, four bytes each."),
        Numbers::Int8 { .. } => t.line("/// Weights and biases."),
    }
    t.line(format!("pub const PARAMS: usize = {};", p.params));
    if let Numbers::Int8 { input, output, .. } = &p.numbers {
        t.line("/// Bytes of all constants in flash: weights, biases, factors, tables.");
        t.line(format!("pub const CONSTANT_BYTES: usize = {};", p.constant_bytes));
        for (name, what, scale) in [("INPUT", "input", input), ("OUTPUT", "result", output)] {
            t.line(format!("/// A number `q` of the {what} means `{name}_SCALE * (q - {name}_ZERO)`."));
            t.line(format!("pub const {name}_SCALE: f32 = {};", float(scale.scale)));
            t.line(format!("/// See [`{name}_SCALE`]."));
            t.line(format!("pub const {name}_ZERO: i32 = {};", scale.zero));
        }
    }
    t.line("/// Multiply-accumulate operations of one inference.");
    t.line(format!("pub const MACS: u64 = {};", p.macs));
    t.line("/// Hash of the spec that this is the result of.");
    t.line(format!("pub const SPEC_HASH: &str = {:?};", metadata.spec_hash));
    t.line("");
    match &p.numbers {
        Numbers::Float => t.line("const ARENA_LEN: usize = ARENA_BYTES / 4;"),
        Numbers::Int8 { .. } => t.line("const ARENA_LEN: usize = ARENA_BYTES;"),
    }
    t.line(format!("const INPUT_AT: usize = {};", p.input_offset));
    t.line(format!("const OUTPUT_AT: usize = {};", p.output_offset));
}
