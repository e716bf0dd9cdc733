//! Emitted ONNX against numbers computed by hand, and against the interpreter of the lowered
//! network, in two runtimes that are not ours: ONNX Runtime and (with the feature `verify`) tract.

#[path = "common/net.rs"]
mod net;
#[path = "common/python.rs"]
mod python;
#[path = "common/random_net.rs"]
mod random_net;

use hytc::emit::onnx::{emit, Metadata};
use hytc::graph::{Act, Fact, Network, Op};
use hytc::lower::interpret::interpret;
use hytc::lower::{lower, Bound};
use hytc::weights::Weights;
use net::{images, padded, plain, same, Net, Value};
use python::onnx_check;
use random_net::random_net;
use std::collections::BTreeSet;
use std::path::Path;

/// A network with weights and inputs, and what must come out.
struct Case {
    name: String,
    network: Network,
    bound: Bound,
    inputs: Vec<f32>,
    count: usize,
    expected: Vec<f32>,
}

impl Case {
    /// Random weights and inputs; the interpreter says what must come out.
    fn random(name: impl Into<String>, network: Network, seed: u64) -> Case {
        let count = 3;
        let bound = lower(&network).bind(&Weights::random(&network, seed)).unwrap();
        let inputs = images(network.input_fact(), count, seed);
        let Fact::Map { c, h, w } = network.input_fact() else { panic!("not a map") };
        let expected = inputs
            .chunks(network.input_fact().elements())
            .flat_map(|image| interpret(&bound, &rows(image, c, h * w)))
            .collect();
        let expected = planes_of(expected, network.output_fact());
        Case { name: name.into(), network, bound, inputs, count, expected }
    }

    /// Weights, one image, and a result that were written by hand.
    fn by_hand(
        name: &str,
        network: Network,
        weights: &[(&str, &[f32])],
        image: &[f32],
        expected: &[f32],
    ) -> Case {
        let mut all = Weights::init(&network, 0);
        for (param, values) in weights {
            let array = all.0.get_mut(*param).unwrap_or_else(|| panic!("there is no `{param}`"));
            assert_eq!(array.data.len(), values.len(), "`{param}`");
            array.data = values.to_vec();
        }
        let bound = lower(&network).bind(&all).unwrap();
        Case {
            name: name.into(),
            network,
            bound,
            inputs: image.to_vec(),
            count: 1,
            expected: expected.to_vec(),
        }
    }

    fn onnx(&self) -> Vec<u8> {
        emit(&self.bound, &Metadata::default()).unwrap_or_else(|d| panic!("{}: {}", self.name, d[0].message))
    }

    /// Rounding in another order: a few units in the last place of the largest numbers.
    fn tolerance(&self) -> f64 {
        let largest = self.expected.iter().fold(1.0f32, |m, x| m.max(x.abs()));
        2e-5 * f64::from(largest)
    }
}

/// `[c][h * w]` as `[h * w][c]`, the order of emitted code.
fn rows(planes: &[f32], c: usize, positions: usize) -> Vec<f32> {
    (0..positions).flat_map(|p| (0..c).map(move |i| planes[i * positions + p])).collect()
}

/// Results in the order of emitted code, in the order of ONNX.
fn planes_of(values: Vec<f32>, fact: Fact) -> Vec<f32> {
    let Fact::Map { c, h, w } = fact else { return values };
    values.chunks(fact.elements()).flat_map(|map| rows(map, h * w, c)).collect()
}

fn write(directory: &Path, case: &Case) {
    let directory = directory.join(&case.name);
    std::fs::create_dir_all(&directory).unwrap();
    let put = |name: &str, bytes: &[u8]| std::fs::write(directory.join(name), bytes).unwrap();
    let floats = |v: &[f32]| v.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
    let Fact::Map { c, h, w } = case.network.input_fact() else { panic!("not a map") };
    put("model.onnx", &case.onnx());
    put("input.f32", &floats(&case.inputs));
    put("expected.f32", &floats(&case.expected));
    let about = serde_json::json!({
        "batch": case.count,
        "input": [c, h, w],
        "params": case.bound.lowered.params(),
        "tolerance": case.tolerance(),
    });
    put("case.json", about.to_string().as_bytes());
}

