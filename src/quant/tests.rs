//! Quantised networks stay close to their floating-point originals, and bad input is refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use super::interpret::interpret_f32;
use super::{
    calibrate, clear_tuned, equalise, load_tuned, quantise, store_tuned, Quantised, Scale, REVISION,
};
use crate::codes;
use crate::graph::{Act, Network, Op};
use crate::lower::interpret::interpret;
use crate::lower::testing::{mobilenet, random, Net};
use crate::lower::{lower, Bound};
use crate::weights::Weights;
use rand::{RngExt, SeedableRng};

fn bind(network: &Network, seed: u64) -> Bound {
    lower(network).bind(&Weights::random(network, seed)).unwrap()
}

fn images(network: &Network, count: usize, seed: u64) -> Vec<f32> {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    (0..count * network.input_fact().elements()).map(|_| rng.random_range(-1.0..1.0)).collect()
}

fn quantised(bound: &Bound, images: &[f32]) -> Quantised {
    let calibration = calibrate(bound, images).unwrap();
    quantise(bound, &calibration, Scale::of(-1.0, 1.0).unwrap()).unwrap()
}

/// Root mean square error of int8 results against float ones, relative to the float ones' spread.
fn error(network: &Network, seed: u64) -> Option<f64> {
    let bound = bind(network, seed);
    let images = images(network, 8, seed);
    let first = interpret(&bound, images.chunks(network.input_fact().elements()).next()?);
    if first.iter().any(|v| v.is_nan() || v.abs() > 1e4) {
        return None; // products of products
    }
    // Some of them give values that no f32 or no scale holds on the way.
    let calibration = calibrate(&bound, &images).ok()?;
    let q = quantise(&bound, &calibration, Scale::of(-1.0, 1.0).unwrap()).ok()?;
    let (mut squares, mut power) = (0.0, 0.0);
    for image in images.chunks(network.input_fact().elements()).take(4) {
        let (wanted, found) = (interpret(&bound, image), interpret_f32(&q, image));
        assert_eq!(wanted.len(), found.len());
        for (w, f) in wanted.iter().zip(&found) {
            squares += f64::from(w - f).powi(2);
            power += f64::from(*w).powi(2);
        }
    }
    Some((squares / power.max(1e-12)).sqrt())
}

#[test]
fn random_networks_stay_close() {
    let mut errors: Vec<f64> = (0..80).filter_map(|seed| error(&random::network(seed), seed)).collect();
    errors.sort_by(f64::total_cmp);
    let part = |p: f64| errors[(errors.len() as f64 * p) as usize];
    println!(
        "{} networks, median {:.4}, 90 % {:.4}, worst {:.4}",
        errors.len(),
        part(0.5),
        part(0.9),
        errors[errors.len() - 1]
    );
    assert!(errors.len() > 70);
    assert!(part(0.5) < 0.02 && part(0.9) < 0.1, "{errors:?}");
}

#[test]
fn mobilenet_stays_close() {
    let found = error(&mobilenet(), 3).unwrap();
    assert!(found < 0.05, "{found}");
}

#[test]
fn bad_calibration_is_named() {
    let network = mobilenet();
    let mut bound = bind(&network, 1);
    let mut few = images(&network, 1, 1);
    let code = |r: Result<_, Vec<crate::diag::Diagnostic>>| match r {
        Ok(super::Calibration { .. }) => panic!("must be refused"),
        Err(found) => {
            assert!(found.iter().all(|d| !d.help.is_empty()));
            (found[0].code, found[0].message.clone())
        }
    };
    assert_eq!(code(calibrate(&bound, &few[1..])).0, codes::CALIBRATION);
    few[77] = f32::NAN;
    assert_eq!(code(calibrate(&bound, &few)), (codes::CALIBRATION, "calibration image 1 holds NaN".into()));
    few[77] = 0.0;
    bound.arrays[0].data[0] = f32::INFINITY;
    let (c, message) = code(calibrate(&bound, &few));
    assert_eq!(c, codes::CALIBRATION);
    assert!(message.contains("`conv`"), "{message}");
}

