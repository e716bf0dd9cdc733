"""A model from standard input, timed in ONNX Runtime with one thread. Run by target::peers."""
import json
import sys
import time

try:
    import numpy as np
    import onnxruntime
except ImportError as e:
    sys.exit(f"{e}; install with: {sys.executable} -m pip install numpy onnxruntime")

c, h, w = map(int, sys.argv[1:4])
seconds = float(sys.argv[4])
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
options.log_severity_level = 3
session = onnxruntime.InferenceSession(sys.stdin.buffer.read(), options, providers=["CPUExecutionProvider"])
name = session.get_inputs()[0].name
image = np.random.default_rng(1).normal(size=(1, c, h, w)).astype("<f4")
begun = time.perf_counter()
while time.perf_counter() - begun < seconds / 5:
    session.run(None, {name: image})
times = []
begun = time.perf_counter()
while len(times) < 11 or time.perf_counter() - begun < seconds / 2:
    start = time.perf_counter_ns()
    session.run(None, {name: image})
    times.append(time.perf_counter_ns() - start)
json.dump({"version": onnxruntime.__version__, "times": times}, sys.stdout)
