//! The emulated targets.

/// An emulated target.
#[derive(Debug, Clone, Copy)]
pub struct Board {
    /// `cortex-m4`
    pub name: &'static str,
    /// For people: the core and what runs it.
    pub about: &'static str,
    /// Rust's target.
    pub triple: &'static str,
    /// `-C target-cpu`, where the target's default is another.
    pub cpu: Option<&'static str>,
    /// What runs the code.
    pub runs: Runs,
}

/// What runs the code of a target.
#[derive(Debug, Clone, Copy)]
pub enum Runs {
    /// QEMU's emulation of a board; no operating system.
    Bare {
        /// QEMU's machine.
        machine: &'static str,
        /// Where code lies, and how much of it there is.
        flash: (usize, usize),
        /// Where data lie.
        ram: (usize, usize),
        /// Whether floating point must be switched on.
        fpu: bool,
    },
    /// QEMU's user mode: a statically linked program for Linux.
    Linux {
        /// QEMU's program.
        emulator: &'static str,
        /// Debian's linker.
        linker: &'static str,
    },
}

const MIB: usize = 1 << 20;

/// All of them. The Cortex-M0 is its code on an emulated Cortex-M3: the instructions executed are the
/// same, and QEMU's own M0 has 16 KiB of RAM.
pub const BOARDS: [Board; 7] = [
    Board {
        name: "cortex-m0",
        about: "Cortex-M0 (Armv6-M code on mps2-an385)",
        triple: "thumbv6m-none-eabi",
        cpu: None,
        runs: Runs::Bare {
            machine: "mps2-an385",
            flash: (0, 4 * MIB),
            ram: (0x2000_0000, 4 * MIB),
            fpu: false,
        },
    },
    Board {
        name: "cortex-m4",
        about: "Cortex-M4F (mps2-an386)",
        triple: "thumbv7em-none-eabihf",
        cpu: None,
        runs: Runs::Bare {
            machine: "mps2-an386",
            flash: (0, 4 * MIB),
            ram: (0x2000_0000, 4 * MIB),
            fpu: true,
        },
    },
    Board {
        name: "cortex-m7",
        about: "Cortex-M7F (mps2-an500)",
        triple: "thumbv7em-none-eabihf",
        cpu: Some("cortex-m7"),
        runs: Runs::Bare {
            machine: "mps2-an500",
            flash: (0, 4 * MIB),
            ram: (0x2000_0000, 4 * MIB),
            fpu: true,
        },
    },
    Board {
        name: "cortex-m55",
        about: "Cortex-M55 with MVE (mps3-an547)",
        triple: "thumbv8m.main-none-eabihf",
        cpu: Some("cortex-m55"),
        runs: Runs::Bare {
            machine: "mps3-an547",
            flash: (0, MIB / 2),
            ram: (0x2000_0000, MIB / 2),
            fpu: true,
        },
    },
    Board {
        name: "riscv32",
        about: "RV32IMAC (virt)",
        triple: "riscv32imac-unknown-none-elf",
        cpu: None,
        runs: Runs::Bare {
            machine: "virt",
            flash: (0x8000_0000, 4 * MIB),
            ram: (0x8040_0000, 4 * MIB),
            fpu: false,
        },
    },
    Board {
        name: "aarch64",
        about: "AArch64 (Linux program, qemu-aarch64)",
        triple: "aarch64-unknown-linux-gnu",
        cpu: None,
        runs: Runs::Linux { emulator: "qemu-aarch64", linker: "aarch64-linux-gnu-gcc" },
    },
    Board {
        name: "armv7",
        about: "Armv7-A (Linux program, qemu-arm)",
        triple: "armv7-unknown-linux-gnueabihf",
        cpu: None,
        runs: Runs::Linux { emulator: "qemu-arm", linker: "arm-linux-gnueabihf-gcc" },
    },
];

impl Board {
    /// The board of this name.
    pub fn named(name: &str) -> Option<&'static Board> {
        BOARDS.iter().find(|b| b.name == name)
    }

    /// QEMU's program.
    pub(super) fn emulator(&self) -> &'static str {
        match self.runs {
            Runs::Bare { .. } if self.is_arm() => "qemu-system-arm",
            Runs::Bare { .. } => "qemu-system-riscv32",
            Runs::Linux { emulator, .. } => emulator,
        }
    }

    pub(super) fn is_arm(&self) -> bool {
        self.triple.starts_with("thumb")
    }
}

/// The linker script of a board without an operating system: code, then zeroed data, then the stack from
/// the top.
pub(super) fn link_script(flash: (usize, usize), ram: (usize, usize)) -> String {
    let ((flash, flash_len), (ram, ram_len)) = (flash, ram);
    format!(
        "MEMORY {{ FLASH : ORIGIN = {flash:#x}, LENGTH = {flash_len}  RAM : ORIGIN = {ram:#x}, LENGTH = {ram_len} }}\n\
         ENTRY(reset)\n\
         SECTIONS {{\n\
         .vectors : {{ KEEP(*(.vectors)) }} > FLASH\n\
         .text : {{ *(.text.reset) *(.text .text.*) }} > FLASH\n\
         .rodata : {{ *(.rodata .rodata.*) *(.data .data.* .sdata .sdata.*) }} > FLASH\n\
         .bss (NOLOAD) : {{ *(.bss .bss.* .sbss .sbss.*) . = ALIGN(16); stack_low = .; }} > RAM\n\
         stack_high = ORIGIN(RAM) + LENGTH(RAM);\n\
         /DISCARD/ : {{ *(.ARM.exidx* .ARM.extab* .eh_frame*) }}\n\
         }}\n"
    )
}
