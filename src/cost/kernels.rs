//! What the int8 kernels take in flash, by architecture: fitted to linked images of random networks by
//! `scripts/measure-kernels/code.py`, whose head has the commands (Rust 1.96, `opt-level = 3`, LTO, one
//! codegen unit). When a kernel or the compiler changes, `tests/linked.rs` tells that it must run again.

/// An architecture's figures.
#[derive(Debug, Clone, Copy)]
pub(super) struct Architecture {
    /// The cores, as `core` of a device's profile names them.
    pub(super) cores: &'static [&'static str],
    /// Bytes of a pointer.
    pub(super) pointer: usize,
    /// What every network takes.
    pub(super) base: usize,
    /// The kernels, each with what only it uses.
    pub(super) kernels: &'static [(&'static str, usize)],
    /// What several kernels use, in the order of [`SHARED`].
    pub(super) shared: &'static [usize],
    /// Bytes between constants, for each call.
    pub(super) padding: f64,
}

/// What several kernels use: what it is, and who uses it. As in the script.
pub(super) const SHARED: [(&str, &[&str]); 6] = [
    ("rows of dense layers", &["conv", "linear"]),
    ("results of channels", &["affine", "depthwise"]),
    ("exponential", &["attention", "softmax"]),
    ("windows", &["avg_pool", "max_pool"]),
    ("patches", &["fold", "unfold"]),
    (
        "rescaling",
        &["attention", "conv", "global_avg_pool", "layer_norm", "linear", "matmul", "mul", "softmax"],
    ),
];

const ARCHITECTURES: [Architecture; 4] = [
    // cortex-m0: 42 networks, 5576 to 15390 bytes; largest error 71,
    // left out 589
    Architecture {
        cores: &["cortex-m0", "cortex-m0plus"],
        pointer: 4,
        base: 867,
        kernels: &[
            ("add", 763),
            ("affine", 996),
            ("attention", 1700),
            ("avg_pool", 517),
            ("concat", 192),
            ("conv", 1353),
            ("depthwise", 3804),
            ("fold", 59),
            ("global_avg_pool", 220),
            ("layer_norm", 730),
            ("linear", 867),
            ("map", 161),
            ("matmul", 491),
            ("max_pool", 490),
            ("mul", 152),
            ("softmax", 478),
            ("transpose", 333),
            ("unfold", 182),
        ],
        shared: &[867, 45, 624, 18, 182, 867],
        padding: 0.00,
    },
    // cortex-m4: 42 networks, 4530 to 13724 bytes; largest error 68,
    // left out 581
    Architecture {
        cores: &["cortex-m4"],
        pointer: 4,
        base: 694,
        kernels: &[
            ("add", 660),
            ("affine", 769),
            ("attention", 1501),
            ("avg_pool", 513),
            ("concat", 159),
            ("conv", 1340),
            ("depthwise", 3543),
            ("fold", 54),
            ("global_avg_pool", 181),
            ("layer_norm", 721),
            ("linear", 694),
            ("map", 135),
            ("matmul", 490),
            ("max_pool", 512),
            ("mul", 143),
            ("softmax", 521),
            ("transpose", 232),
            ("unfold", 223),
        ],
        shared: &[694, 6, 427, 22, 223, 694],
        padding: 0.00,
    },
    // cortex-m7: 42 networks, 4982 to 14818 bytes; largest error 79,
    // left out 346
    Architecture {
        cores: &["cortex-m7"],
        pointer: 4,
        base: 772,
        kernels: &[
            ("add", 702),
            ("affine", 824),
            ("attention", 1696),
            ("avg_pool", 636),
            ("concat", 182),
            ("conv", 1443),
            ("depthwise", 3661),
            ("fold", 109),
            ("global_avg_pool", 222),
            ("layer_norm", 753),
            ("linear", 772),
            ("map", 149),
            ("matmul", 461),
            ("max_pool", 585),
            ("mul", 159),
            ("softmax", 551),
            ("transpose", 266),
            ("unfold", 229),
        ],
        shared: &[772, 33, 420, 24, 229, 772],
        padding: 0.00,
    },
    // riscv32: 42 networks, 4558 to 12844 bytes; largest error 46,
    // left out 266
    Architecture {
        cores: &["riscv32"],
        pointer: 4,
        base: 689,
        kernels: &[
            ("add", 272),
            ("affine", 534),
            ("attention", 1860),
            ("avg_pool", 471),
            ("concat", 185),
            ("conv", 1333),
            ("depthwise", 2581),
            ("fold", 99),
            ("global_avg_pool", 299),
            ("layer_norm", 1005),
            ("linear", 689),
            ("map", 101),
            ("matmul", 558),
            ("max_pool", 411),
            ("mul", 263),
            ("softmax", 489),
            ("transpose", 276),
            ("unfold", 190),
        ],
        shared: &[689, 5, 557, 24, 190, 689],
        padding: 0.00,
    },
];

impl Architecture {
    /// The architecture of a core.
    pub(super) fn of(core: &str) -> Option<&'static Architecture> {
        ARCHITECTURES.iter().find(|a| a.cores.contains(&core))
    }
}
