//! Emitted crates compute what the reference interpreter computes, compile without warnings, are
//! formatted, and build for a microcontroller.
#![allow(clippy::unwrap_used)]

mod common;

use common::compile::{compile, link, run, write};
use common::random_net::random_net;
use hytc::emit::rust::{emit, single_file, EmittedFile, Metadata};
use hytc::graph::{Act, Fact, Graph, Network, NodeId, Op, Padding, Window};
use hytc::lower::interpret::interpret;
use hytc::lower::{lower, plan, Bound};
use hytc::source::Span;
use hytc::weights::Weights;
use rand::{RngExt, SeedableRng};
use std::process::Command;

type Value = (NodeId, Fact);

struct Net {
    graph: Graph,
    input: Fact,
}

impl Net {
    fn new(h: usize, w: usize, c: usize) -> (Net, Value) {
        let mut graph = Graph::default();
        let id = graph.add_input(Span::default());
        let input = Fact::Map { c, h, w };
        (Net { graph, input }, (id, input))
    }

    fn op(&mut self, op: Op, inputs: &[Value]) -> Value {
        self.graph.add(op, op.name(), Span::default(), inputs).unwrap()
    }

    /// With `same` padding.
    fn conv(&mut self, x: Value, out: usize, k: usize, [stride, dilation, groups]: [usize; 3]) -> Value {
        let Fact::Map { h, w, .. } = x.1 else { return x };
        let padding = Window::same(k, stride, dilation, h, w);
        let window = Window { kernel: k, stride, dilation, padding };
        self.op(Op::Conv { out, window, groups, bias: groups == 1 }, &[x])
    }

    fn bn(&mut self, x: Value) -> Value {
        self.op(Op::BatchNorm { eps: 1e-3 }, &[x])
    }

    fn act(&mut self, x: Value, act: Act) -> Value {
        self.op(Op::Activation(act), &[x])
    }

    fn classify(mut self, x: Value, classes: usize) -> Network {
        let x = self.op(Op::GlobalAvgPool, &[x]);
        let x = self.op(Op::Linear { out: classes, bias: true }, &[x]);
        self.finish(x)
    }

    fn finish(mut self, x: Value) -> Network {
        self.graph.set_output(x.0);
        self.graph.validate(self.input).unwrap()
    }
}

fn window(kernel: usize, stride: usize, [top, left, bottom, right]: [usize; 4]) -> Window {
    Window { kernel, stride, dilation: 1, padding: Padding { top, left, bottom, right } }
}

/// Convolutions of every kind, with every activation.
fn convolutions() -> Network {
    let (mut n, x) = Net::new(23, 18, 3);
    let x = n.conv(x, 10, 3, [2, 1, 1]);
    let x = n.bn(x);
    let x = n.act(x, Act::HardSwish);
    let x = n.conv(x, 10, 3, [1, 1, 10]);
    let x = n.bn(x);
    let x = n.act(x, Act::Relu6);
    let x = n.conv(x, 13, 1, [1, 1, 1]);
    let x = n.act(x, Act::Silu);
    let x = n.conv(x, 12, 5, [2, 1, 1]);
    let x = n.act(x, Act::Gelu);
    let x = n.conv(x, 24, 3, [1, 1, 4]);
    let x = n.act(x, Act::Sigmoid);
    let x = n.conv(x, 24, 3, [1, 2, 24]);
    let x = n.act(x, Act::Relu);
    let x = n.conv(x, 8, 3, [1, 2, 1]);
    // A depthwise convolution with two outputs of each channel; one with padding on one side only.
    let x = n.conv(x, 16, 3, [1, 1, 8]);
    let odd = window(3, 2, [2, 0, 0, 1]);
    let x = n.op(Op::Conv { out: 7, window: odd, groups: 1, bias: false }, &[x]);
    let x = n.op(Op::Conv { out: 7, window: window(2, 1, [1, 0, 1, 0]), groups: 7, bias: false }, &[x]);
    n.classify(x, 5)
}

