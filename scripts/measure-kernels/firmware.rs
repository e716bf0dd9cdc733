//! A firmware without an operating system that runs one kernel on several shapes, each between the
//! marker instructions that the counting plugin knows. `--cfg kernel="..."` chooses the kernel, so
//! that the size of the image tells the kernel's code size; with `kernel="none"` it is empty.
#![no_std]
#![no_main]
#![allow(dead_code, unused_imports, unexpected_cfgs, clippy::all)]

use core::arch::{asm, global_asm};
use core::hint::black_box as b;
use hytc_kernels::float::{activation, affine, attention, conv, depthwise, elementwise, layer_norm, linear};
use hytc_kernels::float::{matmul, patches, pool, shape, softmax};

#[cfg(fpu)]
global_asm!(
    ".section .text.reset", ".global reset", ".thumb_func", "reset:",
    "ldr r0, =0xE000ED88", "ldr r1, [r0]", "ldr r2, =0x00F00000", "orr r1, r2", "str r1, [r0]",
    "dsb", "isb", "bl main",
);
#[cfg(all(not(fpu), target_arch = "arm"))]
global_asm!(".section .text.reset", ".global reset", ".thumb_func", "reset:", "bl main");
#[cfg(target_arch = "arm")]
global_asm!(".section .vectors, \"a\"", ".word reset", ".word 0", ".word 0");

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    exit(1)
}

#[cfg(target_arch = "aarch64")]
fn exit(code: u32) -> ! {
    extern "C" {
        fn exit(code: i32) -> !;
    }
    unsafe { exit(code as i32) }
}

/// Semihosting: SYS_EXIT_EXTENDED where it is there, with ADP_Stopped_ApplicationExit.
#[cfg(target_arch = "arm")]
fn exit(code: u32) -> ! {
    let block = [0x20026u32, code];
    loop {
        unsafe { asm!("bkpt 0xAB", in("r0") 0x20u32, in("r1") block.as_ptr()) }
    }
}

const N: usize = 1 << 17;
static mut X: [f32; N] = [0.0; N];
static mut W: [f32; N] = [0.0; N];
static mut Y: [f32; N] = [0.0; N];

/// Slices that cannot panic: panics would count as code.
fn part(x: &[f32], n: usize) -> &[f32] {
    x.get(..n).unwrap_or_default()
}

fn part_mut(x: &mut [f32], n: usize) -> &mut [f32] {
    x.get_mut(..n).unwrap_or_default()
}

/// Counts the instructions of `f`.
#[inline(always)]
fn count(f: impl FnOnce(&[f32], &[f32], &mut [f32])) {
    unsafe {
        let (x, w, y) = (&*(&raw const X), &*(&raw const W), &mut *(&raw mut Y));
        let (x, w, y) = (b(part(x, N)), b(&w[..]), b(&mut y[..]));
        #[cfg(target_arch = "arm")]
        asm!("mov r9, r9");
        #[cfg(target_arch = "aarch64")]
        asm!("orr x27, x27, x27");
        f(x, w, y);
        #[cfg(target_arch = "arm")]
        asm!("mov r10, r10");
        #[cfg(target_arch = "aarch64")]
        asm!("orr x28, x28, x28");
        b(y);
    }
}

fn convolution(side: usize, c: usize, out: usize, kernel: usize, stride: usize) {
    let o = side.div_ceil(stride);
    let pad = (((o - 1) * stride + kernel) - side) / 2;
    let s = b(conv::Conv {
        height: side, width: side, channels: c, out_width: o, out_channels: out, kernel, stride,
        dilation: 1, top: pad, left: pad, groups: 1,
    });
    count(|x, w, y| {
        conv::conv(part(x, side * side * c), part(w, out * c * kernel * kernel), part(w, out), part_mut(y, o * o * out), &s, activation::relu)
    });
}

fn dw(side: usize, c: usize, kernel: usize, stride: usize) {
    let o = side.div_ceil(stride);
    let pad = (((o - 1) * stride + kernel) - side) / 2;
    let s = b(depthwise::Depthwise {
        height: side, width: side, channels: c, out_width: o, kernel, stride, dilation: 1, top: pad, left: pad,
    });
    count(|x, w, y| {
        depthwise::depthwise(part(x, side * side * c), part(w, c * kernel * kernel), part(w, c), part_mut(y, o * o * c), &s, activation::relu)
    });
}

fn dense(rows: usize, inputs: usize, outputs: usize) {
    let (i, o) = (b(inputs), b(outputs));
    count(|x, w, y| linear::linear(part(x, rows * i), part(w, i * o), part(w, o), part_mut(y, rows * o), i, o, activation::relu));
}

fn core(groups: usize, tokens: usize, heads: usize, head_dim: usize) {
    let s = b(attention::Attention { tokens, heads, head_dim, scale: 0.3 });
    let n = groups * tokens * heads * head_dim;
    count(|x, _, y| {
        let Some((y, scores)) = y.split_at_mut_checked(n) else { return };
        attention::attention(part(x, 3 * n), part_mut(scores, tokens), y, &s)
    });
}

