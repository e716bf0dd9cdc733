//! Readers on small files, splits, and what training sees of an image.

use super::{absent, fingerprint, hold_out, load, subset, DataError, Dataset, Pipeline};
use crate::check::spec::{Augment, DataSource, Task};
use std::io::Write;

fn task(text: &str) -> Task {
    let spec = format!(
        "task {{ input = image(12, 12, 1) classes = [\"a\", \"b\"] {text} }}\n\
         space {{ conv(4, 3) > relu > global_avg_pool > linear(classes) }}\n"
    );
    let report = crate::check::check("t.hyt", &spec, &|_| Err("none".into()));
    report.checked.unwrap_or_else(|| panic!("{:?}", report.diagnostics)).spec.task
}

#[test]
fn data_are_absent_only_if_nothing_of_them_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let idx = task("train = idx(\"images/train\") test = idx(\"images/test\")");
    assert!(absent(&idx, folder.path()), "no folder");
    std::fs::create_dir(at("images")).unwrap();
    assert!(absent(&idx, folder.path()), "an empty folder");
    std::fs::write(at("images/test-labels-idx1-ubyte.gz"), "").unwrap();
    assert!(!absent(&idx, folder.path()), "one file of four");
    assert!(fingerprint(&idx, folder.path()).is_err());

    let folders = task("train = folder(\"pictures\")");
    assert!(absent(&folders, folder.path()));
    std::fs::create_dir(at("pictures")).unwrap();
    assert!(!absent(&folders, folder.path()), "a folder without its classes is damaged, not absent");
    assert!(fingerprint(&folders, folder.path()).is_err());
}

// ---- readers ----

/// An IDX file of bytes: the sizes, then what is in it.
fn idx_bytes(sizes: &[u32], data: &[u8]) -> Vec<u8> {
    let mut out = vec![0, 0, 8, sizes.len() as u8];
    sizes.iter().for_each(|s| out.extend(s.to_be_bytes()));
    out.extend(data);
    out
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn source(text: &str) -> DataSource {
    task(&format!("train = {text}")).train.unwrap()
}

fn classes() -> Vec<String> {
    vec!["a".into(), "b".into()]
}

#[test]
fn idx_is_read_with_and_without_gzip() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    let pixels: Vec<u8> = (0..3 * 2 * 4).collect();
    let images = idx_bytes(&[3, 2, 4], &pixels);
    write("plain-images-idx3-ubyte", &images);
    write("plain-labels-idx1-ubyte", &idx_bytes(&[3], &[1, 0, 1]));
    write("packed-images-idx3-ubyte.gz", &gzip(&images));
    write("packed-labels-idx1-ubyte.gz", &gzip(&idx_bytes(&[3], &[1, 0, 1])));
    let read = |name: &str| load(&source(&format!("idx(\"{name}\")")), folder.path(), (2, 4, 1), &classes());
    let plain = read("plain").unwrap();
    assert_eq!((plain.h, plain.w, plain.c, plain.labels.as_slice()), (2, 4, 1, [1, 0, 1].as_slice()));
    assert_eq!(plain.image(1), &pixels[8..16]);
    assert_eq!(read("packed").unwrap(), plain);

    // One byte of the packed data, and its check sum, are others.
    for at in [gzip(&images).len() / 2, gzip(&images).len() - 6] {
        let mut bytes = gzip(&images);
        bytes[at] ^= 0x40;
        write("packed-images-idx3-ubyte.gz", &bytes);
        let e = read("packed").unwrap_err();
        assert!(matches!(e, DataError::Damaged { .. }), "{e}");
        assert!(e.to_string().contains("packed-images-idx3-ubyte.gz") && e.help().contains("fetch"), "{e}");
    }
    write("packed-images-idx3-ubyte.gz", &gzip(&images)[..20]);
    assert!(matches!(read("packed").unwrap_err(), DataError::Truncated { .. }));
    write("packed-images-idx3-ubyte.gz", &gzip(&[images.as_slice(), &[0]].concat()));
    assert!(matches!(read("packed").unwrap_err(), DataError::WrongFormat { .. }), "one byte too many");
    write("packed-images-idx3-ubyte.gz", &gzip(&idx_bytes(&[u32::MAX; 3], &[])));
    assert!(read("packed").is_err(), "sizes that overflow");
    write("plain-labels-idx1-ubyte", &idx_bytes(&[3], &[1, 0, 2]));
    assert!(matches!(read("plain").unwrap_err(), DataError::LabelOutOfRange { index: 2, label: 2, .. }));
}

