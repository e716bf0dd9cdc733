//! Each kernel of the lowered network in ONNX's operators.

use super::build::{attr, attrs, int, real, signed, Builder, Layout};
use super::{codes, fault, quantise, Fault};
use crate::diag::Diagnostic;
use crate::graph::{Act, Fact, Patches, Window};
use crate::lower::ir::{Kernel, Step};

type Emitted = Result<String, Fault>;

/// Adds the nodes of one step.
pub(super) fn step(b: &mut Builder, step: &Step) -> Result<(), Fault> {
    b.begin(step);
    let mut value = kernel(b, step)?;
    let (before, after) = b.scales(step);
    if let Some(scale) = before {
        value = quantise::through(b, &value, scale);
    }
    if let Some(act) = step.act {
        value = activation(b, act, &value);
    }
    if let Some(scale) = after {
        value = quantise::through(b, &value, scale);
    }
    let about = describe(b, step)?;
    b.end(step, value, &about)
}

fn kernel(b: &mut Builder, step: &Step) -> Emitted {
    let (x, fact) = b.input(step, 0)?;
    match step.kernel {
        Kernel::Conv { window, groups, bias } => {
            let bias = b.has_bias(bias);
            conv(b, step, &x, &window, groups, bias)
        }
        Kernel::Linear { bias } => {
            let bias = b.has_bias(bias);
            linear(b, step, &x, fact, bias)
        }
        Kernel::Affine => {
            let layout = if let Fact::Map { .. } = fact { Layout::PerChannel } else { Layout::AsIs };
            let scale = b.weight(step, 0, layout)?;
            let shift = b.weight(step, 1, layout)?;
            let scaled = b.node("Mul", &[&x, &scale], vec![]);
            Ok(b.node("Add", &[&scaled, &shift], vec![]))
        }
        Kernel::LayerNorm { eps } => {
            let weight = b.weight(step, 0, Layout::AsIs)?;
            let bias = b.weight(step, 1, Layout::AsIs)?;
            let attributes = vec![signed("axis", -1), real("epsilon", eps)];
            Ok(b.node("LayerNormalization", &[&x, &weight, &bias], attributes))
        }
        Kernel::AttentionCore { heads, head_dim } => attention(b, step, &x, fact, heads, head_dim),
        Kernel::Activation(act) => Ok(activation(b, act, &x)),
        Kernel::Softmax => Ok(b.node("Softmax", &[&x], vec![signed("axis", -1)])),
        Kernel::MaxPool(window) => max_pool(b, step, &x, fact, &window),
        Kernel::AvgPool(window) => {
            let mean = avg_pool(b, step, &x, fact, &window)?;
            let (before, after) = b.scales(step);
            let Some(scale) = before.or(after) else { return Ok(mean) };
            // Means of integers tie often: of four, one in four. `QuantizeLinear` would round them to even,
            // if 32 bits held them exactly; ours go up. A quarter of what two means are apart decides it.
            let apart = (window.kernel * window.kernel).max(1) as f32;
            let more = b.scalar(scale.scale / (4.0 * apart));
            Ok(b.node("Add", &[&mean, &more], vec![]))
        }
        Kernel::GlobalAvgPool => match fact {
            Fact::Map { .. } => {
                let mean = b.node("GlobalAveragePool", &[&x], vec![]);
                Ok(b.node("Flatten", &[&mean], vec![attr("axis", 1)]))
            }
            Fact::Tokens { .. } => {
                Ok(b.node("ReduceMean", &[&x], vec![attrs("axes", &[1, 2]), attr("keepdims", 0)]))
            }
            Fact::Vector { .. } => Err(unexpected(step, fact)),
        },
        Kernel::Add => binary(b, step, "Add", &x),
        Kernel::Mul => binary(b, step, "Mul", &x),
        Kernel::AddChannels => per_channel(b, step, "Add", &x),
        Kernel::MulChannels => per_channel(b, step, "Mul", &x),
        Kernel::Concat => {
            let mut values = Vec::new();
            for i in 0..step.inputs.len() {
                values.push(b.input(step, i)?.0);
            }
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            let axis = if let Fact::Tokens { .. } = fact { 3 } else { 1 };
            Ok(b.node("Concat", &values, vec![attr("axis", axis)]))
        }
        Kernel::MatMul => binary(b, step, "MatMul", &x),
        Kernel::Transpose => Ok(b.node("Transpose", &[&x], vec![attrs("perm", &[0, 1, 3, 2])])),
        Kernel::Unfold { patch } => unfold(b, step, &x, fact, patch),
        Kernel::Fold => fold(b, step, &x, fact),
        Kernel::Flatten => Ok(match fact {
            Fact::Map { .. } => {
                let rows = b.node("Transpose", &[&x], vec![attrs("perm", &[0, 2, 3, 1])]);
                b.node("Flatten", &[&rows], vec![attr("axis", 1)])
            }
            Fact::Tokens { .. } => b.node("Flatten", &[&x], vec![attr("axis", 1)]),
            Fact::Vector { .. } => x,
        }),
    }
}

