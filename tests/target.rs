//! Emitted int8 code on emulated targets: bit-identical to the interpreter, within the memory that
//! was predicted. Needs the tools of `scripts/setup-cross.sh`; a target whose library is not
//! installed is skipped and named.
#![allow(clippy::unwrap_used)]

mod common;

use common::int8::{count, metadata, mobilenet, points, quantised, quantised_images};
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