#[test]
fn cifar_records_are_planes_of_colour() {
    let folder = tempfile::tempdir().unwrap();
    let record = |label: u8, red: u8| {
        let mut bytes = vec![label];
        for plane in 0..3 {
            bytes.extend((0..1024u32).map(|i| (i % 7) as u8 + red + 20 * plane));
        }
        bytes
    };
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    write("data_batch_1.bin", &record(0, 0));
    write("data_batch_2.bin", &[record(1, 100), record(0, 50)].concat());
    write("test_batch.bin", &record(1, 1));
    write("readme.html", b"no images");
    let read =
        |path: &str, input| load(&source(&format!("cifar(\"{path}\")")), folder.path(), input, &classes());
    let one = read("data_batch_2.bin", (32, 32, 3)).unwrap();
    assert_eq!(one.labels, [1, 0]);
    // The pixel at row 1, column 2 of the first image: byte 34 of every plane.
    let at = (32 + 2) * 3;
    assert_eq!(one.image(0)[at..at + 3], [100 + 34 % 7, 120 + 34 % 7, 140 + 34 % 7]);
    let all = read(".", (32, 32, 3)).unwrap();
    assert_eq!(all.labels, [0, 1, 0], "both batches in order, and no test image among them");
    assert!(matches!(read(".", (28, 28, 3)).unwrap_err(), DataError::WrongSize { found: (32, 32, 3), .. }));
    write("data_batch_1.bin", &record(0, 0)[1..]);
    assert!(matches!(read(".", (32, 32, 3)).unwrap_err(), DataError::Truncated { .. }));
    write("data_batch_1.bin", &record(2, 0));
    assert!(matches!(read(".", (32, 32, 3)).unwrap_err(), DataError::LabelOutOfRange { label: 2, .. }));
}

#[test]
fn folders_are_resized_and_what_is_corrupt_is_named_at_once() {
    let folder = tempfile::tempdir().unwrap();
    for class in ["a", "b"] {
        std::fs::create_dir(folder.path().join(class)).unwrap();
    }
    let at = |name: &str| folder.path().join(name);
    let plain = |side: u32, value: [u8; 3]| image::RgbImage::from_pixel(side, side, image::Rgb(value));
    plain(40, [200, 100, 0]).save(at("a/large.png")).unwrap();
    plain(12, [10, 10, 10]).save(at("a/right.jpg")).unwrap();
    plain(5, [0, 0, 255]).save(at("b/small.PNG")).unwrap();
    // The name lies about the format, and says what is no image.
    std::fs::copy(at("a/large.png"), at("b/named.jpeg")).unwrap();
    std::fs::write(at("b/notes.txt"), "not an image").unwrap();
    std::fs::write(at("b/.hidden.png"), "not an image").unwrap();
    let read = |input| load(&source("folder(\".\")"), folder.path(), input, &classes());
    let colour = read((12, 12, 3)).unwrap();
    assert_eq!(colour.labels, [0, 0, 1, 1]);
    assert_eq!(colour.image(0)[..3], [200, 100, 0], "one colour stays one colour");
    assert_eq!(colour.image(0).len(), 12 * 12 * 3);
    let gray = read((6, 8, 1)).unwrap();
    assert_eq!((gray.h, gray.w, gray.c, gray.image(1).len()), (6, 8, 1, 48));
    assert!(gray.image(1).iter().all(|&p| p.abs_diff(10) <= 1));

    let sound = std::fs::read(at("a/large.png")).unwrap();
    std::fs::write(at("a/large.png"), &sound[..sound.len() / 2]).unwrap();
    std::fs::write(at("a/other.jpg"), "text").unwrap();
    std::fs::write(at("b/third.png"), "").unwrap();
    let e = read((12, 12, 3)).unwrap_err();
    let said = e.to_string();
    for name in ["a/large.png", "a/other.jpg", "b/third.png"] {
        assert!(said.contains(name), "{said}");
    }
    assert!(!said.contains('\n') && !said.contains("right.jpg"), "{said}");
    let file = load(&source("folder(\"a/right.jpg\")"), folder.path(), (12, 12, 3), &classes()).unwrap_err();
    assert!(matches!(file, DataError::NoFolder(_)), "{file}");
}

