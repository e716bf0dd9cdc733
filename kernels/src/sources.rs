//! The text of the kernels, for the compiler to copy into the crates that it emits.

/// One file of kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct File {
    /// The module's name.
    pub name: &'static str,
    /// Modules that it uses.
    pub uses: &'static [&'static str],
    /// Its text.
    pub text: &'static str,
}

/// The files of [`crate::float`], every file after those that it uses.
pub const FLOAT: &[File] = &[
    File {
        name: "math",
        uses: &[],
        text: include_str!("float/math.rs"),
    },
    File {
        name: "tile",
        uses: &[],
        text: include_str!("float/tile.rs"),
    },
    File {
        name: "activation",
        uses: &["math"],
        text: include_str!("float/activation.rs"),
    },
    File {
        name: "affine",
        uses: &[],
        text: include_str!("float/affine.rs"),
    },
    File {
        name: "softmax",
        uses: &["math"],
        text: include_str!("float/softmax.rs"),
    },
    File {
        name: "attention",
        uses: &["softmax", "tile"],
        text: include_str!("float/attention.rs"),
    },
    File {
        name: "conv",
        uses: &["tile"],
        text: include_str!("float/conv.rs"),
    },
    File {
        name: "depthwise",
        uses: &[],
        text: include_str!("float/depthwise.rs"),
    },
    File {
        name: "elementwise",
        uses: &[],
        text: include_str!("float/elementwise.rs"),
    },
    File {
        name: "layer_norm",
        uses: &["math"],
        text: include_str!("float/layer_norm.rs"),
    },
    File {
        name: "linear",
        uses: &["tile"],
        text: include_str!("float/linear.rs"),
    },
    File {
        name: "matmul",
        uses: &["tile"],
        text: include_str!("float/matmul.rs"),
    },
    File {
        name: "patches",
        uses: &[],
        text: include_str!("float/patches.rs"),
    },
    File {
        name: "pool",
        uses: &[],
        text: include_str!("float/pool.rs"),
    },
    File {
        name: "shape",
        uses: &[],
        text: include_str!("float/shape.rs"),
    },
];

/// The files of [`crate::int8`], every file after those that it uses.
pub const INT8: &[File] = &[
    File {
        name: "shape",
        uses: &[],
        text: include_str!("int8/shape.rs"),
    },
    File {
        name: "requantise",
        uses: &["shape"],
        text: include_str!("int8/requantise.rs"),
    },
    File {
        name: "exp",
        uses: &["requantise"],
        text: include_str!("int8/exp.rs"),
    },
    File {
        name: "dot",
        uses: &[],
        text: include_str!("int8/dot.rs"),
    },
    File {
        name: "channels",
        uses: &["requantise", "shape"],
        text: include_str!("int8/channels.rs"),
    },
    File {
        name: "affine",
        uses: &["channels", "shape"],
        text: include_str!("int8/affine.rs"),
    },
    File {
        name: "linear",
        uses: &["channels", "dot"],
        text: include_str!("int8/linear.rs"),
    },
    File {
        name: "conv",
        uses: &["channels", "linear", "shape"],
        text: include_str!("int8/conv.rs"),
    },
    File {
        name: "depthwise",
        uses: &["channels", "shape"],
        text: include_str!("int8/depthwise.rs"),
    },
    File {
        name: "elementwise",
        uses: &["requantise", "shape"],
        text: include_str!("int8/elementwise.rs"),
    },
    File {
        name: "softmax",
        uses: &["exp", "requantise", "shape"],
        text: include_str!("int8/softmax.rs"),
    },
    File {
        name: "layer_norm",
        uses: &["requantise", "shape"],
        text: include_str!("int8/layer_norm.rs"),
    },
    File {
        name: "attention",
        uses: &["exp", "requantise", "shape"],
        text: include_str!("int8/attention.rs"),
    },
    File {
        name: "matmul",
        uses: &["requantise", "shape"],
        text: include_str!("int8/matmul.rs"),
    },
    File {
        name: "patches",
        uses: &["shape"],
        text: include_str!("int8/patches.rs"),
    },
    File {
        name: "pool",
        uses: &["requantise", "shape"],
        text: include_str!("int8/pool.rs"),
    },
];