/// Compares every case in both runtimes; panics with all that differ.
fn check(cases: &[Case]) {
    let names: BTreeSet<&str> = cases.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names.len(), cases.len(), "two cases of one name");
    let directory = tempfile::tempdir().unwrap();
    for case in cases {
        write(directory.path(), case);
    }
    let (ok, report) = onnx_check(directory.path());
    let bad: Vec<String> = report["rows"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|r| r["ok"] != true)
        .map(ToString::to_string)
        .collect();
    if !bad.is_empty() {
        let kept = directory.keep();
        panic!("ONNX Runtime; the cases are kept in {}:\n{}", kept.display(), bad.join("\n"));
    }
    assert!(ok && report["cases"] == cases.len(), "{report}");
    #[cfg(feature = "verify")]
    in_tract(cases);
}

#[cfg(feature = "verify")]
fn in_tract(cases: &[Case]) {
    let mut bad = Vec::new();
    for case in cases {
        let Fact::Map { c, h, w } = case.network.input_fact() else { panic!("not a map") };
        match hytc::verify::run_tract(&case.onnx(), &case.inputs, case.count, (c, h, w)) {
            Ok(got) => {
                let classes = case.network.output_fact().elements();
                let agreement = hytc::verify::compare(&case.expected, &got, classes).unwrap();
                if !agreement.within(case.tolerance()) {
                    bad.push(format!("{}: {agreement:?}", case.name));
                }
            }
            Err(e) => bad.push(format!("{}: {e}", case.name)),
        }
    }
    assert!(bad.is_empty(), "tract:\n{}", bad.join("\n"));
}

/// A network of one operator on the image, with nothing after it.
fn alone(input: (usize, usize, usize), op: impl Fn(Value) -> Op) -> Network {
    let (mut n, x) = Net::new(input.0, input.1, input.2);
    let y = n.op(op(x), &[x]);
    n.finish(y)
}

