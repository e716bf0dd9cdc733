//! Emitted int8 code on emulated targets: bit-identical to the interpreter, within the memory that
//! was predicted; and compiled for every target that is promised. Needs the tools of
//! `scripts/setup-cross.sh`: a target whose library is not installed fails its test.
#![allow(clippy::unwrap_used)]

mod common;

use common::compile::write;
use common::int8::{convolutions, count, hybrid, metadata, mobilenet, points, quantised, quantised_images};
use common::net::Net;
use common::random_net::random_net;
use hytc::emit::rust::emit_int8;
use hytc::graph::{Network, Op};
use hytc::lower::plan;
use hytc::quant::interpret::interpret;
use hytc::target::{measure, BenchError, Board, Measured, Toolchain, BOARDS};
use std::process::Command;

/// Measures and compares; `None` where no scale holds the network or the board's memory does not suffice.
fn checked(name: &str, network: &Network, board: &'static Board, count: usize) -> Option<Measured> {
    let q = quantised(network, 7)?;
    let images = quantised_images(&q, network, count);
    let found = match measure(&q, &plan(q.lowered(), 1), &metadata(name, network), board, &images) {
        Ok(found) => found,
        Err(e @ BenchError::Fit { .. }) => {
            eprintln!("{name} on {}: {e}", board.name);
            return None;
        }
        Err(e) => panic!("{name} on {}: {e}", board.name),
    };
    let each = images.chunks(network.input_fact().elements());
    let wanted: Vec<i8> = each.flat_map(|image| interpret(&q, image)).collect();
    assert!(found.outputs == wanted, "{name} on {}\n{:?}\n{wanted:?}", board.name, found.outputs);
    Some(found)
}

#[test]
fn mobilenet_on_every_target() {
    let network = mobilenet();
    for board in &BOARDS {
        let m = checked("mobilenet", &network, board, 2).unwrap();
        println!(
            "{}: {} instructions, arena {}, flash {}, code {}, stack {}",
            board.name, m.instructions, m.arena_bytes, m.flash_bytes, m.code_bytes, m.stack_bytes
        );
        assert_eq!(m.arena_bytes, 55_296);
        let sum: u64 = m.layers.iter().map(|l| l.instructions).sum();
        assert!(sum.abs_diff(m.instructions) < m.instructions / 100, "{sum} of {}", m.instructions);
        match board.name {
            "cortex-m4" => assert!(m.instructions <= 45_000_000),
            "cortex-m55" => assert!(m.instructions <= 10_000_000),
            _ => {}
        }
    }
}

/// Random networks and points of the specs, with random weights. The arena is the predicted one by
/// construction; the constants of the linked image are the predicted ones to the byte.
#[test]
fn random_networks_and_points_on_every_target() {
    let mut all: Vec<(String, Network)> =
        (0..count(2)).map(|seed| (format!("random {seed}"), random_net(seed))).collect();
    all.extend(points("fashion", count(2)));
    all.extend(points("hytnas", count(2) / 2));
    let mut measured = 0;
    for (i, (name, network)) in all.iter().enumerate() {
        // Each on one board, in turn, where there are many; on all where there are few.
        let boards =
            BOARDS.iter().enumerate().filter(|(b, _)| all.len() < 10 || b % BOARDS.len() == i % BOARDS.len());
        for (_, board) in boards {
            measured += usize::from(checked(name, network, board, 2).is_some());
        }
    }
    println!("{measured} measured");
    assert!(measured > 0);
}

/// A network that leaves nothing to compute: its steps take next to no instructions.
#[test]
fn a_network_without_a_step() {
    let (mut n, x) = Net::new(3, 1, 1);
    let x = n.op(Op::Flatten, &[x]);
    let network = n.finish(x);
    for board in &BOARDS {
        let m = checked("nothing", &network, board, 2).unwrap();
        assert!(m.layers.iter().all(|l| l.instructions < 100), "{}: {m:?}", board.name);
    }
}

/// The crates that no board runs too: WebAssembly, and the machine of these tests.
const TRIPLES: [&str; 8] = [
    "thumbv6m-none-eabi",
    "thumbv7em-none-eabihf",
    "thumbv8m.main-none-eabihf",
    "riscv32imac-unknown-none-elf",
    "wasm32-unknown-unknown",
    "aarch64-unknown-linux-gnu",
    "armv7-unknown-linux-gnueabihf",
    "x86_64-unknown-linux-gnu",
];

/// Attention and convolutions of every kind, compiled without a word for every target.
#[test]
fn crates_compile_for_every_target() {
    let prefix = Toolchain::prefix();
    let folder = tempfile::tempdir().unwrap();
    for (name, network) in [("attention", hybrid()), ("convolution", convolutions())] {
        let q = quantised(&network, 7).unwrap();
        let folder = folder.path().join(name);
        write(&folder, &emit_int8(&q, &plan(q.lowered(), 1), &metadata(name, &network)).unwrap());
        for triple in TRIPLES {
            let library = prefix.join("root/usr/lib/rustlib").join(triple).join("lib");
            let there = library.exists();
            assert!(
                there,
                "{triple}: run `scripts/setup-cross.sh PREFIX {triple}`, set HYTC_CROSS to its PREFIX"
            );
            let out = Command::new(prefix.join("tc/bin/rustc"))
                .args(["--edition=2021", "-Copt-level=3", "-Dwarnings", "--crate-type=rlib"])
                .args(["--target", triple, "--crate-name", name, "-o"])
                .arg(folder.join(format!("{triple}.rlib")))
                .arg(folder.join("src/lib.rs"))
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&out.stderr);
            assert!(out.status.success() && said.is_empty(), "{name} for {triple}:\n{said}");
        }
    }
}
