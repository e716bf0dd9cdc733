//! Emitted int8 crates compute, to the bit, what the integer interpreter computes; they compile
//! without warnings, are formatted, and say of themselves what is so.
#![allow(clippy::unwrap_used)]

mod common;

use common::compile::{compile_with, run_bytes, write};
use common::int8::{convolutions, count, hybrid, metadata, quantised, quantised_images};
use common::net::images;
use common::random_net::random_net;
use hytc::emit::rust::{crate_name, emit_int8, harness_main_int8, EmittedFile};
use hytc::graph::Network;
use hytc::lower::plan;
use hytc::quant::interpret::{interpret, interpret_f32};
use hytc::quant::Quantised;
use std::process::Command;

fn crate_of(name: &str, q: &Quantised, network: &Network) -> Vec<EmittedFile> {
    emit_int8(q, &plan(q.lowered(), 1), &metadata(name, network)).unwrap()
}

/// How many different results there were.
fn agrees(name: &str, network: &Network, count: usize) -> usize {
    let Some(q) = quantised(network, 7) else { return 0 };
    let files = crate_of(name, &q, network);
    let dir = tempfile::tempdir().unwrap();
    let exe = compile_with(dir.path(), &files, &crate_name(name), &harness_main_int8(&crate_name(name)));
    let images = quantised_images(&q, network, count);
    let input: Vec<u8> = images.iter().map(|&q| q as u8).collect();
    let found: Vec<i8> = run_bytes(&exe, &input).into_iter().map(|b| b as i8).collect();
    let each = images.chunks(network.input_fact().elements());
    let wanted: Vec<i8> = each.flat_map(|image| interpret(&q, image)).collect();
    assert!(found == wanted, "{name}\n{found:?}\n{wanted:?}\n{}", q.lowered());
    let mut distinct = wanted;
    distinct.sort_unstable();
    distinct.dedup();
    distinct.len()
}

#[test]
fn convolutions_agree() {
    assert!(agrees("convolutions", &convolutions(), 20) > 10);
}

#[test]
fn hybrids_agree() {
    assert!(agrees("hybrid", &hybrid(), 20) > 5);
}

#[test]
fn mobilenet_agrees() {
    assert!(agrees("mobilenet", &common::int8::mobilenet(), 3) > 2);
}

/// Random networks of all operators; `HYTC_RANDOM_NETS` says how many.
#[test]
fn random_networks_agree() {
    let count = count(6);
    let varied = (0..count).filter(|&seed| agrees(&format!("random {seed}"), &random_net(seed), 4) > 2);
    let varied = varied.count() as u64;
    assert!(varied * 2 > count, "{varied} of {count} networks give more than constants");
}

/// Pixels, real images and real scores are those of the interpreter.
#[test]
fn the_interface_agrees() {
    let network = hybrid();
    let q = quantised(&network, 7).unwrap();
    let name = "interface";
    let files = crate_of(name, &q, &network);
    let dir = tempfile::tempdir().unwrap();
    let main = r#"
use std::io::{Read, Write};
fn main() {
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes).unwrap();
    let mut arena = Box::new(interface::Arena::new());
    let mut out = std::io::stdout().lock();
    let (pixels, reals) = bytes.split_at(interface::INPUT_LEN);
    arena.set_pixels(pixels.try_into().unwrap());
    for q in *arena.input_mut() {
        out.write_all(&[q as u8]).unwrap();
    }
    let reals: Vec<f32> = reals.chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    let scores = interface::predict(&mut arena, reals[..].try_into().unwrap());
    for s in scores {
        out.write_all(&s.to_le_bytes()).unwrap();
    }
}
"#;
    let exe = compile_with(dir.path(), &files, name, main);
    let size = network.input_fact().elements();
    let pixels: Vec<u8> = (0..size).map(|i| (i * 37 % 256) as u8).collect();
    let mut image = images(network.input_fact(), 1, 5);
    image[3] = 1e30;
    image[4] = -1e30;
    image[5] = f32::NAN;
    let mut input = pixels.clone();
    input.extend(image.iter().flat_map(|x| x.to_le_bytes()));
    let found = run_bytes(&exe, &input);
    let (numbers, scores) = found.split_at(size);
    let m = metadata(name, &network);
    let input = q.scale(q.lowered().input());
    for (i, (&found, &pixel)) in numbers.iter().zip(&pixels).enumerate() {
        let c = i % m.mean.len();
        let real = (f64::from(pixel) / 255.0 - f64::from(m.mean[c])) / f64::from(m.std[c]);
        assert_eq!(found as i8, input.quantise(real));
    }
    let scores: Vec<f32> = scores.chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    assert_eq!(scores, interpret_f32(&q, &image));
}

/// rustfmt, clippy, rustdoc and the documentation's example have nothing to say.
#[test]
fn the_crate_is_clean() {
    for (name, network) in [("hybrid", hybrid()), ("convolutions", convolutions())] {
        let q = quantised(&network, 7).unwrap();
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &crate_of(name, &q, &network));
        let cargo = |args: &[&str]| {
            let mut command = Command::new("cargo");
            command.args(args).current_dir(dir.path());
            command.env("CARGO_TARGET_DIR", dir.path().join("target")).env("RUSTDOCFLAGS", "-D warnings");
            let out = command.output().unwrap();
            let text = String::from_utf8_lossy(&out.stdout) + String::from_utf8_lossy(&out.stderr);
            assert!(out.status.success(), "{args:?}\n{text}");
        };
        cargo(&["fmt", "--check"]);
        cargo(&["clippy", "--offline", "-q", "--", "-D", "warnings"]);
        cargo(&["doc", "--offline", "-q", "--no-deps"]);
        cargo(&["test", "--offline", "-q"]);
    }
}

#[test]
fn constants_are_counted_exactly() {
    let network = convolutions();
    let q = quantised(&network, 7).unwrap();
    let files = crate_of("m", &q, &network);
    let lib = &files.iter().find(|f| f.path == "src/lib.rs").unwrap().text;
    let arena = plan(q.lowered(), 1).arena_bytes;
    assert!(lib.contains(&format!("pub const ARENA_BYTES: usize = {arena};")));
    // And a table of pixels.
    assert!(lib.contains(&format!("pub const CONSTANT_BYTES: usize = {};", q.constant_bytes() + 256)));
}