#[test]
fn numbers_by_hand() {
    let mut cases = Vec::new();
    let nine: Vec<f32> = (1..=9).map(|x| x as f32).collect();

    // Windows of 2 x 2 at stride 2 with a row of padding above and a column left: 1; (2, 3); (4, 7);
    // (5, 6, 8, 9), the padding neither counted nor seen.
    let window = padded(2, 2, 1, [1, 1, 0, 0]);
    let pooled = [
        ("avg", Op::AvgPool(window), [1.0, 2.5, 5.5, 7.0]),
        ("max", Op::MaxPool(window), [1.0, 3.0, 7.0, 9.0]),
    ];
    for (name, op, expected) in pooled {
        cases.push(Case::by_hand(name, alone((1, 3, 3), |_| op), &[], &nine, &expected));
    }
    // Taps two apart, padded by two. Of the nine taps around a corner the four corners are inside;
    // around the middle of a side, it and the one opposite; around the centre, the centre alone.
    let window = padded(3, 1, 2, [2; 4]);
    let image = [4.0, 0.0, 0.0, 0.0, 3.0, 0.0, 0.0, 6.0, 0.0];
    let expected = [1.0, 3.0, 1.0, 0.0, 3.0, 0.0, 1.0, 3.0, 1.0];
    cases.push(Case::by_hand(
        "avg dilated",
        alone((1, 3, 3), |_| Op::AvgPool(window)),
        &[],
        &image,
        &expected,
    ));
    let expected = [9.0, 8.0, 9.0, 6.0, 5.0, 6.0, 9.0, 8.0, 9.0];
    cases.push(Case::by_hand(
        "max dilated",
        alone((1, 3, 3), |_| Op::MaxPool(window)),
        &[],
        &nine,
        &expected,
    ));
    // Padding as large as the kernel, as far as the last window reaches into the map.
    let window = padded(2, 3, 3, [2, 2, 0, 0]);
    let expected = [5.0];
    cases.push(Case::by_hand("max far", alone((1, 3, 3), |_| Op::MaxPool(window)), &[], &nine, &expected));

    // A kernel of 2 x 2 with the weights 1, 10, 100, 1000, one column of padding on the right, bias 0.5.
    let conv = alone((1, 2, 2), |_| Op::Conv {
        out: 1,
        window: padded(2, 1, 1, [0, 0, 0, 1]),
        groups: 1,
        bias: true,
    });
    let weights: [(&str, &[f32]); 2] = [("conv.weight", &[1.0, 10.0, 100.0, 1000.0]), ("conv.bias", &[0.5])];
    cases.push(Case::by_hand("conv", conv, &weights, &[1.0, 2.0, 3.0, 4.0], &[4321.5, 402.5]));

    // Patches of 2 x 2 over 3 x 3: padded to 4 x 4. Group 0 holds the top left pixels of the patches.
    let unfold = alone((1, 3, 3), |_| Op::Unfold { patch: 2 });
    let expected = [1.0, 3.0, 7.0, 9.0, 2.0, 0.0, 8.0, 0.0, 4.0, 6.0, 0.0, 0.0, 5.0, 0.0, 0.0, 0.0];
    cases.push(Case::by_hand("unfold", unfold, &[], &nine, &expected));
    let (mut n, x) = Net::new(2, 3, 2);
    let t = n.op(Op::Unfold { patch: 2 }, &[x]);
    let y = n.op(Op::Fold, &[t]);
    let twelve: Vec<f32> = (1..=12).map(|x| x as f32).collect();
    cases.push(Case::by_hand("fold", n.finish(y), &[], &twelve, &twelve));

    // Channels innermost: the first pixel of every plane first.
    let expected = [1.0, 7.0, 2.0, 8.0, 3.0, 9.0, 4.0, 10.0, 5.0, 11.0, 6.0, 12.0];
    cases.push(Case::by_hand("flatten", alone((2, 3, 2), |_| Op::Flatten), &[], &twelve, &expected));

    // Known values of the functions: erf(1 / sqrt 2) = 0.6826894921, 1 / (1 + e) = 0.2689414214.
    let x = [-4.0, -1.0, 0.0, 1.0, 2.0, 8.0];
    let values: [(Act, [f32; 6]); 6] = [
        (Act::Relu, [0.0, 0.0, 0.0, 1.0, 2.0, 8.0]),
        (Act::Relu6, [0.0, 0.0, 0.0, 1.0, 2.0, 6.0]),
        (Act::HardSwish, [0.0, -1.0 / 3.0, 0.0, 2.0 / 3.0, 5.0 / 3.0, 8.0]),
        (Act::Sigmoid, [0.017_986_21, 0.268_941_43, 0.5, 0.731_058_6, 0.880_797_1, 0.999_664_7]),
        (Act::Silu, [-0.071_944_84, -0.268_941_43, 0.0, 0.731_058_6, 1.761_594_2, 7.997_317_2]),
        (Act::Gelu, [-0.000_126_685, -0.158_655_25, 0.0, 0.841_344_8, 1.954_499_7, 8.0]),
    ];
    for (act, expected) in values {
        let network = alone((1, 2, 3), |_| Op::Activation(act));
        cases.push(Case::by_hand(act.name(), network, &[], &x, &expected));
    }

    // One head of one feature; the query of the second token is 0, so that it takes the mean of the
    // values, and the first's scores differ by ln 3, so that it takes a quarter and three quarters.
    let (mut n, x) = Net::new(1, 1, 2);
    let t = n.op(Op::Unfold { patch: 1 }, &[x]);
    let y = n.op(Op::Attention { heads: 1, head_dim: 1 }, &[t]);
    let ln3 = 3f32.ln();
    let weights: [(&str, &[f32]); 4] = [
        ("attention.qkv.weight", &[1.0, -ln3, 8.0]),
        ("attention.qkv.bias", &[0.0; 3]),
        ("attention.out.weight", &[2.0]),
        ("attention.out.bias", &[1.0]),
    ];
    // Values are 8 and 0; weights 1/4 and 3/4 for the first (key 0 scores higher), halves for the second.
    cases.push(Case::by_hand("attention", n.finish(y), &weights, &[1.0, 0.0], &[5.0, 9.0]));

    // Two heads: each sees its own half of queries, keys and values. Head 0 is uniform; head 1 as above.
    let (mut n, x) = Net::new(1, 1, 2);
    let t = n.op(Op::Unfold { patch: 1 }, &[x]);
    let y = n.op(Op::Attention { heads: 2, head_dim: 1 }, &[t]);
    let weights: [(&str, &[f32]); 4] = [
        ("attention.qkv.weight", &[0.0, 1.0, 1.0, -ln3, 8.0, 16.0]),
        ("attention.qkv.bias", &[0.0; 6]),
        ("attention.out.weight", &[1.0, 1.0]),
        ("attention.out.bias", &[0.0]),
    ];
    cases.push(Case::by_hand("two heads", n.finish(y), &weights, &[1.0, 0.0], &[8.0, 12.0]));

    // Rows (1, 3) and (2, 2): normalised to (-1, 1) and (0, 0), times 2, plus 1.
    let (mut n, x) = Net::new(2, 1, 2);
    let t = n.op(Op::Unfold { patch: 1 }, &[x]);
    let y = n.op(Op::LayerNorm { eps: 1e-12 }, &[t]);
    let weights: [(&str, &[f32]); 2] = [("layer_norm.weight", &[2.0; 2]), ("layer_norm.bias", &[1.0; 2])];
    cases.push(Case::by_hand(
        "layer_norm",
        n.finish(y),
        &weights,
        &[1.0, 2.0, 3.0, 2.0],
        &[-1.0, 3.0, 1.0, 1.0],
    ));

    // A norm before anything else: (x - 1) / 2 * 3 + 5.
    let weights: [(&str, &[f32]); 4] = [
        ("batch_norm.weight", &[3.0]),
        ("batch_norm.bias", &[5.0]),
        ("batch_norm.running_mean", &[1.0]),
        ("batch_norm.running_var", &[3.75]),
    ];
    let network = alone((1, 1, 2), |_| Op::BatchNorm { eps: 0.25 });
    cases.push(Case::by_hand("batch_norm", network, &weights, &[1.0, 5.0], &[5.0, 11.0]));
    check(&cases);
}