/// Constant channels, all of them zero or not: no scale of zero comes of it.
#[test]
fn constant_channels_are_exact() {
    let (mut n, x) = Net::new(6, 6, 2);
    let x = n.conv(x, 4, 3, 1, 1);
    let x = n.bn_act(x, Act::Relu);
    let x = n.conv(x, 4, 1, 1, 1);
    let x = n.op(Op::GlobalAvgPool, &[x]);
    let x = n.op(Op::Linear { out: 3, bias: true }, &[x]);
    let network = n.finish(x);
    let mut bound = bind(&network, 2);
    // The first convolution gives nothing but its biases; the second nothing at all.
    bound.arrays[0].data.fill(0.0);
    bound.arrays[1].data.copy_from_slice(&[0.7, 0.0, -1.0, 2.5]);
    let images = images(&network, 4, 1);
    let q = quantised(&bound, &images);
    let (wanted, found) = (interpret(&bound, &images), interpret_f32(&q, &images));
    let step = f64::from(q.scale(q.lowered().output()).scale);
    for (w, f) in wanted.iter().zip(&found) {
        assert!(f64::from((w - f).abs()) < 3.0 * step, "{wanted:?} {found:?}");
    }
    bound.arrays[2].data.fill(0.0);
    let q = quantised(&bound, &images);
    let (wanted, found) = (interpret(&bound, &images), interpret_f32(&q, &images));
    assert!(wanted.iter().zip(&found).all(|(w, f)| (w - f).abs() < 0.02), "{wanted:?} {found:?}");
}

/// All layers that cannot be quantised are named at once.
#[test]
fn everything_unsupported_is_listed() {
    let (mut n, x) = Net::new(4, 4, 2);
    let a = n.conv(x, 3, 3, 1, 1);
    let b = n.conv(a, 3, 3, 1, 1);
    let network = n.finish(b);
    let bound = bind(&network, 1);
    let calibration = calibrate(&bound, &images(&network, 2, 1)).unwrap();
    let mut broken = bound.clone();
    broken.arrays[0].data[0] = f32::NAN;
    broken.arrays[1].data[0] = f32::NAN;
    let found = quantise(&broken, &calibration, Scale::of(-1.0, 1.0).unwrap()).unwrap_err();
    let codes: Vec<_> = found.iter().map(|d| d.code).collect();
    assert_eq!(codes, [codes::QUANTISE; 2]);
}

/// Stored with the weights and read again, a calibration is the same.
#[test]
fn calibration_survives_a_file() {
    let network = random::network(5);
    let mut weights = Weights::random(&network, 5);
    let bound = lower(&network).bind(&weights).unwrap();
    let calibration = calibrate(&bound, &images(&network, 3, 5)).unwrap();
    calibration.store(&bound.lowered, &mut weights);
    let read = Weights::from_safetensors(&weights.to_safetensors().unwrap()).unwrap();
    assert_eq!(super::Calibration::load(&bound.lowered, &read).unwrap(), calibration);
    assert_eq!(super::Calibration::load(&lower(&mobilenet()), &read), None);
}

