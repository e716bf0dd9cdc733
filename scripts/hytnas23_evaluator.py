"""HyT-NAS's published measurements (shared/tools/mobo/hytnas23.py) behind hytc's evaluator protocol.

    python3 hytnas23_evaluator.py SHARED

One JSON line a trial on standard input, `{"trial":0,"decisions":{"space.width1":16,..}}`, one back,
`{"trial":0,"metrics":{"accuracy":83.1,"latency":1500.0}}` (percent, milliseconds of a Raspberry Pi).
The decisions are those of specs/hytnas.hyt. Needs numpy, pandas, scikit-learn.
"""
import json
import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(sys.argv[1], "tools", "mobo"))
import hytnas23

# hytnas23's names and those of the spec.
PATHS = {"width1": "width1", "expand1": "layer1.expand", "expand2": "expand2", "blocks2": "layer2"}
for i in (2, 3, 4, 5):
    PATHS[f"mul{i}"] = f"width{i}"
for i in (3, 4, 5):
    for name in ("expand", "blocks", "heads", "ffn", "patch"):
        PATHS[f"{name}{i}"] = f"layer{i}.{name}"

for line in sys.stdin:
    request = json.loads(line)
    answer = {"trial": request["trial"]}
    try:
        decisions = request["decisions"]
        x = [
            choices.index(decisions["space." + PATHS[name]])
            for name, choices in zip(hytnas23.NAMES, hytnas23.CHOICES)
        ]
        accuracy, latency = hytnas23.evaluate([x])[0]
        answer["metrics"] = {"accuracy": float(accuracy), "latency": float(latency)}
    except Exception as e:
        answer["error"] = f"{type(e).__name__}: {e}"
    print(json.dumps(answer), flush=True)
