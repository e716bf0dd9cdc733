//! The parts of emitted code that do not depend on the network.

/// What does not depend on the network, up to the body of `run`.
pub(super) const INTERFACE: &str = r#"
/// The memory that an inference works in: the input and all that is computed of it.
///
/// It can be large for a stack: a firmware keeps it in a static (`static_cell::ConstStaticCell`, or
/// a `Mutex`), a program on a computer in a `Box`.
pub struct Arena([f32; ARENA_LEN]);

const _: () = assert!(core::mem::size_of::<Arena>() == ARENA_BYTES);

impl Arena {
    /// An arena of zeros.
    pub const fn new() -> Self {
        Arena([0.0; ARENA_LEN])
    }

    /// The place of the input, `[row][column][channel]`, normalised with [`MEAN`] and [`STD`].
    /// [`run`] may overwrite it: fill all of it before every inference.
    pub fn input_mut(&mut self) -> &mut [f32; INPUT_LEN] {
        match self.0.split_at_mut(INPUT_AT).1.first_chunk_mut() {
            Some(input) => input,
            None => unreachable!(),
        }
    }

    /// Writes an image of bytes to the place of the input, `(pixel / 255 - MEAN) / STD`.
    pub fn set_pixels(&mut self, pixels: &[u8; INPUT_LEN]) {
        let input = self.input_mut().chunks_exact_mut(MEAN.len());
        for (xs, pixels) in input.zip(pixels.chunks_exact(MEAN.len())) {
            for (((x, pixel), mean), std) in xs.iter_mut().zip(pixels).zip(MEAN).zip(STD) {
                *x = (f32::from(*pixel) / 255.0 - mean) / std;
            }
        }
    }
}

impl Default for Arena {
    fn default() -> Self {
        Arena::new()
    }
}

/// The scores (logits) of an image, `[row][column][channel]`, normalised with [`MEAN`] and [`STD`].
pub fn predict(arena: &mut Arena, input: &[f32; INPUT_LEN]) -> [f32; OUTPUT_LEN] {
    *arena.input_mut() = *input;
    run(arena)
}

/// The position of the largest score; the first of several, 0 where all are NaN.
pub fn argmax(scores: &[f32]) -> usize {
    let (mut best, mut max) = (0, f32::NEG_INFINITY);
    for (i, score) in scores.iter().enumerate() {
        if *score > max {
            (best, max) = (i, *score);
        }
    }
    best
}

/// The scores (logits) of the image in the arena, see [`Arena::input_mut`].
"#;

/// The end of `run`.
pub(super) const RESULT: &str = r#"    let mut output = [0.0; OUTPUT_LEN];
    output.copy_from_slice(&arena.0[OUTPUT_AT..OUTPUT_AT + OUTPUT_LEN]);
    output
}
"#;

/// For measuring: steps are announced.
pub(super) const TRACED: &str = r#"
/// Computes what [`run`] does, and calls `trace` with the number of each step before it; at the end
/// with the number of steps.
pub fn run_traced(arena: &mut Arena, trace: impl FnMut(usize)) {
    steps::run_traced(&mut arena.0, trace);
}
"#;

/// The same where no step computes anything.
pub(super) const TRACED_NOTHING: &str = r#"
/// Computes what [`run`] does, nothing, and calls `trace` with the number of each step; at the end with
/// the number of steps.
pub fn run_traced(_: &mut Arena, trace: impl FnMut(usize)) {
    (0..={steps}).for_each(trace);
}
"#;

/// The same where the steps are statements, up to the first of them.
pub(super) const TRACED_STATEMENTS: &str = r#"
/// Computes what [`run`] does, and calls `trace` with the number of each step before it; at the end
/// with the number of steps.
pub fn run_traced(arena: &mut Arena, mut trace: impl FnMut(usize)) {
    let a = &mut arena.0;

"#;

pub(super) const ONE: &str = r#"
/// The `AN` numbers of the arena from `A` on.
#[inline(always)]
fn one<const A: usize, const AN: usize>(arena: &mut [f32; ARENA_LEN]) -> &mut [f32] {
    const { assert!(A + AN <= ARENA_LEN) }
    &mut arena[A..A + AN]
}
"#;

pub(super) const TWO: &str = r#"
/// Two regions of the arena. That they do not overlap is checked when this is compiled.
#[inline(always)]
fn two<const A: usize, const AN: usize, const B: usize, const BN: usize>(
    arena: &mut [f32; ARENA_LEN],
) -> (&mut [f32], &mut [f32]) {
    const { assert!(A + AN <= B && B + BN <= ARENA_LEN) }
    let (low, high) = arena.split_at_mut(B);
    (&mut low[A..A + AN], &mut high[..BN])
}
"#;

pub(super) const THREE: &str = r#"
/// Three regions of the arena. That they do not overlap is checked when this is compiled.
#[inline(always)]
fn three<
    const A: usize,
    const AN: usize,
    const B: usize,
    const BN: usize,
    const C: usize,
    const CN: usize,
>(
    arena: &mut [f32; ARENA_LEN],
) -> (&mut [f32], &mut [f32], &mut [f32]) {
    const { assert!(A + AN <= B && B + BN <= C && C + CN <= ARENA_LEN) }
    let (rest, high) = arena.split_at_mut(C);
    let (low, middle) = rest.split_at_mut(B);
    (&mut low[A..A + AN], &mut middle[..BN], &mut high[..CN])
}
"#;

/// The program of [`super::harness_main`].
pub(super) const HARNESS: &str = r#"//! Runs the network on images of little-endian f32 from standard input, until its end.

use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};