fn window(side: usize, c: usize, kernel: usize, stride: usize, run: fn(&[f32], &mut [f32], &pool::Pool)) {
    let o = (side - kernel) / stride + 1;
    let s = b(pool::Pool {
        height: side, width: side, channels: c, out_width: o, kernel, stride, dilation: 1, top: 0, left: 0,
    });
    count(|x, _, y| run(part(x, side * side * c), part_mut(y, o * o * c), &s));
}

/// The cases; `run.py` knows the same list.
fn cases() {
    if cfg!(kernel = "arithmetic") {
        // What every kernel on a core without floating point shares.
        count(|x, w, y| {
            for ((y, x), w) in y.iter_mut().zip(x).zip(w).take(64) {
                *y = if *x > *w { *x * *w + *x } else { *x / *w - *w };
            }
        });
    }
    if cfg!(kernel = "conv") {
        convolution(96, 3, 8, 3, 2);
        convolution(32, 3, 16, 3, 1);
        convolution(16, 16, 16, 3, 1);
        convolution(16, 32, 32, 3, 2);
        convolution(8, 64, 64, 3, 1);
    }
    if cfg!(kernel = "pointwise") || cfg!(kernel = "linear") {
        dense(48 * 48, 8, 16);
        dense(24 * 24, 32, 32);
        dense(12 * 12, 64, 64);
        dense(6 * 6, 128, 128);
        dense(3 * 3, 256, 256);
    }
    if cfg!(kernel = "vector") {
        dense(1, 256, 2);
        dense(1, 64, 10);
        dense(1, 784, 64);
        dense(1, 256, 128);
    }
    if cfg!(kernel = "depthwise") {
        dw(48, 8, 3, 1);
        dw(24, 32, 3, 1);
        dw(24, 32, 3, 2);
        dw(12, 64, 3, 1);
        dw(6, 128, 3, 1);
        dw(12, 32, 5, 1);
    }
    if cfg!(kernel = "attention") {
        core(4, 36, 2, 16);
        core(16, 9, 4, 16);
        core(1, 64, 1, 32);
        core(4, 144, 1, 16);
    }
    if cfg!(kernel = "matmul") {
        let (n, k, m) = b((64, 32, 64));
        count(|x, w, y| matmul::matmul(part(x, n * k), part(w, k * m), part_mut(y, n * m), [n, k, m], activation::identity));
    }
    if cfg!(kernel = "elementwise") {
        count(|x, w, y| elementwise::add_in_place(part_mut(y, 4096), part(x, 4096), activation::relu));
        count(|x, w, y| elementwise::mul_channels_in_place(part_mut(y, 4096), part(x, 64), activation::identity));
        count(|x, w, y| affine::affine_in_place(part_mut(y, 4096), part(w, 64), part(x, 64), activation::identity));
    }
    if cfg!(kernel = "activation") {
        count(|x, _, y| activation::map(part(x, 4096), part_mut(y, 4096), activation::silu));
        count(|x, _, y| activation::map(part(x, 4096), part_mut(y, 4096), activation::gelu));
        count(|x, _, y| activation::map(part(x, 4096), part_mut(y, 4096), activation::sigmoid));
    }
    if cfg!(kernel = "pool") {
        window(24, 16, 2, 2, pool::max_pool);
        window(24, 32, 3, 2, pool::avg_pool);
        count(|x, _, y| pool::global_avg_pool(part(x, 9 * 256), part_mut(y, 256)));
    }
    if cfg!(kernel = "softmax") {
        let n = b(64);
        count(|x, _, y| softmax::softmax_in_place(part_mut(y, 4096), n));
    }
    if cfg!(kernel = "layer_norm") {
        count(|x, w, y| layer_norm::layer_norm(part(x, 4096), part(w, 64), part(w, 64), part_mut(y, 4096), 1e-5));
        count(|x, w, y| layer_norm::layer_norm(part(x, 4096), part(w, 128), part(w, 128), part_mut(y, 4096), 1e-5));
    }
    if cfg!(kernel = "copy") {
        let s = b(patches::Patches { height: 12, width: 12, channels: 32, patch: 2 });
        count(|x, _, y| patches::unfold(part(x, 4608), part_mut(y, 4608), &s));
        count(|x, _, y| patches::fold(part(x, 4608), part_mut(y, 4608), &s));
        count(|x, _, y| shape::concat(part(x, 4608), part_mut(y, 9216), 32, 64, 32));
    }
}

#[no_mangle]
extern "C" fn main() -> i32 {
    // Values in -1..1, as activations have; software floating point takes longer for some.
    let mut state = 1u32;
    let (x, w, y) = unsafe { (&mut *(&raw mut X), &mut *(&raw mut W), &mut *(&raw mut Y)) };
    for ((x, w), y) in x.iter_mut().zip(w).zip(y) {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let value = (state >> 8) as f32 * (2.0 / 16_777_216.0) - 1.0;
        (*x, *w, *y) = (value, value * 0.2 + 0.01, value * 0.9);
    }
    cases();
    exit(0)
}
