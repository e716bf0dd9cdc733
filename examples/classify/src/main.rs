//! Classifies image files with the network of `fashion.hyt`, which `build.rs` turned into code.

use image::imageops::FilterType;
use std::process::ExitCode;

mod fashion {
    include!(concat!(env!("OUT_DIR"), "/fashion.rs"));
}

const USAGE: &str = "\
Usage: classify [--invert] IMAGE..

Says which piece of clothing a PNG or JPEG shows.

  --invert  the clothes are dark on light; the network learnt from light ones on black";

fn main() -> ExitCode {
    let (flags, files): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|a| a.starts_with('-'));
    if flags.iter().any(|f| f == "-h" || f == "--help") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let unknown = flags.iter().find(|f| *f != "--invert");
    if files.is_empty() || unknown.is_some() {
        if let Some(flag) = unknown {
            eprintln!("error: there is no option `{flag}`\n");
        }
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    }
    // All the memory that inference needs.
    let mut arena = Box::new(fashion::Arena::new());
    let mut failed = false;
    for file in files {
        match pixels(&file, !flags.is_empty()) {
            Ok(pixels) => show(&file, &scores(&mut arena, &pixels)),
            Err(e) => {
                eprintln!("error: `{file}`: {e}");
                failed = true;
            }
        }
    }
    ExitCode::from(u8::from(failed))
}

/// An image file as the network's input has it: gray, of its size, light on black.
fn pixels(file: &str, invert: bool) -> Result<[u8; fashion::INPUT_LEN], image::ImageError> {
    let (height, width, _) = fashion::INPUT_SHAPE;
    let gray = image::ImageReader::open(file)?.with_guessed_format()?.decode()?.into_luma8();
    let mut small = image::imageops::resize(&gray, width as u32, height as u32, FilterType::Triangle);
    if invert {
        image::imageops::invert(&mut small);
    }
    let mut pixels = [0; fashion::INPUT_LEN];
    pixels.copy_from_slice(small.as_raw());
    Ok(pixels)
}

/// The probability of every class.
fn scores(arena: &mut fashion::Arena, pixels: &[u8; fashion::INPUT_LEN]) -> [f32; fashion::OUTPUT_LEN] {
    let mut input = [0.0; fashion::INPUT_LEN];
    for (x, &pixel) in input.iter_mut().zip(pixels) {
        *x = (f32::from(pixel) / 255.0 - fashion::MEAN[0]) / fashion::STD[0];
    }
    let mut scores = fashion::predict(arena, &input);
    // Softmax; less the largest logit, so that no power overflows.
    let largest = scores[fashion::argmax(&scores)];
    scores.iter_mut().for_each(|s| *s = (*s - largest).exp());
    let sum: f32 = scores.iter().sum();
    scores.map(|s| s / sum)
}

/// Prints the classes, the likeliest first.
fn show(file: &str, probabilities: &[f32; fashion::OUTPUT_LEN]) {
    let mut classes: Vec<(&str, f32)> =
        fashion::CLASSES.iter().copied().zip(probabilities.iter().copied()).collect();
    classes.sort_by(|a, b| b.1.total_cmp(&a.1));
    println!("{file}: {}", classes[0].0);
    for (class, p) in classes {
        println!("  {class:12} {:5.1} %", p * 100.0);
    }
}