#[test]
fn every_operator() {
    let mut cases = Vec::new();
    let mut add = |name: &str, network: Network| {
        let seed = cases.len() as u64;
        cases.push(Case::random(name, network, seed));
    };
    for act in Act::ALL {
        let (mut n, x) = Net::new(3, 9, 8);
        let x = n.conv_bn(x, 8, 3, 2, act);
        let x = n.dw_bn(x, 3, 1, act);
        let x = n.act(x, act);
        add(act.name(), n.classify(x, 4));
    }
    {
        let (mut n, x) = Net::new(3, 16, 16);
        let x = n.conv_bn(x, 8, 3, 2, Act::Relu6);
        let y = n.conv_bn(x, 16, 1, 1, Act::HardSwish);
        let y = n.dw_bn(y, 5, 1, Act::HardSwish);
        let y = n.squeeze_excite(y, 4);
        let y = n.conv(y, 8, plain(1, 1), 1);
        let y = n.op(Op::Add, &[x, y]);
        add("inverted residual with squeeze-excite", n.classify(y, 5));
    }
    for (patch, heads) in [(1, 1), (2, 2), (3, 4), (7, 1)] {
        let (mut n, x) = Net::new(2, 7, 6);
        let x = n.mobilevit(x, 8, patch, heads);
        add(&format!("mobilevit patch {patch} heads {heads}"), n.classify(x, 3));
    }
    {
        // The tokens' mean is the result, and a norm and a vector are added on the way.
        let (mut n, x) = Net::new(3, 6, 6);
        let v = n.op(Op::GlobalAvgPool, &[x]);
        let x = n.op(Op::Add, &[x, v]);
        let t = n.op(Op::Unfold { patch: 2 }, &[x]);
        let t = n.op(Op::BatchNorm { eps: 1e-3 }, &[t]);
        let t = n.hand_made_attention(t, 5);
        let u = n.op(Op::Linear { out: 3, bias: false }, &[t]);
        let t = n.op(Op::Concat, &[t, u, t]);
        let v = n.op(Op::GlobalAvgPool, &[t]);
        let v = n.op(Op::LayerNorm { eps: 1e-3 }, &[v]);
        let w = n.op(Op::Linear { out: 4, bias: false }, &[v]);
        let v = n.op(Op::Concat, &[w, v]);
        let v = n.op(Op::Softmax, &[v]);
        add("tokens and vectors", n.finish(v));
    }
    {
        let (mut n, x) = Net::new(2, 4, 5);
        let t = n.op(Op::Unfold { patch: 2 }, &[x]);
        let t = n.op(Op::Transpose, &[t]);
        let v = n.op(Op::Flatten, &[t]);
        let v = n.op(Op::BatchNorm { eps: 1e-3 }, &[v]);
        let v = n.act(v, Act::Gelu);
        let v = n.op(Op::Dropout { p: 0.5 }, &[v]);
        let v = n.op(Op::Flatten, &[v]);
        add("flattened tokens", n.classify(v, 2));
    }
    {
        let (mut n, x) = Net::new(3, 5, 4);
        let x = n.conv(x, 6, plain(2, 1), 3);
        let x = n.op(Op::Flatten, &[x]);
        add("flattened map", n.classify(x, 7));
    }
    check(&cases);
}