/// Branches: sums, products, concatenation, pooling, squeeze and excite; all the in-place forms.
fn branches() -> Network {
    let (mut n, image) = Net::new(16, 12, 2);
    let x = n.conv(image, 8, 3, [1, 1, 1]);
    // Batch norm of something that is read twice stays an affine step.
    let a = n.bn(x);
    let b = n.act(x, Act::Relu);
    let sum = n.op(Op::Add, &[a, b, x]);
    let sum = n.act(sum, Act::Silu);
    let wide = n.op(Op::Concat, &[sum, x, image]);
    let wide = n.act(wide, Act::Relu);
    let max = n.op(Op::MaxPool(window(3, 2, [1, 1, 1, 1])), &[wide]);
    let mean = n.op(Op::AvgPool(window(3, 2, [1, 1, 1, 1])), &[wide]);
    let product = n.op(Op::Mul, &[max, mean]);
    // Squeeze and excite.
    let s = n.op(Op::GlobalAvgPool, &[product]);
    let s = n.op(Op::Linear { out: 5, bias: true }, &[s]);
    let s = n.act(s, Act::Relu);
    let s = n.op(Op::Linear { out: 18, bias: false }, &[s]);
    let s = n.act(s, Act::Sigmoid);
    let x = n.op(Op::Mul, &[product, s]);
    let y = n.op(Op::Add, &[x, s]);
    let twice = n.op(Op::Add, &[y, y]);
    let x = n.op(Op::Mul, &[twice, max]);
    let small = n.op(Op::AvgPool(window(2, 2, [0; 4])), &[x]);
    let flat = n.op(Op::Flatten, &[small]);
    let flat = n.op(Op::LayerNorm { eps: 1e-5 }, &[flat]);
    let x = n.op(Op::Linear { out: 9, bias: false }, &[flat]);
    let x = n.op(Op::Dropout { p: 0.5 }, &[x]);
    n.finish(x)
}

/// A MobileViT block on a map that the patch does not divide, and products of tokens.
fn attention() -> Network {
    let (mut n, x) = Net::new(11, 9, 3);
    let x = n.conv(x, 12, 3, [1, 1, 1]);
    let t = n.op(Op::Unfold { patch: 2 }, &[x]);
    let y = n.op(Op::LayerNorm { eps: 1e-5 }, &[t]);
    let y = n.op(Op::Attention { heads: 2, head_dim: 5 }, &[y]);
    let t = n.op(Op::Add, &[t, y]);
    let y = n.op(Op::LayerNorm { eps: 1e-5 }, &[t]);
    let y = n.act(y, Act::Gelu);
    let y = n.op(Op::Linear { out: 24, bias: true }, &[y]);
    let y = n.act(y, Act::Silu);
    let y = n.op(Op::Linear { out: 12, bias: true }, &[y]);
    let t = n.op(Op::Add, &[t, y]);
    let m = n.op(Op::Fold, &[t]);
    let x = n.op(Op::Concat, &[x, m]);
    let x = n.conv(x, 7, 3, [1, 1, 1]);
    let t = n.op(Op::Unfold { patch: 4 }, &[x]);
    let u = n.op(Op::Transpose, &[t]);
    let p = n.op(Op::MatMul, &[t, u]);
    let p = n.op(Op::Softmax, &[p]);
    let p = n.op(Op::Dropout { p: 0.1 }, &[p]);
    let x = n.op(Op::MatMul, &[p, t]);
    let x = n.act(x, Act::Gelu);
    let x = n.op(Op::GlobalAvgPool, &[x]);
    let x = n.op(Op::Softmax, &[x]);
    n.finish(x)
}

/// MobileNetV1 0.25: as much weight as a small classifier has.
fn mobilenet() -> Network {
    let (mut n, x) = Net::new(96, 96, 3);
    let x = n.conv(x, 8, 3, [2, 1, 1]);
    let x = n.bn(x);
    let mut x = n.act(x, Act::Relu);
    let blocks = [(16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2)];
    for (out, stride) in blocks.into_iter().chain([(128, 1); 5]).chain([(256, 2), (256, 1)]) {
        let c = x.1.channels();
        for (out, k, stride, groups) in [(c, 3, stride, c), (out, 1, 1, 1)] {
            x = n.conv(x, out, k, [stride, 1, groups]);
            x = n.bn(x);
            x = n.act(x, Act::Relu);
        }
    }
    n.classify(x, 2)
}

/// Nothing but identities.
fn nothing() -> Network {
    let (mut n, x) = Net::new(2, 3, 1);
    let x = n.op(Op::Dropout { p: 0.5 }, &[x]);
    n.finish(x)
}

