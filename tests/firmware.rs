//! The emitted float crate of the example's locked network, linked into an image for the board that its
//! spec names: the linker refuses what does not fit the board's flash and RAM.
//!
//! Needs the compiler of `scripts/setup-cross.sh`, below `HYTC_CROSS` or `/opt/hyt-cross`.

use hytc::check::spec::Metric;
use hytc::project::{LockState, Project};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const TRIPLE: &str = "thumbv7em-none-eabihf";

/// What a program on the device does at least: pixels come from outside, the scores go outside.
const FIRMWARE: &str = r#"
#![no_std]
#![no_main]
use core::arch::global_asm;
use core::ptr::{addr_of_mut, read_volatile, write_volatile};

global_asm!(".section .vectors, \"a\"", ".word stack_high", ".word reset");

static mut ARENA: fashion::Arena = fashion::Arena::new();
static mut PIXELS: [u8; fashion::INPUT_LEN] = [0; fashion::INPUT_LEN];
static mut SCORES: [f32; fashion::OUTPUT_LEN] = [0.0; fashion::OUTPUT_LEN];

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}

#[no_mangle]
unsafe extern "C" fn reset() -> ! {
    // The floating point unit is off after a reset (Armv7-M Architecture Reference Manual, B3.2.20).
    let coprocessors = 0xE000_ED88 as *mut u32;
    write_volatile(coprocessors, read_volatile(coprocessors) | 0xF << 20);
    loop {
        let arena = &mut *addr_of_mut!(ARENA);
        let pixels = read_volatile(addr_of_mut!(PIXELS));
        arena.set_pixels(&pixels);
        write_volatile(addr_of_mut!(SCORES), fashion::run(arena));
    }
}
"#;

/// The memory of an STM32: code, then zeroed data, then room for the stack.
fn link_script(flash: u64, ram: u64) -> String {
    format!(
        "MEMORY {{ FLASH : ORIGIN = 0x08000000, LENGTH = {flash}  RAM : ORIGIN = 0x20000000, LENGTH = {ram} }}\n\
         ENTRY(reset)\n\
         SECTIONS {{\n\
         .vectors : {{ KEEP(*(.vectors)) }} > FLASH\n\
         .text : {{ *(.text .text.*) }} > FLASH\n\
         .rodata : {{ *(.rodata .rodata.*) *(.data .data.*) }} > FLASH\n\
         flash_end = .;\n\
         .bss (NOLOAD) : {{ *(.bss .bss.*) }} > RAM\n\
         .stack (NOLOAD) : {{ . = ALIGN(8); . += 8K; }} > RAM\n\
         stack_high = ORIGIN(RAM) + LENGTH(RAM);\n\
         /DISCARD/ : {{ *(.ARM.exidx* .ARM.extab* .eh_frame*) }}\n\
         }}\n"
    )
}

struct Tools {
    rustc: PathBuf,
    linker: PathBuf,
}

impl Tools {
    fn find() -> Tools {
        let prefix = hytc::target::Toolchain::prefix();
        let library = prefix.join("root/usr/lib/rustlib").join(TRIPLE).join("lib");
        assert!(
            library.exists(),
            "run `scripts/setup-cross.sh PREFIX {TRIPLE}` and set HYTC_CROSS to its PREFIX"
        );
        Tools { rustc: prefix.join("tc/bin/rustc"), linker: prefix.join("tc/bin/rust-lld") }
    }

    fn compile(&self, arguments: &mut dyn FnMut(&mut Command)) -> Output {
        let mut command = Command::new(&self.rustc);
        command.args(["--edition=2021", "-Copt-level=3", "-Cpanic=abort", "--target", TRIPLE]);
        arguments(&mut command);
        command.output().unwrap_or_else(|e| panic!("{}: {e}", self.rustc.display()))
    }

    /// Links the image into this much memory.
    fn link(&self, folder: &Path, flash: u64, ram: u64) -> Result<PathBuf, String> {
        let (script, main) = (folder.join("link.x"), folder.join("firmware.rs"));
        let image = folder.join("firmware.elf");
        std::fs::write(&script, link_script(flash, ram)).unwrap();
        std::fs::write(&main, FIRMWARE).unwrap();
        let out = self.compile(&mut |c| {
            c.args(["-Clto=fat", "-Ccodegen-units=1"]);
            c.arg(format!("-Clinker={}", self.linker.display()));
            c.arg(format!("-Clink-arg=-T{}", script.display()));
            c.arg("--extern").arg(format!("fashion={}", folder.join("libfashion.rlib").display()));
            c.arg("-o").arg(&image).arg(&main);
        });
        match out.status.success() {
            true => Ok(image),
            false => Err(String::from_utf8_lossy(&out.stderr).into_owned()),
        }
    }
}

/// Bytes in flash: the segments of a 32-bit little-endian ELF file that are loaded from it.
fn flash_bytes(image: &Path) -> u64 {
    let file = std::fs::read(image).unwrap();
    let half = |at: usize| u64::from(u16::from_le_bytes(file[at..at + 2].try_into().unwrap()));
    let word = |at: usize| u64::from(u32::from_le_bytes(file[at..at + 4].try_into().unwrap()));
    assert_eq!(&file[..5], b"\x7fELF\x01");
    // e_phoff, e_phentsize, e_phnum; p_type, p_filesz (System V ABI, "Program Header").
    let headers = (0..half(44)).map(|i| (word(28) + i * half(42)) as usize);
    headers.filter(|&at| word(at) == 1).map(|at| word(at + 16)).sum()
}

#[test]
fn the_locked_network_fits_the_flash_of_its_board() {
    let tools = Tools::find();
    let spec = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/classify/fashion.hyt");
    let project = Project::open(&spec).unwrap();
    let LockState::Current(lock) = project.lock(None).unwrap() else { panic!("the example's lock is stale") };
    let design = project.locked_design(&lock).unwrap();
    let weights = project.locked_weights(&lock, &design).unwrap();
    let bound = project.bind(&design, &weights).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for file in project.crate_files(&design, &bound).unwrap() {
        hytc::project::write_atomic(&folder.path().join(&file.path), file.text.as_bytes()).unwrap();
    }
    let built = tools.compile(&mut |c| {
        c.args(["--crate-type=rlib", "--crate-name=fashion", "-o"]);
        c.arg(folder.path().join("libfashion.rlib")).arg(folder.path().join("src/lib.rs"));
    });
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));

    let board = &project.profiles[0];
    let image = tools.link(folder.path(), board.flash(), board.ram()).unwrap();
    let took = flash_bytes(&image);
    let predicted = lock.chosen.metrics.flash_bytes;
    println!("{took} bytes of {} in the board's flash; {predicted} were predicted", board.flash());
    // The weights are in it, and what the spec asks for holds of the image too.
    assert!(took > 4 * lock.chosen.metrics.params && took <= board.flash());
    let required = project.checked.spec.goal.requirements.iter().find(|r| r.measure.metric == Metric::Flash);
    assert!(took as f64 <= required.unwrap().limit, "{took} bytes");
    let off = took as f64 / predicted as f64 - 1.0;
    assert!(off.abs() <= 0.03, "the prediction of {predicted} bytes is off by {off:.4}");

    // The linker is the judge: with a KiB less than that, or less RAM than the arena, it refuses.
    let said = tools.link(folder.path(), took - 1024, board.ram()).unwrap_err();
    assert!(said.contains("FLASH"), "{said}");
    let said = tools.link(folder.path(), board.flash(), lock.chosen.metrics.ram_bytes).unwrap_err();
    assert!(said.contains("RAM"), "{said}");
}