#[test]
fn awkward_shapes() {
    let mut cases = Vec::new();
    let mut add = |name: String, network: Network| {
        let seed = cases.len() as u64;
        cases.push(Case::random(name, network, seed));
    };
    // Even kernels, strides that do not divide, dilation, padding on one side, larger than the kernel.
    let windows = [
        ("valid", plain(3, 2)),
        ("even", padded(2, 2, 1, [0, 0, 1, 1])),
        ("stride over kernel", plain(2, 3)),
        ("dilated", padded(3, 1, 2, [2, 2, 2, 2])),
        ("dilated, strided, crooked", padded(3, 2, 3, [3, 0, 1, 4])),
        ("wide", padded(2, 1, 3, [2, 1, 3, 0])),
        ("one pixel", plain(7, 1)),
    ];
    for (name, window) in windows {
        for groups in [1, 2, 4] {
            let (mut n, x) = Net::new(4, 8, 7);
            let y = n.conv(x, 8, window, groups);
            add(format!("conv {name} groups {groups}"), n.finish(y));
        }
        for (kind, op) in [("max", Op::MaxPool(window)), ("avg", Op::AvgPool(window))] {
            let (mut n, x) = Net::new(3, 8, 7);
            let y = n.op(op, &[x]);
            let y = n.op(Op::BatchNorm { eps: 1e-3 }, &[y]);
            add(format!("{kind} {name}, norm"), n.finish(y));
        }
    }
    for (kernel, stride, dilation) in [(2, 2, 1), (3, 2, 1), (5, 3, 1), (3, 1, 2), (4, 1, 1)] {
        for (h, w) in [(8, 7), (3, 5), (4, 1)] {
            let (mut n, x) = Net::new(2, h, w);
            let y = n.conv(x, 4, same(x, kernel, stride, dilation), 2);
            add(format!("same {kernel} {stride} {dilation} on {h}x{w}"), n.finish(y));
            if dilation == 1 {
                let (mut n, x) = Net::new(2, h, w);
                let window = same(x, kernel, stride, 1);
                let a = n.op(Op::MaxPool(window), &[x]);
                let b = n.op(Op::AvgPool(window), &[x]);
                let y = n.op(Op::Concat, &[a, b]);
                add(format!("same pools {kernel} {stride} on {h}x{w}"), n.finish(y));
            }
        }
    }
    for (patch, h, w) in [(4, 3, 3), (5, 7, 9), (8, 2, 5), (2, 1, 1)] {
        let (mut n, x) = Net::new(3, h, w);
        let t = n.op(Op::Unfold { patch }, &[x]);
        let t = n.op(Op::Attention { heads: 2, head_dim: 3 }, &[t]);
        let y = n.op(Op::Fold, &[t]);
        add(format!("patch {patch} over {h}x{w}"), n.finish(y));
    }
    {
        // Branches within branches, a value read three times, an operand used twice.
        let (mut n, x) = Net::new(3, 6, 5);
        let a = n.conv_bn(x, 4, 3, 1, Act::Silu);
        let b = n.conv_bn(a, 4, 1, 1, Act::Relu);
        let c = n.op(Op::Add, &[a, b, a]);
        let d = n.op(Op::Mul, &[c, c]);
        let e = n.op(Op::Concat, &[a, d, b, a]);
        let f = n.conv_bn(e, 4, 1, 1, Act::Gelu);
        let v = n.op(Op::GlobalAvgPool, &[c]);
        let g = n.op(Op::Add, &[f, v, c]);
        let g = n.act(g, Act::HardSwish);
        add("nested".into(), n.classify(g, 3));
    }
    {
        // Nothing happens at all.
        let (mut n, x) = Net::new(2, 3, 4);
        let y = n.op(Op::Dropout { p: 0.5 }, &[x]);
        add("identity".into(), n.finish(y));
    }
    {
        // A norm whose input is read twice stays a norm; one before an activation, one after.
        let (mut n, x) = Net::new(2, 4, 4);
        let a = n.conv(x, 4, plain(1, 1), 1);
        let b = n.op(Op::BatchNorm { eps: 1e-3 }, &[a]);
        let b = n.act(b, Act::Relu);
        let b = n.op(Op::BatchNorm { eps: 1e-3 }, &[b]);
        let y = n.op(Op::Add, &[a, b]);
        add("shared input of a norm".into(), n.classify(y, 2));
    }
    check(&cases);
}