// ---- splits ----

#[test]
fn some_of_every_class_is_held_out_and_always_the_same() {
    let labels: Vec<u16> = (0..300).map(|i| [0, 0, 1][i % 3]).collect();
    let (train, held) = hold_out(&labels, &classes(), 0.2, 7).unwrap();
    assert_eq!((train.len(), held.len()), (240, 60));
    let of = |list: &[u32], class: u16| list.iter().filter(|&&i| labels[i as usize] == class).count();
    assert_eq!((of(&held, 0), of(&held, 1)), (40, 20));
    let mut all = [train.clone(), held.clone()].concat();
    all.sort_unstable();
    assert!(all.into_iter().eq(0..300), "every image in exactly one of them");
    assert_eq!(hold_out(&labels, &classes(), 0.2, 7).unwrap().1, held);
    assert_ne!(hold_out(&labels, &classes(), 0.2, 8).unwrap().1, held);
    // One image cannot be on both sides.
    let e = hold_out(&[0, 0, 0, 1], &classes(), 0.2, 1).unwrap_err();
    assert!(matches!(&e, DataError::TooFew { class, count: 1, .. } if class == "b"), "{e}");

    let (half, third) = (subset(&labels, &train, 0.5), subset(&labels, &train, 0.3));
    assert_eq!((of(&half, 0), of(&half, 1)), (80, 40));
    assert!(third.iter().all(|i| half.contains(i)) && half.iter().all(|i| train.contains(i)));
    assert_eq!(subset(&labels, &train, 0.001).len(), 2, "at least one of each class");
}

// ---- from bytes to input ----

fn pictures() -> Dataset {
    let pixels = (0..2 * 4 * 5 * 3).map(|i| (i * 37 % 251) as u8).collect();
    Dataset { h: 4, w: 5, c: 3, pixels, labels: vec![0, 1] }
}

fn pipeline(augment: Augment) -> Pipeline {
    Pipeline { mean: vec![0.5, 0.4, 0.3], std: vec![0.2, 0.25, 0.5], augment }
}

fn augmented(p: &Pipeline, data: &Dataset, image: usize, epoch: usize) -> Vec<f32> {
    let mut out = vec![0.0; data.image_len()];
    p.augmented(data, image, 3, epoch, &mut out);
    out
}

fn near(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(x, y)| (x - y).abs() < 1e-4)
}

#[test]
fn pixels_are_normalised_channel_by_channel() {
    let (data, p) = (pictures(), pipeline(Augment::default()));
    let mut out = vec![0.0; data.image_len()];
    p.plain(&data, 1, &mut out);
    let wanted: Vec<f32> = data
        .image(1)
        .iter()
        .enumerate()
        .map(|(i, &x)| (f32::from(x) / 255.0 - p.mean[i % 3]) / p.std[i % 3])
        .collect();
    assert!(near(&out, &wanted), "{out:?}\n{wanted:?}");
    assert_eq!(augmented(&p, &data, 1, 5), out, "nothing to augment");
}

