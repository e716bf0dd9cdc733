//! Compiling a firmware, or a program for Linux, around an emitted crate.

use super::board::{link_script, Runs};
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

/// Whether a path exists; a name alone is looked for in the search path, as the system does.
fn is_there(program: &Path) -> bool {
    let search = std::env::var_os("PATH").unwrap_or_default();
    match program.components().count() {
        1 => std::env::split_paths(&search).any(|folder| folder.join(program).is_file()),
        _ => program.exists(),
    }
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
    /// All images, then one again and again, timed.
    Timed,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Empty => "empty",
            Kind::Plain => "plain",
            Kind::Traced => "traced",
            Kind::Timed => "timed",
        }
    }
}

const FIRMWARE: &str = include_str!("firmware.rs.txt");
const PROGRAM: &str = include_str!("program.rs.txt");
const NETWORK: &str = include_str!("empty.rs.txt");

impl Toolchain {
    /// The tools for a board, below `HYTC_CROSS` or `/opt/hyt-cross`.
    ///
    /// # Errors
    /// What is missing.
    pub fn find(board: &Board) -> Result<Toolchain, BenchError> {
        let prefix = Toolchain::prefix();
        let tools = Toolchain {
            rustc: prefix.join("tc/bin/rustc"),
            linker: match board.runs {
                Runs::Bare { .. } => prefix.join("tc/bin/rust-lld"),
                // Debian's, in the search path.
                Runs::Linux { linker, .. } => linker.into(),
            },
            plugin: prefix.join("libinsncount.so"),
        };
        let library = prefix.join("root/usr/lib/rustlib").join(board.triple).join("lib");
        let needed = [&tools.rustc, &tools.linker, &tools.plugin, &library, Path::new(board.emulator())];
        let missing: Vec<String> =
            needed.iter().filter(|p| !is_there(p)).map(|p| format!("`{}`", p.display())).collect();
        if missing.is_empty() {
            return Ok(tools);
        }
        let install = format!("scripts/setup-cross.sh {} {}", prefix.display(), board.triple);
        Err(BenchError::Missing { missing: missing.join(", "), install })
    }

    /// Where `scripts/setup-cross.sh` has put them: `HYTC_CROSS`, or `/opt/hyt-cross` where that is not
    /// set, or to nothing.
    pub fn prefix() -> PathBuf {
        let own = std::env::var_os("HYTC_CROSS").filter(|p| !p.is_empty());
        own.map_or("/opt/hyt-cross".into(), PathBuf::from)
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
        let mut compiler =
            Compiler { rustc: self.rustc.clone(), whole: false, both: Vec::new(), program: Vec::new() };
        compiler.both.extend(["-Cpanic=abort".into(), format!("--target={}", board.triple)]);
        compiler.both.extend(board.cpu.map(|cpu| format!("-Ctarget-cpu={cpu}")));
        compiler.program.push(format!("-Clinker={}", self.linker.display()));
        compiler.whole = matches!(board.runs, Runs::Bare { .. });
        let main = match board.runs {
            Runs::Bare { flash, ram, fpu, .. } => {
                let script = folder.join("link.x");
                std::fs::write(&script, link_script(flash, ram))?;
                compiler.program.push(format!("-Clink-arg=-T{}", script.display()));
                compiler.program.extend(fpu.then(|| "--cfg=fpu".to_string()));
                FIRMWARE
            }
            Runs::Linux { .. } => {
                compiler.program.push("-Ctarget-feature=+crt-static".into());
                PROGRAM
            }
        };
        compiler.build(folder, main, files, name, kind)
    }
}

/// A compiler with its options.
pub(super) struct Compiler {
    rustc: PathBuf,
    /// Whether everything is optimised together (LTO), as firmware is. Programs for Linux are linked with
    /// std as it is.
    whole: bool,
    /// For the network and for the program.
    both: Vec<String>,
    /// For the program.
    program: Vec<String>,
}

impl Compiler {
    /// A compiler for this machine, with the options `both`; numbers of the network are of this type.
    pub(super) fn native(both: Vec<String>, number: &str) -> Compiler {
        let rustc = std::env::var_os("RUSTC").filter(|p| !p.is_empty()).map_or("rustc".into(), PathBuf::from);
        Compiler { rustc, whole: false, both, program: vec![format!("--cfg=number=\"{number}\"")] }
    }

    /// Builds a program for Linux around an emitted crate; gives the image.
    pub(super) fn program(
        &self,
        folder: &Path,
        files: &[EmittedFile],
        name: &str,
        kind: Kind,
    ) -> Result<PathBuf, BenchError> {
        self.build(folder, PROGRAM, files, name, kind)
    }

    fn build(
        &self,
        folder: &Path,
        main: &str,
        files: &[EmittedFile],
        name: &str,
        kind: Kind,
    ) -> Result<PathBuf, BenchError> {
        let folder = folder.join(kind.word());
        std::fs::create_dir_all(&folder)?;
        for f in files {
            let path = folder.join(&f.path);
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent)?;
            }
            std::fs::write(path, &f.text)?;
        }
        let source = folder.join("firmware.rs");
        std::fs::write(&source, main.replace("{network}", NETWORK).replace("{model}", name))?;
        let library = folder.join(format!("lib{name}.rlib"));
        let rustc = || {
            let mut command = Command::new(&self.rustc);
            command.args(["--edition=2021", "-Copt-level=3", "-Ccodegen-units=1"]).args(&self.both);
            command
        };
        if kind != Kind::Empty {
            let mut command = rustc();
            command.args(["--crate-type=rlib", "--crate-name", name]);
            // With LTO bitcode only, of which code is made when everything is linked: what Cargo does with
            // `lto = "fat"`. Its profile `release` has these sixteen units too.
            let units = ["-Clinker-plugin-lto", "-Ccodegen-units=16"];
            command.args(if self.whole { &units[..] } else { &["-Ccodegen-units=1"] });
            run(command.arg("-o").arg(&library).arg(folder.join("src/lib.rs")), "compiling the network")?;
        }
        let image = folder.join("firmware");
        let mut command = rustc();
        command.args(["--crate-name=firmware", "-Ccodegen-units=1"]).args(&self.program);
        command.args(self.whole.then_some("-Clto=fat"));
        command.arg("--cfg").arg(format!("kind=\"{}\"", kind.word()));
        if kind != Kind::Empty {
            command.arg("--extern").arg(format!("{name}={}", library.display()));
        }
        run(command.arg("-o").arg(&image).arg(source), "linking the firmware")?;
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