/// How many random networks: `HYTC_RANDOM_NETS`, 60 unless told.
fn random_count() -> u64 {
    std::env::var("HYTC_RANDOM_NETS").ok().map_or(60, |n| n.parse().expect("HYTC_RANDOM_NETS is a number"))
}

#[test]
fn random_networks() {
    let cases: Vec<Case> = (0..random_count())
        .map(|seed| Case::random(format!("random {seed:04}"), random_net(seed), seed))
        .collect();
    check(&cases);
}

#[test]
fn random_networks_hold_every_operator() {
    let mut seen = BTreeSet::new();
    for seed in 0..60 {
        seen.extend(random_net(seed).nodes().map(|n| n.node.op.name()));
    }
    let all = [
        "input",
        "conv",
        "linear",
        "batch_norm",
        "layer_norm",
        "relu",
        "relu6",
        "silu",
        "gelu",
        "hard_swish",
        "sigmoid",
        "softmax",
        "max_pool",
        "avg_pool",
        "global_avg_pool",
        "attention",
        "add",
        "mul",
        "concat",
        "matmul",
        "transpose",
        "unfold",
        "fold",
        "flatten",
        "dropout",
    ];
    let missing: Vec<_> = all.iter().filter(|op| !seen.contains(*op)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert_eq!(random_net(7).hash(), random_net(7).hash());
    assert_ne!(random_net(7).hash(), random_net(8).hash());
}

/// The checking script must find what is wrong with a case, or its silence means nothing.
#[test]
fn the_check_can_fail() {
    let case = Case::random("good", random_net(1), 1);
    let broken = |file: &str, change: &dyn Fn(Vec<u8>) -> Vec<u8>| {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), &case);
        let path = directory.path().join("good").join(file);
        std::fs::write(&path, change(std::fs::read(&path).unwrap())).unwrap();
        let (ok, report) = onnx_check(directory.path());
        (ok, report["rows"].to_string())
    };
    let text = |from: &'static str, to: &'static str| {
        move |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace(from, to).into_bytes()
    };
    assert!(broken("case.json", &|b| b).0);
    let params = format!("\"params\":{}", case.bound.lowered.params());
    let (ok, why) =
        broken("case.json", &|b| String::from_utf8(b).unwrap().replace(&params, "\"params\":1").into_bytes());
    assert!(!ok && why.contains("initialisers hold"), "{why}");
    let (ok, why) = broken("expected.f32", &|mut b| {
        let x = f32::from_le_bytes([b[0], b[1], b[2], b[3]]) + 0.01;
        b[..4].copy_from_slice(&x.to_le_bytes());
        b
    });
    assert!(!ok && why.contains("max_difference"), "{why}");
    let (ok, why) = broken("expected.f32", &|mut b| {
        b.truncate(b.len() - 4);
        b
    });
    assert!(!ok && why.contains("numbers"), "{why}");
    let (ok, why) = broken("case.json", &text("{", "{\"metadata\":{\"spec\":\"other\"},"));
    assert!(!ok && why.contains("metadata spec"), "{why}");
    let (ok, why) = broken("model.onnx", &|b| b[..b.len() / 2].to_vec());
    assert!(!ok, "{why}");
}