#[test]
fn augmentation_flips_shifts_and_changes_light_within_its_bounds() {
    let data = pictures();
    let plain = |image: usize| {
        let mut out = vec![0.0; data.image_len()];
        pipeline(Augment::default()).plain(&data, image, &mut out);
        out
    };
    let at = |x: &[f32], row: usize, column: usize| x[(row * 5 + column) * 3..][..3].to_vec();
    let mirror = |x: &[f32]| -> Vec<f32> { (0..20).flat_map(|i| at(x, i / 5, 4 - i % 5)).collect() };
    let p = pipeline(Augment { flip: true, ..Augment::default() });
    let flipped: Vec<bool> = (0..40)
        .map(|epoch| {
            let x = augmented(&p, &data, 0, epoch);
            assert_eq!(x, augmented(&p, &data, 0, epoch), "the same seed, epoch and image");
            assert!(near(&x, &plain(0)) || near(&x, &mirror(&plain(0))));
            near(&x, &mirror(&plain(0)))
        })
        .collect();
    let count = flipped.iter().filter(|f| **f).count();
    assert!((10..=30).contains(&count), "{count} of 40");

    // Shifted by up to a pixel each way; what comes in from outside is black.
    let black: Vec<f32> = (0..3).map(|c| -[0.5, 0.4, 0.3][c] / [0.2f32, 0.25, 0.5][c]).collect();
    let p = pipeline(Augment { crop: 1, ..Augment::default() });
    let shifted = |dy: isize, dx: isize| -> Vec<f32> {
        (0..20isize)
            .flat_map(|i| match (i / 5 + dy, i % 5 + dx) {
                (y @ 0..4, x @ 0..5) => at(&plain(0), y as usize, x as usize),
                _ => black.clone(),
            })
            .collect()
    };
    let all: Vec<Vec<f32>> = (-1..=1).flat_map(|dy| (-1..=1).map(move |dx| shifted(dy, dx))).collect();
    let mut seen = [false; 9];
    for epoch in 0..200 {
        let x = augmented(&p, &data, 0, epoch);
        let which = all.iter().position(|a| near(a, &x)).unwrap_or_else(|| panic!("epoch {epoch}: {x:?}"));
        seen[which] = true;
    }
    assert_eq!(seen, [true; 9]);

    // Brightness moves all pixels by one value of at most a tenth.
    let p = pipeline(Augment { brightness: 0.1, ..Augment::default() });
    let mut moved = Vec::new();
    for epoch in 0..50 {
        let x = augmented(&p, &data, 0, epoch);
        let by: Vec<f32> =
            x.iter().zip(plain(0)).enumerate().map(|(i, (x, y))| (x - y) * p.std[i % 3]).collect();
        assert!(by.iter().all(|b| (b - by[0]).abs() < 1e-4 && b.abs() <= 0.1001), "{by:?}");
        moved.push(by[0]);
    }
    assert!(moved.iter().any(|b| *b > 0.05) && moved.iter().any(|b| *b < -0.05), "{moved:?}");

    // Contrast scales the distance from each channel's mean, which stays.
    let p = pipeline(Augment { contrast: 0.5, ..Augment::default() });
    let mean = |x: &[f32], c: usize| x.iter().skip(c).step_by(3).sum::<f32>() / 20.0;
    let mut factors = Vec::new();
    for epoch in 0..50 {
        let x = augmented(&p, &data, 0, epoch);
        for c in 0..3 {
            assert!((mean(&x, c) - mean(&plain(0), c)).abs() < 1e-3);
        }
        let factor = (x[0] - mean(&x, 0)) / (plain(0)[0] - mean(&plain(0), 0));
        assert!((0.499..=1.501).contains(&factor), "{factor}");
        factors.push(factor);
    }
    assert!(factors.iter().any(|f| *f > 1.2) && factors.iter().any(|f| *f < 0.8), "{factors:?}");
}
