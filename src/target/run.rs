//! Running a firmware under QEMU.

use super::board::Runs;
use super::build::{run, Toolchain};
use super::{BenchError, Board};
use std::path::Path;
use std::process::{Command, Stdio};

/// Seconds after which a run is given up.
const TIMEOUT: &str = "300";

/// What one counted inference took.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) total: u64,
    pub(super) layers: Vec<u64>,
    pub(super) stack: usize,
}

fn qemu(folder: &Path, board: &Board, image: &Path, plugin: Option<&Path>) -> Command {
    let mut command = Command::new("timeout");
    command.arg(TIMEOUT).current_dir(folder).stdin(Stdio::null());
    let plugin: Vec<&std::ffi::OsStr> = match plugin {
        Some(path) => vec!["-plugin".as_ref(), path.as_os_str(), "-d".as_ref(), "plugin".as_ref()],
        None => Vec::new(),
    };
    match board.runs {
        Runs::Bare { machine, .. } => {
            command.args([board.emulator(), "-M", machine, "-nographic"]);
            // Semihosting needs no console, and none may be waited for.
            command.args(["-semihosting-config", "enable=on,target=native"]);
            command.args(["-monitor", "none", "-serial", "none"]);
            if !board.is_arm() {
                command.args(["-bios", "none"]);
            }
            command.args(plugin).arg("-kernel").arg(image);
        }
        Runs::Linux { .. } => {
            command.arg(board.emulator()).args(plugin).arg(image);
        }
    }
    command
}

/// The results of all images.
pub(super) fn outputs(
    folder: &Path,
    board: &Board,
    image: &Path,
    images: &[i8],
) -> Result<Vec<i8>, BenchError> {
    write_images(folder, images)?;
    run(&mut qemu(folder, board, image, None), "running the firmware")?;
    let found = std::fs::read(folder.join("outputs"))?;
    Ok(found.into_iter().map(|b| b as i8).collect())
}

/// One inference, counted in all and step by step.
pub(super) fn counted(
    tools: &Toolchain,
    folder: &Path,
    board: &Board,
    image: &Path,
    images: &[i8],
    steps: usize,
) -> Result<Counted, BenchError> {
    write_images(folder, images)?;
    let said = run(&mut qemu(folder, board, image, Some(&tools.plugin)), "counting instructions")?;
    let said = String::from_utf8_lossy(&said).into_owned();
    let mut regions: Vec<u64> = said
        .lines()
        .filter(|l| l.starts_with("[insn] region"))
        .filter_map(|l| l.split("insns ").nth(1)?.split(' ').next()?.parse().ok())
        .collect();
    // Before it, all in one, between, every step.
    if regions.len() != steps + 3 {
        return Err(BenchError::Tool { what: format!("counting {steps} steps"), said });
    }
    let layers = regions.split_off(3);
    let total = regions.get(1).copied().unwrap_or(0);
    let found = std::fs::read(folder.join("outputs"))?;
    let stack = found.first_chunk::<4>().map_or(0, |b| u32::from_le_bytes(*b) as usize);
    Ok(Counted { total, layers, stack })
}

pub(super) fn write_images(folder: &Path, images: &[i8]) -> Result<(), BenchError> {
    let bytes: Vec<u8> = images.iter().map(|&q| q as u8).collect();
    std::fs::write(folder.join("images"), bytes)?;
    let _ = std::fs::remove_file(folder.join("outputs"));
    Ok(())
}
