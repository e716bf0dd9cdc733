#!/usr/bin/env python3
"""What int8 kernels take in flash, fitted to linked images: the table in src/cost/kernels.rs.

    for target in cortex-m0 cortex-m4 cortex-m7 riscv32; do
        HYTC_TARGET=$target HYTC_CODE_CSV=/tmp/code.csv HYTC_SEED=1 HYTC_POINTS_RANDOM=60 \\
            HYTC_POINTS_FASHION=12 HYTC_POINTS_HYTNAS=12 cargo test --release --test linked
    done
    scripts/measure-kernels/code.py /tmp/code.csv

`devices/measured/int8-code.csv` is the file that the table was made of. A line of it is a linked network: target, where it is from, bytes of flash that are neither weights nor
the list of calls, and how often it calls each kernel. Those bytes are what every network takes, plus what
each kernel takes that is called at all, plus what several kernels share, once, plus the gaps between
constants, in proportion to the calls. Coefficients are not negative, which keeps kernels that only occur
together from cancelling each other. Needs numpy and scipy.
"""
import collections
import sys

import numpy as np
from scipy.optimize import nnls

KERNELS = """add affine attention avg_pool concat conv depthwise fold global_avg_pool layer_norm linear map matmul
max_pool mul softmax transpose unfold""".split()
# Of kernels/src/int8: the rows of dense layers, the exponential, the window of a pooling, and so on.
SHARED = {
    "rows of dense layers": ["conv", "linear"],
    "results of channels": ["affine", "depthwise"],
    "exponential": ["attention", "softmax"],
    "windows": ["avg_pool", "max_pool"],
    "patches": ["fold", "unfold"],
    "rescaling": ["attention", "conv", "global_avg_pool", "layer_norm", "linear", "matmul", "mul", "softmax"],
}
POINTERS = {"aarch64": 8}
CORES = {"cortex-m0": ["cortex-m0", "cortex-m0plus"], "riscv32": ["riscv32"], "aarch64": ["cortex-a72", "aarch64"]}


def features(calls):
    present = [float(k in calls) for k in KERNELS]
    shared = [float(any(k in calls for k in users)) for users in SHARED.values()]
    return [1.0, *present, *shared, float(sum(calls.values()))]


def fit(x, y):
    """Least squares with coefficients of at least 0, a little pulled to 0."""
    n = x.shape[1]
    return nnls(np.vstack([x, 0.03 * np.eye(n)]), np.concatenate([y, np.zeros(n)]))[0]


def main():
    rows = collections.defaultdict(list)
    for line in open(sys.argv[1]):
        if line.startswith("target,"):
            continue
        target, _, code, calls = line.rstrip("\n").split(",")
        rows[target].append((int(code), {k: int(n) for k, n in (c.split(":") for c in calls.split())}))
    for target, found in rows.items():
        x, y = np.array([features(c) for _, c in found]), np.array([b for b, _ in found], float)
        w = fit(x, y)
        error = x @ w - y
        # How good it is on networks that it was not fitted to: ten times a tenth is left out.
        out = [x[i::10] @ fit(np.delete(x, np.s_[i::10], 0), np.delete(y, np.s_[i::10])) - y[i::10] for i in range(10)]
        print(f"// {target}: {len(y)} networks, {y.min():.0f} to {y.max():.0f} bytes; largest error {np.abs(error).max():.0f},")
        print(f"// left out {np.abs(np.concatenate(out)).max():.0f}", file=sys.stdout)
        w, shared = list(w), len(SHARED)
        print("Architecture {")
        print(f"    cores: &{str(CORES.get(target, [target]))},".replace("'", '"'))
        print(f"    pointer: {POINTERS.get(target, 4)},\n    base: {w[0]:.0f},\n    kernels: &[")
        for name, value in zip(KERNELS, w[1:]):
            print(f'        ("{name}", {value:.0f}),')
        print("    ],")
        print(f"    shared: &[{', '.join(f'{v:.0f}' for v in w[-1 - shared:-1])}],")
        print(f"    padding: {w[-1]:.2f},\n}},")


main()