fn metadata(name: &str, network: &Network) -> Metadata {
    let c = network.input_fact().channels();
    let n = network.output_fact().elements();
    Metadata {
        name: name.into(),
        classes: (0..n).map(|i| format!("a \"class\" with a long name {i}\n")).collect(),
        mean: vec![0.5; c],
        std: vec![0.25; c],
        spec_hash: hytc::hash::sha256(name.as_bytes()),
        version: "0.1.0".into(),
    }
}

fn bind(network: &Network) -> Bound {
    let weights = Weights::random(network, 7);
    lower(network).bind(&weights).unwrap()
}

fn crate_of(name: &str, network: &Network) -> (Bound, Vec<EmittedFile>) {
    let bound = bind(network);
    let files = emit(&bound, &plan(&bound.lowered, 4), &metadata(name, network)).unwrap();
    (bound, files)
}

fn images(network: &Network, count: usize) -> Vec<f32> {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(3);
    (0..count * network.input_fact().elements()).map(|_| rng.random_range(-2.0..2.0)).collect()
}

/// Compares results, relative to the largest where it is above one.
fn compare(name: &str, found: &[f32], wanted: &[f32]) {
    assert_eq!(found.len(), wanted.len(), "{name}");
    let largest = wanted.iter().fold(1.0f32, |m, x| m.max(x.abs()));
    for (f, w) in found.iter().zip(wanted) {
        assert!((f - w).abs() <= 2e-5 * largest, "{name}: {f} is not {w}\n{found:?}\n{wanted:?}");
    }
}

fn agrees(name: &str, network: &Network, count: usize) {
    let (found, wanted) = both(name, network, count);
    let (low, high) = wanted.iter().fold((f32::MAX, f32::MIN), |(a, b), &x| (a.min(x), b.max(x)));
    assert!(high - low > 1e-3, "{name}: all results are alike, the comparison would show nothing");
    compare(name, &found, &wanted);
}

/// The results of the compiled crate and those of the interpreter.
fn both(name: &str, network: &Network, count: usize) -> (Vec<f32>, Vec<f32>) {
    let (bound, files) = crate_of(name, network);
    let dir = tempfile::tempdir().unwrap();
    let exe = compile(dir.path(), &files, name);
    let images = images(network, count);
    let found = run(&exe, &images);
    let each = images.chunks(network.input_fact().elements());
    let wanted: Vec<f32> = each.flat_map(|image| interpret(&bound, image)).collect();
    (found, wanted)
}

#[test]
fn convolutions_agree() {
    agrees("convolutions", &convolutions(), 3);
}

#[test]
fn branches_agree() {
    agrees("branches", &branches(), 3);
}

#[test]
fn attention_agrees() {
    agrees("attention", &attention(), 3);
}

#[test]
fn nothing_agrees() {
    agrees("nothing", &nothing(), 2);
}

/// Random networks of all operators; `HYTC_RANDOM_NETS` says how many.
#[test]
fn random_networks_agree() {
    let count = std::env::var("HYTC_RANDOM_NETS").ok().and_then(|n| n.parse().ok()).unwrap_or(6);
    let mut distinct = 0;
    for seed in 0..count {
        let name = format!("random {seed}");
        let (found, wanted) = both(&name, &random_net(seed), 2);
        compare(&name, &found, &wanted);
        distinct += usize::from(wanted.iter().any(|&x| (x - wanted[0]).abs() > 1e-3));
    }
    assert!(distinct * 2 > count as usize, "most networks give constants");
}

#[test]
fn mobilenet_agrees_and_compiles_soon() {
    let start = std::time::Instant::now();
    agrees("mobilenet 0.25", &mobilenet(), 1);
    assert!(start.elapsed().as_secs() < 60, "took {:?}", start.elapsed());
}