fn unexpected(step: &Step, fact: Fact) -> Fault {
    fault(step.span, format!("`{}` cannot take a {} of {fact}", step.name, fact.kind()))
}

/// Attributes of a sliding window.
fn window_attributes(window: &Window) -> Vec<onnx_protobuf::AttributeProto> {
    let p = window.padding;
    vec![
        attrs("kernel_shape", &[window.kernel; 2]),
        attrs("strides", &[window.stride; 2]),
        attrs("dilations", &[window.dilation; 2]),
        attrs("pads", &[p.top, p.left, p.bottom, p.right]),
    ]
}

fn conv(b: &mut Builder, step: &Step, x: &str, window: &Window, groups: usize, bias: bool) -> Emitted {
    let weight = b.weight(step, 0, Layout::AsIs)?;
    let mut attributes = window_attributes(window);
    attributes.push(attr("group", groups));
    if !bias {
        return Ok(b.node("Conv", &[x, &weight], attributes));
    }
    let bias = b.weight(step, 1, Layout::AsIs)?;
    Ok(b.node("Conv", &[x, &weight, &bias], attributes))
}

fn linear(b: &mut Builder, step: &Step, x: &str, fact: Fact, bias: bool) -> Emitted {
    if let Fact::Vector { .. } = fact {
        let weight = b.weight(step, 0, Layout::AsIs)?;
        let mut inputs = vec![x.to_string(), weight];
        if bias {
            inputs.push(b.weight(step, 1, Layout::AsIs)?);
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        return Ok(b.node("Gemm", &inputs, vec![attr("transB", 1)]));
    }
    if let (Fact::Tokens { groups, tokens, dim, .. }, true) = (fact, b.is_int8()) {
        // As a matrix, for `Gemm`: runtimes add its bias to the sums of integers and multiply once. After
        // `MatMul`, whose bias is a node of its own, they do it in floating point.
        let rows = b.ints(&[-1, int(dim)]);
        let x = b.node("Reshape", &[x, &rows], vec![]);
        let (weight, bias) = (b.weight(step, 0, Layout::AsIs)?, b.weight(step, 1, Layout::AsIs)?);
        let y = b.node("Gemm", &[&x, &weight, &bias], vec![attr("transB", 1)]);
        let out = b.fact(step.output, step.span)?.channels();
        let shape = b.ints(&[-1, int(groups), int(tokens), int(out)]);
        return Ok(b.node("Reshape", &[&y, &shape], vec![]));
    }
    let weight = b.weight(step, 0, Layout::Transposed)?;
    let product = b.node("MatMul", &[x, &weight], vec![]);
    if !bias {
        return Ok(product);
    }
    let bias = b.weight(step, 1, Layout::AsIs)?;
    Ok(b.node("Add", &[&product, &bias], vec![]))
}

/// `[N, groups, tokens, 3 * heads * head_dim]` to `[N, groups, tokens, heads * head_dim]`. Groups
/// and heads become leading dimensions of batched products; one of size 1 is left out, so that the
/// usual attention has the usual four dimensions.
fn attention(b: &mut Builder, step: &Step, x: &str, fact: Fact, heads: usize, head_dim: usize) -> Emitted {
    let Fact::Tokens { groups, tokens, .. } = fact else { return Err(unexpected(step, fact)) };
    let parts = b.split("Split", &[x], ["query", "key", "value"], vec![signed("axis", -1)]);
    // Of `[N, groups?, tokens, heads, head_dim]`, heads before tokens.
    let (lead, perm): (Vec<i64>, &[usize]) = match groups {
        1 => (vec![0], &[0, 2, 1, 3]),
        g => (vec![0, int(g)], &[0, 1, 3, 2, 4]),
    };
    let shape =
        |tail: &[usize]| -> Vec<i64> { lead.iter().copied().chain(tail.iter().map(|&n| int(n))).collect() };
    let apart = b.ints(&shape(&[tokens, heads, head_dim]));
    let [query, key, value] = parts.map(|part| match heads {
        1 => part,
        _ => {
            let split = b.node("Reshape", &[&part, &apart], vec![]);
            b.node("Transpose", &[&split], vec![attrs("perm", perm)])
        }
    });
    let rank = if heads == 1 { 4 } else { perm.len() };
    let mut swap: Vec<usize> = (0..rank).collect();
    if let [.., a, z] = swap.as_mut_slice() {
        std::mem::swap(a, z);
    }
    let key = b.node("Transpose", &[&key], vec![attrs("perm", &swap)]);
    let scores = b.node("MatMul", &[&query, &key], vec![]);
    let scale = b.scalar(1.0 / (head_dim as f32).sqrt());
    let scores = b.node("Mul", &[&scores, &scale], vec![]);
    let shares = b.node("Softmax", &[&scores], vec![signed("axis", -1)]);
    let mixed = b.node("MatMul", &[&shares, &value], vec![]);
    if heads == 1 {
        return Ok(mixed);
    }
    let joined = b.node("Transpose", &[&mixed], vec![attrs("perm", perm)]);
    let together = b.ints(&[0, int(groups), int(tokens), int(heads * head_dim)]);
    Ok(b.node("Reshape", &[&joined, &together], vec![]))
}

fn activation(b: &mut Builder, act: Act, x: &str) -> String {
    match act {
        Act::Relu => b.node("Relu", &[x], vec![]),
        Act::Relu6 => {
            let (low, high) = (b.scalar(0.0), b.scalar(6.0));
            b.node("Clip", &[x, &low, &high], vec![])
        }
        Act::Silu => {
            let gate = b.node("Sigmoid", &[x], vec![]);
            b.node("Mul", &[x, &gate], vec![])
        }
        // The order of operations that runtimes recognise and fuse.
        Act::Gelu => {
            let (root, one, half) = (b.scalar(std::f32::consts::SQRT_2), b.scalar(1.0), b.scalar(0.5));
            let scaled = b.node("Div", &[x, &root], vec![]);
            let erf = b.node("Erf", &[&scaled], vec![]);
            let sum = b.node("Add", &[&erf, &one], vec![]);
            let product = b.node("Mul", &[x, &sum], vec![]);
            b.node("Mul", &[&product, &half], vec![])
        }
        Act::HardSwish => b.node("HardSwish", &[x], vec![]),
        Act::Sigmoid => b.node("Sigmoid", &[x], vec![]),
    }
}

fn binary(b: &mut Builder, step: &Step, op: &str, x: &str) -> Emitted {
    let (y, _) = b.input(step, 1)?;
    Ok(b.node(op, &[x, &y], vec![]))
}

/// A map with a vector broadcast over its positions.
fn per_channel(b: &mut Builder, step: &Step, op: &str, x: &str) -> Emitted {
    let (y, _) = b.input(step, 1)?;
    let axes = b.ints(&[2, 3]);
    let column = b.node("Unsqueeze", &[&y, &axes], vec![]);
    Ok(b.node(op, &[x, &column], vec![]))
}

/// For each position of a window along one side of `n`, how many of its taps are inside.
fn taps(window: &Window, n: usize, before: usize, outputs: usize) -> Vec<usize> {
    (0..outputs)
        .map(|o| {
            let at = |t: usize| o * window.stride + t * window.dilation;
            (0..window.kernel).filter(|&t| (before..before + n).contains(&at(t))).count()
        })
        .collect()
}

/// The taps inside the map for the rows and columns of a pooling's output.
fn pool_taps(step: &Step, fact: Fact, window: &Window) -> Result<(usize, Vec<usize>, Vec<usize>), Fault> {
    let Fact::Map { c, h, w } = fact else { return Err(unexpected(step, fact)) };
    let Some((oh, ow)) = window.output(h, w) else { return Err(unexpected(step, fact)) };
    let rows = taps(window, h, window.padding.top, oh);
    let columns = taps(window, w, window.padding.left, ow);
    if rows.contains(&0) || columns.contains(&0) {
        let m = format!("a window of the pooling `{}` over {h}x{w} sees padding only", step.name);
        let help = "reduce its padding or dilation: the maximum or mean of nothing is not a number";
        return Err(Diagnostic::error(codes::ONNX_WINDOW, step.span, m).help(help).into());
    }
    Ok((c, rows, columns))
}

/// Whether the padding is what every runtime accepts in pooling: less than the kernel.
fn plain_padding(window: &Window) -> bool {
    let p = window.padding;
    [p.top, p.left, p.bottom, p.right].iter().all(|&n| n < window.kernel)
}

fn max_pool(b: &mut Builder, step: &Step, x: &str, fact: Fact, window: &Window) -> Emitted {
    pool_taps(step, fact, window)?;
    if plain_padding(window) {
        return Ok(b.node("MaxPool", &[x], window_attributes(window)));
    }
    // Padding as large as the kernel, as wide dilation needs it: ONNX Runtime refuses it as an
    // attribute, so pad with what never is the maximum.
    let padded = pad(b, x, window, f32::NEG_INFINITY);
    let bare = Window { padding: crate::graph::Padding::default(), ..*window };
    Ok(b.node("MaxPool", &[&padded], window_attributes(&bare)))
}

fn pad(b: &mut Builder, x: &str, window: &Window, value: f32) -> String {
    let p = window.padding;
    let pads = b.ints(&[0, 0, int(p.top), int(p.left), 0, 0, int(p.bottom), int(p.right)]);
    let value = b.scalar(value);
    b.node("Pad", &[x, &pads, &value], vec![])
}

fn avg_pool(b: &mut Builder, step: &Step, x: &str, fact: Fact, window: &Window) -> Emitted {
    let (c, rows, columns) = pool_taps(step, fact, window)?;
    if window.dilation == 1 && plain_padding(window) {
        let mut attributes = window_attributes(window);
        // `AveragePool` has no dilations before opset 19.
        attributes.retain(|a| a.name != "dilations");
        attributes.push(attr("count_include_pad", 0));
        return Ok(b.node("AveragePool", &[x], attributes));
    }
    // The sum as a depthwise convolution with ones, over the number of taps inside the map.
    let ones =
        b.array("ones", &[c, 1, window.kernel, window.kernel], &vec![1.0; c * window.kernel * window.kernel]);
    let mut attributes = window_attributes(window);
    attributes.push(attr("group", c));
    let sum = b.node("Conv", &[x, &ones], attributes);
    let counts: Vec<f32> = rows.iter().flat_map(|r| columns.iter().map(move |c| (r * c) as f32)).collect();
    let counts = b.array("counts", &[rows.len(), columns.len()], &counts);
    Ok(b.node("Div", &[&sum, &counts], vec![]))
}

/// `[N, c, h, w]` to `[N, patch * patch, rows * columns, c]`.
fn unfold(b: &mut Builder, step: &Step, x: &str, fact: Fact, patch: usize) -> Emitted {
    let Fact::Map { c, h, w } = fact else { return Err(unexpected(step, fact)) };
    if patch == 0 {
        return Err(unexpected(step, fact));
    }
    let (rows, columns) = Patches { h, w, patch }.grid();
    let (below, right) = (rows * patch - h, columns * patch - w);
    let mut value = x.to_string();
    if (below, right) != (0, 0) {
        let pads = b.ints(&[0, 0, 0, 0, 0, 0, int(below), int(right)]);
        value = b.node("Pad", &[&value, &pads], vec![]);
    }
    let (c, rows, columns, p) = (int(c), int(rows), int(columns), int(patch));
    let apart = b.ints(&[0, c, rows, p, columns, p]);
    let value = b.node("Reshape", &[&value, &apart], vec![]);
    // To batch, row and column in the patch, row and column of the patch, channel.
    let value = b.node("Transpose", &[&value], vec![attrs("perm", &[0, 3, 5, 2, 4, 1])]);
    let together = b.ints(&[0, p * p, rows * columns, c]);
    Ok(b.node("Reshape", &[&value, &together], vec![]))
}

/// The inverse of [`unfold`].
fn fold(b: &mut Builder, step: &Step, x: &str, fact: Fact) -> Emitted {
    let Fact::Tokens { dim, from: Some(from), .. } = fact else { return Err(unexpected(step, fact)) };
    let (rows, columns) = from.grid();
    let (c, p, rows, columns) = (int(dim), int(from.patch), int(rows), int(columns));
    let apart = b.ints(&[0, p, p, rows, columns, c]);
    let value = b.node("Reshape", &[x, &apart], vec![]);
    let value = b.node("Transpose", &[&value], vec![attrs("perm", &[0, 5, 3, 1, 4, 2])]);
    let together = b.ints(&[0, c, rows * p, columns * p]);
    let value = b.node("Reshape", &[&value, &together], vec![]);
    let (h, w) = (int(from.h), int(from.w));
    if (rows * p, columns * p) == (h, w) {
        return Ok(value);
    }
    let (starts, ends, axes) = (b.ints(&[0, 0]), b.ints(&[h, w]), b.ints(&[2, 3]));
    Ok(b.node("Slice", &[&value, &starts, &ends, &axes], vec![]))
}

/// `conv 3x3 stride 2, silu: 3x96x96 -> 16x48x48`.
fn describe(b: &Builder, step: &Step) -> Result<String, Fault> {
    let window = |w: &Window| {
        let mut s = format!("{k}x{k}", k = w.kernel);
        for (what, value) in [("stride", w.stride), ("dilation", w.dilation)] {
            if value != 1 {
                s += &format!(" {what} {value}");
            }
        }
        s
    };
    let mut text = match &step.kernel {
        Kernel::Conv { window: w, groups: 1, .. } => format!("conv {}", window(w)),
        Kernel::Conv { window: w, groups, .. } => format!("conv {} groups {groups}", window(w)),
        Kernel::Linear { .. } => "linear".into(),
        Kernel::Affine => "batch norm".into(),
        Kernel::LayerNorm { .. } => "layer norm".into(),
        Kernel::AttentionCore { heads, head_dim } => format!("attention, {heads} heads of {head_dim}"),
        Kernel::Activation(act) => act.name().into(),
        Kernel::Softmax => "softmax".into(),
        Kernel::MaxPool(w) => format!("max pool {}", window(w)),
        Kernel::AvgPool(w) => format!("average pool {}", window(w)),
        Kernel::GlobalAvgPool => "global average pool".into(),
        Kernel::Add => "sum".into(),
        Kernel::AddChannels => "sum with a vector per channel".into(),
        Kernel::Mul => "product".into(),
        Kernel::MulChannels => "product with a vector per channel".into(),
        Kernel::Concat => "concatenation".into(),
        Kernel::MatMul => "matrix product".into(),
        Kernel::Transpose => "transpose".into(),
        Kernel::Unfold { patch } => format!("unfold {patch}x{patch} patches"),
        Kernel::Fold => "fold patches".into(),
        Kernel::Flatten => "flatten, channels last".into(),
    };
    if let Some(act) = step.act {
        text += &format!(", {}", act.name());
    }
    let mut facts = Vec::new();
    for &id in &step.inputs {
        facts.push(b.fact(id, step.span)?.to_string());
    }
    Ok(format!("{text}: {} -> {}", facts.join(", "), b.fact(step.output, step.span)?))
}
