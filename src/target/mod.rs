//! Measuring emitted int8 code on emulated targets: exact instructions, flash of the linked image,
//! stack, and the results on real images.
//!
//! A firmware (for AArch64 and Armv7-A a program for Linux) is built around the emitted crate with the
//! compiler of `scripts/setup-cross.sh`, run under QEMU, and fed with images over semihosting (from a
//! file). QEMU counts instructions, not cycles; time is measured on this machine only ([`host`]).

mod board;
mod build;
mod elf;
pub mod host;
pub mod peers;
mod run;

pub use board::{Board, Runs, BOARDS};
pub use build::Toolchain;

use crate::emit::rust::{crate_name, emit_int8, emit_int8_traced, EmittedFile, Metadata};
use crate::lower::ir::Step;
use crate::lower::{Lowered, Plan};
use crate::quant::Quantised;
use board::Runs::Bare;
use elf::Elf;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;

/// Why a measurement fails.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A compiler, linker or emulator is missing.
    #[error(
        "what the target needs is missing: {missing}; `{install}` installs it (Debian, as root), \
         HYTC_CROSS names another folder that has it"
    )]
    Missing {
        /// All that is missing.
        missing: String,
        /// The command that installs it.
        install: String,
    },
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

/// What a linked image holds, and what it computes.
#[derive(Debug, Clone)]
pub struct Image {
    /// The zeroed data of the network: its arena.
    pub arena_bytes: usize,
    /// Code and constants of the network: the image less one without a network.
    pub flash_bytes: usize,
    /// Of these, weights, factors and tables, as the image's symbols say.
    pub constant_bytes: usize,
    /// Of the rest, the list of steps and the constants of its calls, likewise.
    pub call_bytes: usize,
    /// The results, image by image.
    pub outputs: Vec<i8>,
}

/// A network to be built for a board, and a folder for that, which goes with it.
struct Job<'a> {
    tools: Toolchain,
    board: &'static Board,
    name: String,
    folder: Folder,
    network: &'a Quantised,
    plan: &'a Plan,
    metadata: &'a Metadata,
}

impl<'a> Job<'a> {
    fn new(
        network: &'a Quantised,
        plan: &'a Plan,
        metadata: &'a Metadata,
        board: &'static Board,
    ) -> Result<Job<'a>, BenchError> {
        let tools = Toolchain::find(board)?;
        let fits = |what, needs, has| match needs > has {
            true => Err(BenchError::Fit { board: board.about, what, needs, has }),
            false => Ok(()),
        };
        if let Bare { flash, ram, .. } = board.runs {
            // Room for the stack and for code; what is left over is found by the linker.
            fits("RAM", plan.arena_bytes + 4096, ram.1)?;
            fits("flash", network.constant_bytes() + 8192, flash.1)?;
        }
        let name = crate_name(&metadata.name);
        let folder = Folder::new(&format!("{}-{name}", board.name))?;
        Ok(Job { tools, board, name, folder, network, plan, metadata })
    }

    fn build(&self, files: &[EmittedFile], kind: build::Kind) -> Result<PathBuf, BenchError> {
        self.tools.build(&self.folder.0, self.board, files, &self.name, kind)
    }

    /// Bytes of an image without a network.
    fn empty(&self) -> Result<usize, BenchError> {
        static KNOWN: Mutex<BTreeMap<&str, usize>> = Mutex::new(BTreeMap::new());
        let known = || KNOWN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(bytes) = known().get(self.board.name) {
            return Ok(*bytes);
        }
        let file = std::fs::read(self.build(&[], build::Kind::Empty)?)?;
        let bytes = elf(&file)?.loaded_bytes();
        known().insert(self.board.name, bytes);
        Ok(bytes)
    }

    /// The image without measuring, its sizes, and its results on images.
    fn image(&self, images: &[i8]) -> Result<Image, BenchError> {
        let files = emit_int8(self.network, self.plan, self.metadata).map_err(failed)?;
        let path = self.build(&files, build::Kind::Plain)?;
        let file = std::fs::read(&path)?;
        let image = elf(&file)?;
        let weights = format!("{}{}7weights", self.name.len(), self.name);
        let steps = format!("{}{}5steps", self.name.len(), self.name);
        Ok(Image {
            arena_bytes: image.object_bytes(|name| name == "ARENA"),
            flash_bytes: image.loaded_bytes().saturating_sub(self.empty()?),
            constant_bytes: image.object_bytes(|name| name.contains(&weights)),
            call_bytes: image.object_bytes(|name| name.contains(&steps)),
            outputs: run::outputs(&self.folder.0, self.board, &path, images)?,
        })
    }

    fn counted(&self, images: &[i8]) -> Result<run::Counted, BenchError> {
        let files = emit_int8_traced(self.network, self.plan, self.metadata).map_err(failed)?;
        let path = self.build(&files, build::Kind::Traced)?;
        run::counted(&self.tools, &self.folder.0, self.board, &path, images, self.network.steps().len())
    }
}

/// A folder for temporary files. The variable KEEP keeps it.
pub(super) struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Result<Folder, BenchError> {
        use std::sync::atomic::{AtomicUsize, Ordering};
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let (process, n) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(format!("hytc-bench-{process}-{n}-{name}"));
        std::fs::create_dir_all(&folder)?;
        Ok(Folder(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if std::env::var_os("KEEP").is_none() {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

fn failed(found: Vec<crate::diag::Diagnostic>) -> BenchError {
    let lines: Vec<String> = found.into_iter().map(|d| d.message).collect();
    BenchError::Emit(lines.join("\n"))
}

fn elf(file: &[u8]) -> Result<Elf<'_>, BenchError> {
    let said = "it is no little-endian ELF file".to_string();
    Elf::of(file).ok_or(BenchError::Tool { what: "reading the image".into(), said })
}

/// Builds a network for a board and runs it on quantised images, one after the other (at least one).
///
/// # Errors
/// See [`BenchError`].
pub fn image(
    network: &Quantised,
    plan: &Plan,
    metadata: &Metadata,
    board: &'static Board,
    images: &[i8],
) -> Result<Image, BenchError> {
    Job::new(network, plan, metadata, board)?.image(images)
}

/// [`image()`], and in another image the instructions of the first of the images.
///
/// # Errors
/// See [`BenchError`].
pub fn measure(
    network: &Quantised,
    plan: &Plan,
    metadata: &Metadata,
    board: &'static Board,
    images: &[i8],
) -> Result<Measured, BenchError> {
    let job = Job::new(network, plan, metadata, board)?;
    let image = job.image(images)?;
    let counted = job.counted(images)?;
    let lowered = network.lowered();
    let layers = lowered.steps().iter().zip(&counted.layers).map(|(step, &instructions)| Layer {
        name: step.name.clone(),
        kind: kind(lowered, step).into(),
        macs: lowered.step_macs(step),
        instructions,
    });
    Ok(Measured {
        target: board.name,
        instructions: counted.total,
        arena_bytes: image.arena_bytes,
        flash_bytes: image.flash_bytes,
        code_bytes: image.flash_bytes.saturating_sub(image.constant_bytes),
        constant_bytes: image.constant_bytes,
        stack_bytes: counted.stack,
        layers: layers.collect(),
        outputs: image.outputs,
    })
}

/// The name of a step's kernel.
fn kind(lowered: &Lowered, step: &Step) -> &'static str {
    let input = step.inputs.first().copied().unwrap_or(step.output);
    step.kernel.name(lowered.fact(input))
}