#[test]
fn constants_are_exact() {
    let network = mobilenet();
    let (bound, files) = crate_of("m", &network);
    let text = |path: &str| files.iter().find(|f| f.path == path).unwrap().text.clone();
    let lib = text("src/lib.rs");
    let arena = plan(&bound.lowered, 4).arena_bytes;
    assert!(lib.contains(&format!("pub const ARENA_BYTES: usize = {arena};")));
    assert!(lib.contains("pub const PARAMS: usize = 210850;"));
    assert!(lib.contains("pub const MACS: u64 = 7489664;"));
    // Every weight is there once, with all its bits.
    let mut found: Vec<u32> = Vec::new();
    for line in text("src/weights.rs").lines().filter(|l| l.starts_with("    ")) {
        found.extend(
            line.split(',')
                .map(str::trim)
                .filter(|x| !x.is_empty())
                .map(|x| x.parse::<f32>().unwrap().to_bits()),
        );
    }
    let mut wanted: Vec<u32> = bound.arrays.iter().flat_map(|a| a.data.iter().map(|x| x.to_bits())).collect();
    found.sort_unstable();
    wanted.sort_unstable();
    assert!(found == wanted);
}

/// rustfmt, clippy, rustdoc and the documentation's example have nothing to say.
#[test]
fn the_crate_is_clean() {
    for (name, network) in [("branches", branches()), ("convolutions", convolutions()), ("type", attention())]
    {
        let (_, files) = crate_of(name, &network);
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &files);
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

/// The form for build scripts: included as a module, with the crate's results.
#[test]
fn a_single_file_agrees() {
    let network = attention();
    let bound = bind(&network);
    let text = single_file(&bound, &plan(&bound.lowered, 4), &metadata("x", &network)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("model.rs");
    std::fs::write(&file, text).unwrap();
    let module = format!(
        "{}\n#[allow(dead_code)]\nmod model {{ include!({:?}); }}\n",
        hytc::emit::rust::harness_main("model"),
        file.to_str().unwrap()
    );
    let exe = link(dir.path(), &module, &[]);
    let images = images(&network, 2);
    let each = images.chunks(network.input_fact().elements());
    let wanted: Vec<f32> = each.flat_map(|image| interpret(&bound, image)).collect();
    compare("single file", &run(&exe, &images), &wanted);
}

/// Builds for a Cortex-M4, without a panic left in the code. Skipped where the cross compiler of
/// `tools/cross` is not there.
#[test]
fn builds_for_a_microcontroller() {
    let rustc = hytc::target::Toolchain::prefix().join("tc/bin/rustc");
    if !rustc.exists() {
        eprintln!("skipped: no {}", rustc.display());
        return;
    }
    for (name, network) in
        [("branches", branches()), ("convolutions", convolutions()), ("attention", attention())]
    {
        let (_, files) = crate_of(name, &network);
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &files);
        let assembly = dir.path().join("out.s");
        let out = Command::new(&rustc)
            .args(["--edition", "2021", "-O", "-D", "warnings", "--crate-type", "lib", "--crate-name", name])
            .args(["--target", "thumbv7em-none-eabihf", "--emit", "asm", "-Ccodegen-units=1", "-o"])
            .arg(&assembly)
            .arg(dir.path().join("src/lib.rs"))
            .output()
            .unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let text = std::fs::read_to_string(assembly).unwrap();
        assert!(text.contains("vadd.f32") || text.contains("vmla.f32"), "no code was generated");
        let panics: Vec<&str> = text.lines().filter(|l| l.contains("panic")).collect();
        assert!(panics.is_empty(), "{name}: {panics:?}");
    }
}

#[test]
fn what_cannot_be_emitted_is_said() {
    let network = branches();
    let mut bound = bind(&network);
    let places = plan(&bound.lowered, 4);
    let good = metadata("x", &network);
    let codes = |r: Result<Vec<EmittedFile>, Vec<hytc::diag::Diagnostic>>| {
        r.unwrap_err().iter().map(|d| d.message.clone()).collect::<Vec<_>>().join("; ")
    };
    let few = Metadata { classes: vec!["one".into()], ..good.clone() };
    assert!(codes(emit(&bound, &places, &few)).contains("9 outputs for 1 classes"));
    let flat = Metadata { std: vec![0.0, 1.0], ..good.clone() };
    assert!(codes(emit(&bound, &places, &flat)).contains("not zero"));
    let gray = Metadata { mean: vec![0.5], ..good.clone() };
    assert!(codes(emit(&bound, &places, &gray)).contains("1 means"));
    assert!(codes(emit(&bound, &plan(&bound.lowered, 1), &good)).contains("four-byte"));
    bound.arrays[0].data[3] = f32::NAN;
    assert!(codes(emit(&bound, &places, &good)).contains("holds NaN"));
}
