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
    // cortex-m0: 31 networks, 5150 to 13557 bytes; largest error 58,
    // left out 969
    Architecture {
        cores: &["cortex-m0", "cortex-m0plus"],
        pointer: 4,
        base: 871,
        kernels: &[
            ("add", 596),
            ("affine", 913),
            ("attention", 1737),
            ("avg_pool", 223),
            ("concat", 273),
            ("conv", 1278),
            ("depthwise", 3802),
            ("fold", 305),
            ("global_avg_pool", 237),
            ("layer_norm", 702),
            ("linear", 871),
            ("map", 119),
            ("matmul", 391),
            ("max_pool", 130),
            ("mul", 268),
            ("softmax", 537),
            ("transpose", 391),
            ("unfold", 100),
        ],
        shared: &[871, 145, 659, 352, 100, 871],
        padding: 0.00,
    },
    // cortex-m4: 46 networks, 4554 to 13868 bytes; largest error 83,
    // left out 228
    Architecture {
        cores: &["cortex-m4"],
        pointer: 4,
        base: 688,
        kernels: &[
            ("add", 524),
            ("affine", 768),
            ("attention", 1523),
            ("avg_pool", 529),
            ("concat", 180),
            ("conv", 1281),
            ("depthwise", 3523),
            ("fold", 33),
            ("global_avg_pool", 204),
            ("layer_norm", 728),
            ("linear", 688),
            ("map", 161),
            ("matmul", 480),
            ("max_pool", 498),
            ("mul", 170),
            ("softmax", 525),
            ("transpose", 214),
            ("unfold", 208),
        ],
        shared: &[688, 0, 724, 63, 208, 688],
        padding: 0.00,
    },
    // cortex-m7: 32 networks, 4448 to 14558 bytes; largest error 59,
    // left out 379
    Architecture {
        cores: &["cortex-m7"],
        pointer: 4,
        base: 826,
        kernels: &[
            ("add", 593),
            ("affine", 791),
            ("attention", 1667),
            ("avg_pool", 771),
            ("concat", 179),
            ("conv", 1371),
            ("depthwise", 3762),
            ("fold", 206),
            ("global_avg_pool", 250),
            ("layer_norm", 837),
            ("linear", 826),
            ("map", 0),
            ("matmul", 415),
            ("max_pool", 595),
            ("mul", 171),
            ("softmax", 606),
            ("transpose", 351),
            ("unfold", 163),
        ],
        shared: &[826, 17, 673, 8, 163, 826],
        padding: 0.00,
    },
    // riscv32: 29 networks, 5121 to 12924 bytes; largest error 36,
    // left out 578
    Architecture {
        cores: &["riscv32"],
        pointer: 4,
        base: 735,
        kernels: &[
            ("add", 202),
            ("affine", 535),
            ("attention", 1903),
            ("avg_pool", 532),
            ("concat", 244),
            ("conv", 1209),
            ("depthwise", 2620),
            ("fold", 126),
            ("global_avg_pool", 323),
            ("layer_norm", 1054),
            ("linear", 735),
            ("map", 0),
            ("matmul", 506),
            ("max_pool", 461),
            ("mul", 302),
            ("softmax", 483),
            ("transpose", 404),
            ("unfold", 126),
        ],
        shared: &[735, 21, 715, 0, 126, 735],
        padding: 0.00,
    },
];

impl Architecture {
    /// The architecture of a core.
    pub(super) fn of(core: &str) -> Option<&'static Architecture> {
        ARCHITECTURES.iter().find(|a| a.cores.contains(&core))
    }
}
