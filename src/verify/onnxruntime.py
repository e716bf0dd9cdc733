"""Model and images from standard input, logits to standard output. Run by verify::run_onnxruntime."""
import sys

try:
    import numpy as np
    import onnxruntime
except ImportError as e:
    sys.exit(f"{e}; install with: {sys.executable} -m pip install numpy onnxruntime")

size, count, c, h, w = map(int, sys.argv[1:])
data = sys.stdin.buffer.read()
options = onnxruntime.SessionOptions()
options.log_severity_level = 3
session = onnxruntime.InferenceSession(data[:size], options, providers=["CPUExecutionProvider"])
images = np.frombuffer(data, "<f4", offset=size) if size % 4 == 0 else np.frombuffer(data[size:], "<f4")
images = images.reshape(count, c, h, w)
for start in range(0, count, 64):
    (logits,) = session.run(None, {session.get_inputs()[0].name: images[start : start + 64]})
    sys.stdout.buffer.write(logits.astype("<f4").tobytes())
