//! Measuring emitted int8 code on emulated targets: exact instructions, flash of the linked image,
//! stack, and the results on real images.
//!
//! A firmware is built around the emitted crate with the compiler of `scripts/setup-cross.sh`, run
//! under QEMU, and fed with images over semihosting. QEMU counts instructions, not cycles.

mod board;
mod build;
mod elf;
mod run;

pub use board::{Board, BOARDS};
pub use build::Toolchain;

use crate::emit::rust::{crate_name, emit_int8, emit_int8_traced, EmittedFile, Metadata};
use crate::lower::Plan;
use crate::quant::Quantised;
use serde::Serialize;

/// Why a measurement fails.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The compiler or emulator is missing.
    #[error("`{0}` is missing: run `scripts/setup-cross.sh PREFIX {1}` and set HYTC_CROSS to its PREFIX")]
    Missing(String, String),
    /// A tool failed.
    #[error("{what} failed:\n{said}")]
    Tool {
        /// What was being done.
        what: String,
        /// What the tool said.
        said: String,
    },
    /// The network cannot be emitted; the messages.
    #[error("{0}")]
    Emit(String),
    /// The network does not fit the board.
    #[error("the network does not fit the {board}: it takes {needs} bytes of {what}, the emulated board has {has}")]
    Fit {
        /// The board.
        board: &'static str,
        /// `RAM` or `flash`.
        what: &'static str,
        /// Bytes.
        needs: usize,
        /// Bytes.
        has: usize,
    },
    /// A file.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Measured {
    /// The board's name.
    pub target: &'static str,
    /// Instructions of one inference.
    pub instructions: u64,
    /// The arena, the input in it.
    pub arena_bytes: usize,
    /// Code and constants of the network in the linked image.
    pub flash_bytes: usize,
    /// Of these, what is not weights, factors and tables.
    pub code_bytes: usize,
    /// Weights, factors and tables.
    pub constant_bytes: usize,
    /// The deepest stack of an inference.
    pub stack_bytes: usize,
    /// Step by step.
    pub layers: Vec<Layer>,
    /// The results, image by image.
    #[serde(skip)]
    pub outputs: Vec<i8>,
}

/// One step.
#[derive(Debug, Clone, Serialize)]
pub struct Layer {
    /// Its name.
    pub name: String,
    /// Its kernel.
    pub kind: String,
    /// Multiply-accumulate operations.
    pub macs: u64,
    /// Instructions.
    pub instructions: u64,
}

/// Builds, runs and measures a network on a board, on quantised images one after the other (at
/// least one).
///
/// # Errors
/// See [`BenchError`].
pub fn measure(
    network: &Quantised,
    plan: &Plan,
    metadata: &Metadata,
    board: &Board,
    images: &[i8],
) -> Result<Measured, BenchError> {
    let tools = Toolchain::find(board)?;
    let failed = |found: Vec<crate::diag::Diagnostic>| {
        let lines: Vec<String> = found.into_iter().map(|d| d.message).collect();
        BenchError::Emit(lines.join("\n"))
    };
    let name = crate_name(&metadata.name);
    let fits = |what, needs, has| match needs > has {
        true => Err(BenchError::Fit { board: board.about, what, needs, has }),
        false => Ok(()),
    };
    // Room for the stack and for code; what is left over is found by the linker.
    fits("RAM", plan.arena_bytes + 4096, board.ram.1)?;
    fits("flash", network.constant_bytes() + 8192, board.flash.1)?;
    let folder =
        std::env::temp_dir().join(format!("hytc-bench-{}-{}-{name}", board.name, std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let result = (|| {
        let plain = emit_int8(network, plan, metadata).map_err(failed)?;
        let traced = emit_int8_traced(network, plan, metadata).map_err(failed)?;
        let constant_bytes = constants(&plain);
        let build =
            |files: &[EmittedFile], kind: build::Kind| tools.build(&folder, board, files, &name, kind);
        let empty = elf::loaded_bytes(&std::fs::read(build(&plain, build::Kind::Empty)?)?);
        let image = build(&plain, build::Kind::Plain)?;
        let flash_bytes = elf::loaded_bytes(&std::fs::read(&image)?).saturating_sub(empty);
        let outputs = run::outputs(&folder, board, &image, images)?;
        let image = build(&traced, build::Kind::Traced)?;
        let counted = run::counted(&tools, &folder, board, &image, images, network.steps().len())?;
        let lowered = network.lowered();
        let layers = lowered.steps().iter().zip(&counted.layers).map(|(step, &instructions)| Layer {
            name: step.name.clone(),
            kind: step
                .kernel
                .name(step.inputs.first().map_or(lowered.fact(step.output), |&t| lowered.fact(t)))
                .into(),
            macs: lowered.step_macs(step),
            instructions,
        });
        Ok(Measured {
            target: board.name,
            instructions: counted.total,
            arena_bytes: plan.arena_bytes,
            flash_bytes,
            code_bytes: flash_bytes.saturating_sub(constant_bytes),
            constant_bytes,
            stack_bytes: counted.stack,
            layers: layers.collect(),
            outputs,
        })
    })();
    if std::env::var_os("KEEP").is_none() {
        let _ = std::fs::remove_dir_all(&folder);
    }
    result
}

/// The constants that a crate says it has, less the table of pixels that this firmware does not use.
fn constants(files: &[EmittedFile]) -> usize {
    let text = |path: &str| files.iter().find(|f| f.path == path).map_or("", |f| f.text.as_str());
    let number = |text: &str, head: &str| -> usize {
        let rest = text.split_once(head).map_or("", |(_, rest)| rest);
        rest.split(|c: char| !c.is_ascii_digit()).next().and_then(|n| n.parse().ok()).unwrap_or(0)
    };
    number(text("src/lib.rs"), "CONSTANT_BYTES: usize = ")
        - number(text("src/weights.rs"), "static PIXELS: [i8; ")
}