/// ONNX's own tools can read what the file says about itself.
#[test]
fn metadata_can_be_read() {
    let (mut n, x) = Net::new(3, 8, 8);
    let x = n.conv_bn(x, 4, 3, 2, Act::Relu);
    let case = Case::random("metadata", n.classify(x, 2), 3);
    let meta = Metadata {
        spec: "fashion".into(),
        spec_hash: "00ff".into(),
        network_hash: case.network.hash(),
        classes: vec!["T-shirt \"top\"".into(), "b\u{e4}r".into()],
        mean: vec![0.485, 0.456, 0.406],
        std: vec![0.229, 0.224, 0.225],
        extra: [("accuracy".to_string(), "0.9".to_string())].into(),
        sources: None,
    };
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), &case);
    let at = directory.path().join("metadata");
    std::fs::write(at.join("model.onnx"), emit(&case.bound, &meta).unwrap()).unwrap();
    let mut about: serde_json::Value =
        serde_json::from_slice(&std::fs::read(at.join("case.json")).unwrap()).unwrap();
    let preprocessing = serde_json::json!({
        "layout": "NCHW", "color_order": "RGB", "height": 8, "width": 8, "scale": "1/255",
        "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225],
        "formula": "(pixel / 255 - mean[channel]) / std[channel]",
    });
    about["metadata"] = serde_json::json!({
        "spec": "fashion",
        "spec_sha256": "00ff",
        "network_hash": case.network.hash(),
        "classes": "[\"T-shirt \\\"top\\\"\",\"b\u{e4}r\"]",
        "preprocessing": preprocessing.to_string(),
        "Image.BitmapPixelFormat": "Rgb8",
        "accuracy": "0.9",
    });
    std::fs::write(at.join("case.json"), about.to_string()).unwrap();
    let (ok, report) = onnx_check(directory.path());
    assert!(ok, "{report}");
}

#[cfg(feature = "verify")]
#[test]
fn onnx_runtime_by_pipe() {
    let case = Case::random("pipe", random_net(5), 5);
    let Fact::Map { c, h, w } = case.network.input_fact() else { panic!("not a map") };
    let python = python::python();
    let got =
        hytc::verify::run_onnxruntime(&python, &case.onnx(), &case.inputs, case.count, (c, h, w)).unwrap();
    let agreement =
        hytc::verify::compare(&case.expected, &got, case.network.output_fact().elements()).unwrap();
    assert!(agreement.within(case.tolerance()) && agreement.images == case.count, "{agreement:?}");

    let run = |python: &Path, onnx: &[u8], inputs: &[f32]| {
        hytc::verify::run_onnxruntime(python, onnx, inputs, case.count, (c, h, w)).unwrap_err()
    };
    assert!(run("/nowhere/python".as_ref(), &case.onnx(), &case.inputs).contains("cannot be started"));
    assert!(run(&python, b"not a model", &case.inputs).contains("failed"));
    assert!(run(&python, &case.onnx(), &[0.0]).contains("images"));
    let tract = hytc::verify::run_tract(b"not a model", &case.inputs, case.count, (c, h, w));
    assert!(tract.unwrap_err().contains("tract cannot run"));
}

/// More images than a batch of tract holds, and not a multiple of it: every image gets its own logits.
#[cfg(feature = "verify")]
#[test]
fn many_images_in_tract() {
    let network = random_net(9);
    let Fact::Map { c, h, w } = network.input_fact() else { panic!("not a map") };
    let bound = lower(&network).bind(&Weights::random(&network, 9)).unwrap();
    let onnx = emit(&bound, &Metadata::default()).unwrap();
    let inputs = images(network.input_fact(), 101, 9);
    let all = hytc::verify::run_tract(&onnx, &inputs, 101, (c, h, w)).unwrap();
    let classes = network.output_fact().elements();
    assert_eq!(all.len(), 101 * classes);
    for (image, logits) in inputs.chunks(c * h * w).zip(all.chunks(classes)) {
        let alone = hytc::verify::run_tract(&onnx, image, 1, (c, h, w)).unwrap();
        let agreement = hytc::verify::compare(&alone, logits, classes).unwrap();
        assert!(agreement.within(1e-4), "{agreement:?}");
    }
    assert_eq!(hytc::verify::run_tract(&onnx, &[], 0, (c, h, w)), Ok(Vec::new()));
}
