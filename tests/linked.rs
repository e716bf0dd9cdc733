//! What `hytc cost` says of networks in int8 is what linked images hold: random points of real spaces with
//! random weights are emitted, linked into a firmware for the emulated Cortex-M4, and run. The arena, the
//! constants and the list of calls are the predicted ones to the byte, flash is within 3 %, the results are
//! the interpreter's. Random networks of all operators likewise, flash within 10 %.
//!
//! A few points run by default. The figures of docs/performance.md:
//!
//! ```text
//! HYTC_POINTS_FASHION=150 HYTC_POINTS_HYTNAS=150 cargo test --release --test linked -- --nocapture
//! ```
//!
//! `HYTC_TARGET` names another target, `HYTC_SEED` other points. With `HYTC_CODE_CSV=FILE` the sizes of code
//! are written down instead of judged; `scripts/measure-kernels/code.py` makes `src/cost/kernels.rs` of them.
//! Needs the tools of `scripts/setup-cross.sh`.
#![allow(clippy::unwrap_used)]

mod common;

use common::int8::{metadata, quantised, quantised_images};
use common::net::images;
use common::random_net::random_net;
use hytc::check::spec::Precision;
use hytc::cost::{call_bytes, calls, cost, Cost};
use hytc::device::Profile;
use hytc::emit::rust::{emit_int8, Metadata};
use hytc::graph::Network;
use hytc::lower::{lower, plan};
use hytc::project::Project;
use hytc::quant::interpret::interpret;
use hytc::quant::{calibrate, quantise, Quantised, QuantisedOp};
use hytc::space::SearchSpace;
use hytc::target::{image, BenchError, Board};
use hytc::weights::Weights;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::io::Write;
use std::path::Path;

/// Images of a point.
const IMAGES: usize = 2;
/// Of flash, relative to the linked image's.
const TOLERANCE: f64 = 0.03;
/// The same for random networks, small ones with sets of kernels that nobody draws: what is shared within such
/// a set is guessed.
const RANDOM_TOLERANCE: f64 = 0.10;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable)
        .map_or(default, |n| n.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

/// A network to link.
struct Sample {
    told: String,
    network: Network,
    quantised: Quantised,
    metadata: Metadata,
}

/// Random points of a spec.
fn points(spec: &'static str, count: u64, seed: u64) -> impl Iterator<Item = Sample> {
    let project = Project::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join(spec)).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(number("HYTC_SEED", seed));
    (0..count).map(move |i| {
        let point = project.checked.space.sample(&mut rng);
        let told = format!("{spec}, point {i}: {:?}", project.checked.space.describe(&point));
        let design = project.design(&point).unwrap();
        let weights = Weights::random(&design.network, seed + i);
        let bound = project.bind_int8(&design, &weights).unwrap();
        let calibration = calibrate(&bound, &images(design.network.input_fact(), 4, i)).unwrap();
        let quantised = quantise(&bound, &calibration, project.pixel_scale().unwrap()).unwrap();
        Sample { told, network: design.network, quantised, metadata: project.crate_metadata(Precision::Int8) }
    })
}

/// Random networks of all operators.
fn random(count: u64, seed: u64) -> impl Iterator<Item = Sample> {
    let first = 1000 * number("HYTC_SEED", seed);
    (first..first + count).filter_map(|seed| {
        let network = random_net(seed);
        let quantised = quantised(&network, 7)?;
        let (told, metadata) = (format!("random network {seed}"), metadata("random", &network));
        Some(Sample { told, network, quantised, metadata })
    })
}

fn predicted(network: &Network, board: &Board) -> Cost {
    let device = Profile { core: board.name.into(), ..Profile::builtin("stm32f446").unwrap() };
    let lowered = lower(network);
    cost(&lowered, &plan(&lowered, 1), &[device], Precision::Int8)
}

/// Inputs of concatenations that have the scale of the result, and so no table.
fn tables_less(q: &Quantised) -> u64 {
    let inputs = q.steps().iter().filter_map(|s| match &s.op {
        QuantisedOp::Concat(tables) => Some(tables.iter().filter(|t| t.is_none()).count() as u64),
        _ => None,
    });
    inputs.sum()
}

