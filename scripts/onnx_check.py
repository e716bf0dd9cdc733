#!/usr/bin/env python3
"""Checks ONNX models against expected outputs, with the onnx checker and ONNX Runtime.

    onnx_check.py DIR [--json] [--quiet]

DIR holds one directory per case:

    <case>/case.json          {"batch": n, "input": [c, h, w], "params": n, "tolerance": x}
    <case>/model.onnx
    <case>/input.f32          batch * c * h * w little-endian 32-bit floats, NCHW
    <case>/expected.f32       the outputs, row by row
    <case>/expected.<x>.f32   more outputs of the same inputs, from elsewhere; each is compared

For every case: the model passes the full checker with strict shape inference; its initialisers hold
exactly `params` elements; it runs with the whole batch and with a single image; and its output
differs from every expected one by at most `tolerance`, everywhere. Prints a table, and exits with 1
if anything fails, with 2 if there is nothing to check.

An optional "steps" in case.json lists the steps of a QDQ model in the order of `steps.i8`, which holds
their quantised results for the first image one after the other: {"name": .., "shape": [..], "scale": ..,
"zero": ..}, the input first. Every step, given these results as its inputs, gives its own to within its "tolerance" (default 1),
with the runtime's graph optimisations off and on.
A step may name its "kind"; the report counts by kind how many integers there are and how many differ.

An optional "metadata" in case.json lists metadata entries that the model must have.
"""

import argparse
import json
import sys
from pathlib import Path

try:
    import numpy as np
    import onnx
    import onnxruntime
except ImportError as e:
    sys.exit(f"onnx_check.py: {e}; install with: python -m pip install -r scripts/requirements.txt")


def floats(path):
    data = path.read_bytes()
    if len(data) % 4:
        raise ValueError(f"{path.name} is not a whole number of floats")
    return np.frombuffer(data, "<f4")


def session(model, plain=False):
    """With `plain` every operator as the standard defines it, nothing fused."""
    options = onnxruntime.SessionOptions()
    if plain:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def compare(case, name, got, want, tolerance):
    """One comparison as a dict."""
    if want.size != got.size:
        raise ValueError(f"{name} holds {want.size} numbers, the model gave {got.size}")
    want = want.reshape(got.shape)
    row = {"case": case, "against": name, "images": int(got.shape[0])}
    if not (np.isfinite(got).all() and np.isfinite(want).all()):
        raise ValueError(f"{name}: an output is infinite or not a number")
    difference = np.abs(got.astype(np.float64) - want.astype(np.float64))
    row["max_difference"] = float(difference.max())
    row["mean_difference"] = float(difference.mean())
    row["largest"] = float(np.abs(want).max())
    row["argmax_agreement"] = float((got.argmax(1) == want.argmax(1)).mean())
    row["tolerance"] = tolerance
    row["images_within"] = int((difference.reshape(len(got), -1).max(1) <= tolerance).sum())
    row["ok"] = row["max_difference"] <= tolerance
    return row


def check_steps(directory, case, model):
    """Every step by itself: what dequantises a step's result gets the expected integers from an input of the graph."""
    values, data, at = {}, np.fromfile(directory / "steps.i8", np.int8), 0
    for step in case["steps"]:
        size = int(np.prod(step["shape"]))
        values[step["name"]] = (data[at:at + size].reshape(1, *step["shape"]), step)
        at += size
    graph, feed, outputs = model.graph, {}, []
    made = {o: n for n in graph.node for o in n.output}
    first = next(n for n in graph.node if n.op_type == "QuantizeLinear" and n.input[0] == "input")
    for name, (q, _) in values.items():
        if name == "input":
            # The image is what the first DequantizeLinear gives.
            dequantise = next(n for n in graph.node if first.output[0] in n.input)
        else:
            dequantise = made[name if name in made else "logits"]
            outputs.append((name, dequantise.input[0]))
        dequantise.input[0] = name + "/given"
        feed[name + "/given"] = q
        graph.input.append(onnx.helper.make_tensor_value_info(name + "/given", onnx.TensorProto.INT8, list(q.shape)))
    for _, value in outputs:
        graph.output.append(onnx.helper.make_tensor_value_info(value, onnx.TensorProto.INT8, None))
    shape = [1, *[int(x) for x in case["input"]]]
    feed["input"] = np.zeros(shape, np.float32)
    rows = []
    # Operators as the standard defines them, and what the runtime makes of them.
    for against, plain in [("steps", True), ("steps, optimised", False)]:
        known = session(model.SerializeToString(), plain)
        names = {i.name for i in known.get_inputs()}
        found = known.run([v for _, v in outputs], {k: v for k, v in feed.items() if k in names})
        worst, where, kinds = 0, "", {}
        for (name, _), got in zip(outputs, found):
            difference = np.abs(got.astype(np.int32).reshape(-1) - values[name][0].astype(np.int32).reshape(-1))
            kind = kinds.setdefault(values[name][1].get("kind", ""), [0, 0])
            kind[0] += int((difference > 0).sum())
            kind[1] += difference.size
            beyond = int(difference.max()) - int(values[name][1].get("tolerance", 1))
            if beyond > worst:
                worst, where = beyond, name
        differ, count = (sum(column) for column in zip(*kinds.values()))
        rows.append({"case": directory.name, "against": against, "kinds": kinds, "images": 1, "max_difference": float(worst),
                     "where": where, "mean_difference": differ / count, "largest": 255.0, "argmax_agreement": 1.0,
                     "tolerance": 0.0, "ok": worst == 0})
    return rows


