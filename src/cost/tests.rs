#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use super::*;
use crate::device::BUILTIN;
use crate::lower::testing::{mobilenet, random, resnet8};
use crate::lower::{lower, plan};

fn devices() -> Vec<Profile> {
    BUILTIN.iter().filter_map(|(name, _)| Profile::builtin(name)).collect()
}

fn cost_of(network: &crate::graph::Network, precision: Precision) -> Cost {
    let lowered = lower(network);
    cost(&lowered, &plan(&lowered, element_bytes(precision)), &devices(), precision)
}

#[test]
fn mobilenet_costs_what_is_published() {
    let float = cost_of(&mobilenet(), Precision::Float);
    assert_eq!((float.params, float.macs), (210_850, 7_489_664));
    assert_eq!(float.weight_bytes, 4 * 210_850);
    assert_eq!(float.ram_bytes, 4 * 55_296);
    assert!(float.flash_bytes > float.weight_bytes && float.flash_bytes < float.weight_bytes + 40_000);
    let f446 = &float.devices[0];
    assert_eq!((f446.name.as_str(), f446.fits_ram, f446.fits_flash), ("stm32f446", false, false));
    let int8 = cost_of(&mobilenet(), Precision::Int8);
    assert_eq!(int8.ram_bytes, 55_296);
    assert!(int8.devices[0].fits_ram && int8.devices[0].fits_flash);
}

#[test]
fn layers_sum_to_the_totals() {
    for seed in 0..100 {
        for precision in [Precision::Float, Precision::Int8] {
            let c = cost_of(&random::network(seed), precision);
            assert_eq!(c.layers.iter().map(|l| l.params).sum::<u64>(), c.params);
            assert_eq!(c.layers.iter().map(|l| l.macs).sum::<u64>(), c.macs);
            assert_eq!(c.layers.iter().map(|l| l.weight_bytes).sum::<u64>(), c.weight_bytes);
            assert!(c.layers.iter().all(|l| l.ram_bytes <= c.ram_bytes));
            for d in &c.devices {
                let sum: f64 = c.layers.iter().map(|l| l.latency_ms[&d.name]).sum();
                assert!((sum - d.latency_s * 1e3).abs() <= 1e-9 * sum.max(1e-9));
            }
        }
    }
}

/// Published latencies against predicted ones. The bounds are what `docs/devices.md` states.
#[test]
fn predictions_are_as_good_as_documented() {
    let ms = |network: &crate::graph::Network, device: &str, precision| {
        cost_of(network, precision).latency_ms[device]
    };
    let (vww, ic) = (mobilenet(), resnet8());
    // MLPerf Tiny on the L4R5 with CMSIS-NN: the geometric means of microTVM and both of Skymizer's.
    for (network, published) in [(&vww, 217.2), (&ic, 325.6)] {
        let predicted = ms(network, "stm32l4r5", Precision::Int8);
        println!("l4r5 int8: {predicted:.1} ms, published {published}");
        assert!((predicted / published - 1.0).abs() < 0.25, "{predicted} {published}");
    }
    // Bosch on the H7A3, scaled from 280 MHz to the H743's 480 MHz: float, then int8.
    let scale = 280.0 / 480.0;
    for (network, float, int8) in [(&vww, 81.42, 43.76), (&ic, 124.22, 45.85)] {
        for (published, precision) in [(float, Precision::Float), (int8, Precision::Int8)] {
            let predicted = ms(network, "stm32h743", precision);
            println!("h743 {precision:?}: {predicted:.1} ms, published {:.1}", published * scale);
            assert!((predicted / (published * scale) - 1.0).abs() < 0.35, "{predicted} {published}");
        }
    }
    // TinyMaix on the RP2040 at 280 MHz.
    let predicted = ms(&vww, "rp2040", Precision::Int8);
    println!("rp2040 int8: {predicted:.0} ms, published {:.0}", 716.0 * 280.0 / 125.0);
    assert!((predicted / (716.0 * 280.0 / 125.0) - 1.0).abs() < 0.15, "{predicted}");
}

#[test]
fn json_has_the_fixed_keys() {
    let json = serde_json::to_value(cost_of(&mobilenet(), Precision::Float)).unwrap();
    for key in ["params", "macs", "weight_bytes", "ram_bytes", "flash_bytes"] {
        assert!(json[key].is_u64(), "{key}");
    }
    assert!(json["latency_ms"]["stm32f446"].is_f64());
    assert_eq!(json["layers"][0]["name"], "conv");
    assert_eq!(json["layers"][0]["output"], "8x48x48");
}

#[test]
fn renderings_show_every_layer() {
    let lowered = lower(&mobilenet());
    let p = plan(&lowered, 1);
    let c = cost(&lowered, &p, &devices()[..2], Precision::Int8);
    let text = table(&c);
    assert!(
        text.contains("210,850") && text.contains("7,489,664") && text.contains("depthwise+relu"),
        "{text}"
    );
    let picture = timeline(&lowered, &p);
    assert_eq!(picture.lines().count(), 1 + lowered.steps().len() + 1, "{picture}");
    assert!(
        picture.contains("lower bound 55,296") && picture.contains("proved optimal: no order"),
        "{picture}"
    );
    // 256 and 4 of 55,296 bytes are live at the end: what is small is drawn too.
    let last = picture.lines().find(|l| l.starts_with("linear ")).unwrap();
    assert!((1..=2).contains(&last.matches('#').count()), "{picture}");
}
