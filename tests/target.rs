//! Emitted int8 code on emulated targets: bit-identical to the interpreter, within the memory that
//! was predicted. Needs the tools of `scripts/setup-cross.sh`; a target whose library is not
//! installed is skipped and named.
#![allow(clippy::unwrap_used)]

mod common;

use common::int8::{metadata, mobilenet, quantised, quantised_images};
use common::random_net::random_net;
use hytc::graph::Network;
use hytc::lower::plan;
use hytc::quant::interpret::interpret;
use hytc::target::{measure, BenchError, Board, Measured, BOARDS};

/// Measures and compares; `None` where the tools or the board's memory do not suffice.
fn checked(name: &str, network: &Network, board: &Board, count: usize) -> Option<Measured> {
    let q = quantised(network, 7)?;
    let images = quantised_images(&q, network, count);
    let found = match measure(&q, &plan(q.lowered(), 1), &metadata(name, network), board, &images) {
        Ok(found) => found,
        Err(e @ (BenchError::Missing(..) | BenchError::Fit { .. })) => {
            eprintln!("{name} on {} skipped: {e}", board.name);
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
        let Some(m) = checked("mobilenet", &network, board, 2) else { continue };
        println!(
            "{}: {} instructions, arena {}, flash {}, code {}, stack {}",
            board.name, m.instructions, m.arena_bytes, m.flash_bytes, m.code_bytes, m.stack_bytes
        );
        assert!(m.arena_bytes <= 55_296);
        let sum: u64 = m.layers.iter().map(|l| l.instructions).sum();
        assert!(sum.abs_diff(m.instructions) < m.instructions / 100, "{sum} of {}", m.instructions);
        match board.name {
            "cortex-m4" => assert!(m.instructions <= 45_000_000),
            "cortex-m55" => assert!(m.instructions <= 10_500_000),
            _ => {}
        }
    }
}

/// `HYTC_RANDOM_NETS` says how many random networks.
#[test]
fn random_networks_on_every_target() {
    let count: u64 = std::env::var("HYTC_RANDOM_NETS").ok().and_then(|n| n.parse().ok()).unwrap_or(2);
    for board in &BOARDS {
        for seed in 0..count {
            checked(&format!("random {seed}"), &random_net(seed), board, 2);
        }
    }
}