fn main() -> io::Result<()> {
    let mut arena = Box::new({model}::Arena::new());
    let mut input = BufReader::new(io::stdin().lock());
    let mut output = BufWriter::new(io::stdout().lock());
    let mut bytes = vec![0; 4 * {model}::INPUT_LEN];
    while !input.fill_buf()?.is_empty() {
        input.read_exact(&mut bytes)?;
        for (x, b) in arena.input_mut().iter_mut().zip(bytes.chunks_exact(4)) {
            *x = f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
        }
        for y in {model}::run(&mut arena) {
            output.write_all(&y.to_le_bytes())?;
        }
    }
    output.flush()
}
"#;

/// [`INTERFACE`] in int8; `{set_pixels}` is [`SET_PIXELS`] or [`SET_PIXELS_PLAIN`].
pub(super) const INTERFACE_INT8: &str = r#"
/// The memory that an inference works in: the input and all that is computed of it.
///
/// It can be large for a stack: a firmware keeps it in a static (`static_cell::ConstStaticCell`, or
/// a `Mutex`), a program on a computer in a `Box`.
#[repr(align(4))]
pub struct Arena([i8; ARENA_LEN]);

const _: () = assert!(core::mem::size_of::<Arena>() == ARENA_BYTES);

impl Arena {
    /// An arena of zeros.
    pub const fn new() -> Self {
        Arena([0; ARENA_LEN])
    }

    /// The place of the input, `[row][column][channel]`, quantised with [`INPUT_SCALE`] and
    /// [`INPUT_ZERO`]. [`run`] may overwrite it: fill all of it before every inference.
    pub fn input_mut(&mut self) -> &mut [i8; INPUT_LEN] {
        match self.0.split_at_mut(INPUT_AT).1.first_chunk_mut() {
            Some(input) => input,
            None => unreachable!(),
        }
    }

    /// Writes an image of bytes to the place of the input, `(pixel / 255 - MEAN) / STD` quantised.
    pub fn set_pixels(&mut self, pixels: &[u8; INPUT_LEN]) {
{set_pixels}    }

    /// Writes an image of numbers, normalised with [`MEAN`] and [`STD`], to the place of the input.
    pub fn set_image(&mut self, image: &[f32; INPUT_LEN]) {
        for (q, x) in self.input_mut().iter_mut().zip(image) {
            let steps = x / INPUT_SCALE + 0.5;
            // `as` cuts off towards zero, and makes zero of what is not a number.
            let cut = steps as i32;
            let floor = cut.saturating_sub(i32::from(cut as f32 > steps));
            *q = floor.saturating_add(INPUT_ZERO).clamp(-128, 127) as i8;
        }
    }
}

impl Default for Arena {
    fn default() -> Self {
        Arena::new()
    }
}

/// The scores (logits) of an image, `[row][column][channel]`, normalised with [`MEAN`] and [`STD`].
pub fn predict(arena: &mut Arena, image: &[f32; INPUT_LEN]) -> [f32; OUTPUT_LEN] {
    arena.set_image(image);
    scores(&run(arena))
}

/// What the numbers of a result mean.
pub fn scores(result: &[i8; OUTPUT_LEN]) -> [f32; OUTPUT_LEN] {
    result.map(|q| OUTPUT_SCALE * (i32::from(q) - OUTPUT_ZERO) as f32)
}

/// The position of the largest number of a result; the first of several.
pub fn argmax(result: &[i8]) -> usize {
    let mut best = 0;
    for (i, q) in result.iter().enumerate() {
        if result.get(best).is_none_or(|max| q > max) {
            best = i;
        }
    }
    best
}

/// The quantised scores of the image in the arena, see [`Arena::input_mut`] and [`scores`].
"#;

/// Bytes through the tables of the channels.
pub(super) const SET_PIXELS: &str = r#"        let (tables, _) = weights::PIXELS.as_chunks::<256>();
        let input = self.input_mut().iter_mut().zip(pixels);
        for ((q, pixel), table) in input.zip(tables.iter().cycle()) {
            *q = table[usize::from(*pixel)];
        }
"#;

/// Bytes where quantising is a subtraction of 128.
pub(super) const SET_PIXELS_PLAIN: &str = r#"        for (q, pixel) in self.input_mut().iter_mut().zip(pixels) {
            *q = (*pixel ^ 0x80) as i8;
        }
"#;

/// The program of [`super::harness_main_int8`].
pub(super) const HARNESS_INT8: &str = r#"//! Runs the network on quantised images from standard input, until its end.

use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};

fn main() -> io::Result<()> {
    let mut arena = Box::new({model}::Arena::new());
    let mut input = BufReader::new(io::stdin().lock());
    let mut output = BufWriter::new(io::stdout().lock());
    let mut bytes = vec![0; {model}::INPUT_LEN];
    while !input.fill_buf()?.is_empty() {
        input.read_exact(&mut bytes)?;
        for (q, byte) in arena.input_mut().iter_mut().zip(&bytes) {
            *q = *byte as i8;
        }
        for q in {model}::run(&mut arena) {
            output.write_all(&[q as u8])?;
        }
    }
    output.flush()
}
"#;