def check(directory):
    """All comparisons of one case; raises with the reason if it cannot be compared."""
    case = json.loads((directory / "case.json").read_text())
    n, shape = int(case["batch"]), [int(x) for x in case["input"]]
    tolerance = float(case["tolerance"])
    model = onnx.load(directory / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    if model.graph.input[0].name != "input" or model.graph.output[0].name != "logits":
        raise ValueError("the model's input and output are not `input` and `logits`")
    unknown = [v.name for v in inferred.graph.value_info if not v.type.tensor_type.HasField("shape")]
    if unknown:
        raise ValueError(f"no shape can be inferred for {unknown[0]}")
    params = sum(int(np.prod(t.dims, dtype=np.int64)) for t in model.graph.initializer)
    if params != int(case["params"]):
        raise ValueError(f"the initialisers hold {params} numbers, not {case['params']}")
    had = {p.key: p.value for p in model.metadata_props}
    for key, value in case.get("metadata", {}).items():
        if had.get(key) != value:
            raise ValueError(f"metadata {key} is {had.get(key)!r}, not {value!r}")

    x = floats(directory / "input.f32").reshape([n, *shape])
    run = session((directory / "model.onnx").read_bytes())
    got = run.run(["logits"], {"input": x})[0].reshape(n, -1)
    # The batch is symbolic: a single image gives the same numbers as in company.
    first = run.run(["logits"], {"input": x[:1]})[0].reshape(1, -1)
    rows = [compare(directory.name, "itself, batch 1", first, got[:1], tolerance)]
    expected = sorted(p for p in directory.glob("expected*.f32"))
    if not expected:
        raise ValueError("there is no expected.f32")
    for path in expected:
        rows.append(compare(directory.name, path.name, got, floats(path), tolerance))
    if "steps" in case:
        rows += check_steps(directory, case, model)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("directory", type=Path)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--quiet", action="store_true", help="print failures and the summary only")
    arguments = parser.parse_args()
    cases = sorted(p.parent for p in arguments.directory.glob("*/case.json"))
    if not cases:
        print(f"onnx_check.py: no case in {arguments.directory}", file=sys.stderr)
        return 2
    rows = []
    for directory in cases:
        try:
            rows += check(directory)
        except Exception as e:  # whatever a runtime throws is this case's failure, not the run's end
            reason = " ".join(str(e).split())[:500]
            rows.append({"case": directory.name, "against": "", "ok": False, "error": reason})
    failed = [r for r in rows if not r["ok"]]
    worst = max((r["max_difference"] for r in rows if "max_difference" in r), default=None)
    summary = {
        "ok": not failed,
        "cases": len(cases),
        "failed": len({r["case"] for r in failed}),
        "max_difference": worst,
        "onnx": onnx.__version__,
        "onnxruntime": onnxruntime.__version__,
    }
    if arguments.json:
        print(json.dumps({**summary, "rows": rows}, indent=1))
    else:
        table(failed if arguments.quiet else rows)
        print(
            f"{summary['cases']} cases, {summary['failed']} failed, largest difference"
            f" {'unknown' if worst is None else format(worst, '.3g')}"
            f" (onnx {onnx.__version__}, onnxruntime {onnxruntime.__version__})"
        )
    return 1 if failed else 0


def table(rows):
    if not rows:
        return
    width = max(len(r["case"]) for r in rows)
    other = max(len(r["against"]) for r in rows)
    print(f"{'case':{width}}  {'against':{other}}  images  max diff   mean diff  argmax  ")
    for r in rows:
        start = f"{r['case']:{width}}  {r['against']:{other}}"
        if "error" in r:
            print(f"{start}  FAILED: {r['error']}")
            continue
        print(
            f"{start}  {r['images']:6}  {r['max_difference']:<9.3g}  {r['mean_difference']:<9.3g}"
            f"  {r['argmax_agreement']:6.1%}  {'ok' if r['ok'] else 'FAILED: more than %g' % r['tolerance']}"
        )


if __name__ == "__main__":
    sys.exit(main())