fn linked(what: &str, tolerance: f64, samples: impl Iterator<Item = Sample>) {
    let name = std::env::var("HYTC_TARGET").unwrap_or_else(|_| "cortex-m4".into());
    let board = Board::named(&name).unwrap_or_else(|| panic!("there is no target {name}"));
    let csv = std::env::var_os("HYTC_CODE_CSV");
    let (mut count, mut too_large, mut less, mut worst) = (0, 0, 0, 0.0f64);
    let (mut smallest, mut largest) = ([usize::MAX; 2], [0; 2]);
    let begun = std::time::Instant::now();
    for Sample { told, network, quantised, metadata } in samples {
        let predicted = predicted(&network, board);
        let inputs = quantised_images(&quantised, &network, IMAGES);
        // Random weights leave no channel constant, so that this is the plan that was costed.
        let places = plan(quantised.lowered(), 1);
        let found = match image(&quantised, &places, &metadata, board, &inputs) {
            Ok(found) => found,
            Err(e @ BenchError::Fit { .. }) => {
                println!("{told}: {e}");
                too_large += 1;
                continue;
            }
            Err(e) => panic!("{told}: {e}"),
        };
        let each = inputs.chunks(network.input_fact().elements());
        let wanted: Vec<i8> = each.flat_map(|image| interpret(&quantised, image)).collect();
        assert!(found.outputs == wanted, "{told}\n{:?}\n{wanted:?}", found.outputs);
        assert_eq!(found.arena_bytes as u64, predicted.ram_bytes, "{told}: RAM");

        // The list of steps is made of the calls that were costed.
        let calls = calls(quantised.lowered(), &places);
        let files = emit_int8(&quantised, &places, &metadata).unwrap();
        let steps = &files.iter().find(|f| f.path == "src/steps.rs").unwrap().text;
        assert_eq!(steps.matches(" Step::new(").count(), calls.values().sum::<usize>(), "{told}: calls");
        let pointer = if board.triple.starts_with("aarch64") { 8 } else { 4 };
        assert_eq!(found.call_bytes, call_bytes(&calls, &places, pointer), "{told}: calls in flash");
        // A table for each input of a concatenation is predicted; calibration tells which need none.
        let constants = predicted.weight_bytes - 256 * tables_less(&quantised);
        assert_eq!(found.constant_bytes as u64, constants, "{told}: constants");
        less += u32::from(constants < predicted.weight_bytes);

        count += 1;
        if let Some(csv) = &csv {
            let mut file = std::fs::OpenOptions::new().append(true).create(true).open(csv).unwrap();
            let calls: Vec<String> = calls.iter().map(|(name, n)| format!("{name}:{n}")).collect();
            let code = found.flash_bytes - found.constant_bytes - found.call_bytes;
            writeln!(file, "{name},{what},{code},{}", calls.join(" ")).unwrap();
            continue;
        }
        let error = predicted.flash_bytes as f64 / found.flash_bytes as f64 - 1.0;
        let sizes = [predicted.flash_bytes as usize, found.flash_bytes];
        assert!(error.abs() <= tolerance, "{told}: flash {sizes:?} (predicted, linked): {error:+.4}");
        worst = if error.abs() > worst.abs() { error } else { worst };
        let sizes = [found.arena_bytes, found.flash_bytes];
        smallest = [0, 1].map(|i| smallest[i].min(sizes[i]));
        largest = [0, 1].map(|i| largest[i].max(sizes[i]));
    }
    if csv.is_some() {
        println!("{what} on {name}: {count} networks, {too_large} too large; written down, not judged");
        return;
    }
    println!(
        "{what} on {name}: {count} networks, {too_large} too large; arenas of {} to {} bytes, flash of {} to {}; \
         results, RAM and constants exact ({less} need fewer tables to concatenate than predicted), \
         largest error of flash {:+.2} %; {} s",
        smallest[0],
        largest[0],
        smallest[1],
        largest[1],
        100.0 * worst,
        begun.elapsed().as_secs()
    );
}

#[test]
fn points_of_fashion_are_as_predicted() {
    linked("fashion", TOLERANCE, points("specs/fashion.hyt", number("HYTC_POINTS_FASHION", 4), 101));
}

#[test]
fn points_of_hytnas_are_as_predicted() {
    linked("hytnas", TOLERANCE, points("specs/hytnas.hyt", number("HYTC_POINTS_HYTNAS", 2), 102));
}

#[test]
fn random_networks_are_as_predicted() {
    linked("random networks", RANDOM_TOLERANCE, random(number("HYTC_POINTS_RANDOM", 2), 103));
}
