//! Compiling a firmware.

use super::{BenchError, Board};
use crate::emit::rust::EmittedFile;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The compilers and the counting plugin of `scripts/setup-cross.sh`.
#[derive(Debug)]
pub struct Toolchain {
    rustc: PathBuf,
    linker: PathBuf,
    pub(super) plugin: PathBuf,
}

/// What a firmware does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing: its size is what is not the network's.
    Empty,
    /// All images.
    Plain,
    /// One image, counted.
    Traced,
}

const FIRMWARE: &str = include_str!("firmware.rs.txt");

impl Toolchain {
    /// The tools for a board, below `HYTC_CROSS` or `/opt/hyt-cross`.
    ///
    /// # Errors
    /// What is missing.
    pub fn find(board: &Board) -> Result<Toolchain, BenchError> {
        let prefix = std::env::var_os("HYTC_CROSS").map_or("/opt/hyt-cross".into(), PathBuf::from);
        let tools = Toolchain {
            rustc: prefix.join("tc/bin/rustc"),
            linker: prefix.join("tc/bin/rust-lld"),
            plugin: prefix.join("libinsncount.so"),
        };
        let library = prefix.join("root/usr/lib/rustlib").join(board.triple).join("lib");
        for path in [&tools.rustc, &tools.linker, &tools.plugin, &library] {
            if !path.exists() {
                return Err(BenchError::Missing(path.display().to_string(), board.triple.into()));
            }
        }
        Ok(tools)
    }

    /// Builds a firmware around an emitted crate; gives the image.
    pub(super) fn build(
        &self,
        folder: &Path,
        board: &Board,
        files: &[EmittedFile],
        name: &str,
        kind: Kind,
    ) -> Result<PathBuf, BenchError> {
        let word = match kind {
            Kind::Empty => "empty",
            Kind::Plain => "plain",
            Kind::Traced => "traced",
        };
        let folder = folder.join(word);
        for f in files {
            let path = folder.join(&f.path);
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent)?;
            }
            std::fs::write(path, &f.text)?;
        }
        let (script, main) = (folder.join("link.x"), folder.join("firmware.rs"));
        std::fs::write(&script, board.link_script())?;
        std::fs::write(&main, FIRMWARE.replace("{model}", name))?;
        let library = folder.join(format!("lib{name}.rlib"));
        let rustc = || {
            let mut command = Command::new(&self.rustc);
            command.args(["--edition=2021", "-Copt-level=3", "-Cpanic=abort", "--target", board.triple]);
            if let Some(cpu) = board.cpu {
                command.arg(format!("-Ctarget-cpu={cpu}"));
            }
            command
        };
        if kind != Kind::Empty {
            let mut command = rustc();
            command.args(["--crate-type=rlib", "--crate-name", name, "-o"]).arg(&library);
            run(command.arg(folder.join("src/lib.rs")), "compiling the network")?;
        }
        let image = folder.join("firmware");
        let mut command = rustc();
        command.args(["-Clto=fat", "-Ccodegen-units=1", "--crate-name=firmware"]);
        command.arg(format!("-Clinker={}", self.linker.display()));
        command.arg(format!("-Clink-arg=-T{}", script.display()));
        command.arg("--cfg").arg(format!("kind=\"{word}\""));
        if board.fpu {
            command.args(["--cfg", "fpu"]);
        }
        if kind != Kind::Empty {
            command.arg("--extern").arg(format!("{name}={}", library.display()));
        }
        run(command.arg("-o").arg(&image).arg(main), "linking the firmware")?;
        Ok(image)
    }
}

/// Runs a tool; its standard error if it fails.
pub(super) fn run(command: &mut Command, what: &str) -> Result<Vec<u8>, BenchError> {
    let failed = |said: String| BenchError::Tool { what: what.into(), said };
    let out = command.output().map_err(|e| failed(format!("{}: {e}", command.get_program().display())))?;
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    if out.status.success() {
        Ok(out.stderr)
    } else {
        Err(failed(format!("{}: {said}", out.status)))
    }
}