/// Two layers whose channels differ a thousandfold, which float does not mind and int8 does: between
/// them they are equalised, and not a bit of the floating-point results changes.
#[test]
fn channels_of_different_size_are_equalised() {
    let (mut n, x) = Net::new(8, 8, 2);
    let x = n.conv(x, 6, 3, 1, 1);
    let x = n.bn_act(x, Act::Relu);
    let x = n.conv(x, 5, 1, 1, 1);
    let x = n.bn_act(x, Act::Silu);
    let x = n.op(Op::GlobalAvgPool, &[x]);
    let x = n.op(Op::Linear { out: 3, bias: true }, &[x]);
    let network = n.finish(x);
    let mut bound = bind(&network, 4);
    let factor = |c: usize| 2f32.powi(2 * c as i32);
    for (i, w) in bound.arrays[0].data.iter_mut().enumerate() {
        *w *= factor(i / 18);
    }
    bound.arrays[1].data.iter_mut().enumerate().for_each(|(c, b)| *b *= factor(c));
    bound.arrays[2].data.iter_mut().enumerate().for_each(|(i, w)| *w /= factor(i % 6));
    let images = images(&network, 12, 1);
    let input = Scale::of(-1.0, 1.0).unwrap();
    let equal = equalise(&bound, &images, input).unwrap();
    assert_ne!(equal, bound);
    let size = network.input_fact().elements();
    let error = |bound: &Bound| -> f64 {
        let q = quantised(bound, &images);
        let of = |image: &[f32]| -> f64 {
            let (wanted, found) = (interpret(bound, image), interpret_f32(&q, image));
            wanted.iter().zip(&found).map(|(a, b)| f64::from(a - b).powi(2)).sum()
        };
        images.chunks(size).map(of).sum::<f64>().sqrt()
    };
    assert!(error(&equal) < 0.3 * error(&bound), "{} {}", error(&equal), error(&bound));
    for image in images.chunks(size) {
        assert_eq!(interpret(&equal, image), interpret(&bound, image));
    }
    // Kept with the weights.
    let mut weights = Weights::random(&network, 4);
    store_tuned(&bound, &equal, &mut weights);
    assert_eq!(load_tuned(bound.clone(), &weights).unwrap(), equal);
    weights.0.get_mut("int8.conv.weight").unwrap().data.pop();
    assert!(load_tuned(bound.clone(), &weights).is_err());
    clear_tuned(&mut weights);
    assert_eq!(load_tuned(bound.clone(), &weights).unwrap(), bound);
}

/// Nothing is scaled where another step reads the tensor too, or where an activation would notice.
#[test]
fn only_pairs_are_equalised() {
    let spread = |act: Act, twice: bool| {
        let (mut n, x) = Net::new(8, 8, 2);
        let x = n.conv(x, 6, 3, 1, 1);
        let x = n.bn_act(x, act);
        let mut y = n.conv(x, 6, 1, 1, 1);
        if twice {
            y = n.op(Op::Add, &[x, y]);
        }
        let y = n.op(Op::GlobalAvgPool, &[y]);
        let y = n.op(Op::Softmax, &[y]);
        let network = n.finish(y);
        let mut bound = bind(&network, 4);
        bound.arrays[0].data.iter_mut().enumerate().for_each(|(i, w)| *w *= 4f32.powi(i as i32 / 18));
        bound.arrays[2].data.iter_mut().enumerate().for_each(|(i, w)| *w /= 4f32.powi(i as i32 % 6));
        let images = images(&network, 6, 1);
        equalise(&bound, &images, Scale::of(-1.0, 1.0).unwrap()).unwrap() == bound
    };
    assert!(!spread(Act::Relu, false), "equalised");
    assert!(spread(Act::Relu, true) && spread(Act::Silu, false));
}

/// The integers of some networks, hashed: a change of them that does not count the revision up leaves
/// accuracies in locks that are no longer true.
#[test]
fn the_revision_counts_changes() {
    let networks = (0..12).map(random::network).chain([mobilenet()]);
    let (mut all, mut count) = (Vec::new(), 0);
    for (seed, network) in (0..).zip(networks) {
        let images = images(&network, 2, seed);
        let Ok(calibration) = calibrate(&bind(&network, seed), &images) else { continue };
        let Ok(q) = quantise(&bind(&network, seed), &calibration, Scale::of(-1.0, 1.0).unwrap()) else {
            continue;
        };
        count += 1;
        for step in q.steps() {
            all.extend(format!("{step:?}").bytes());
        }
        let scale = q.scale(q.lowered().input());
        for image in images.chunks(network.input_fact().elements()) {
            let pixels: Vec<i8> = image.iter().map(|&x| scale.quantise_f32(x)).collect();
            all.extend(super::interpret::interpret(&q, &pixels).into_iter().map(|q| q as u8));
        }
    }
    assert!(count > 8, "{count} networks");
    let hash = crate::hash::sha256(&all);
    let found = (REVISION, &hash[..16]);
    assert_eq!(found, (1, "faa5ebc0940578b7"), "count quant::REVISION up, and write both here");
}
