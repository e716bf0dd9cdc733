#!/usr/bin/env python3
"""Counts the instructions of the float kernels under QEMU, and their code bytes.

Usage: scripts/measure-kernels/run.py [PREFIX]     (PREFIX: cross tools, default /opt/hyt-cross)

Builds firmware.rs once per kernel and core, runs it with the counting plugin, prints one line per
shape as CSV, and per kernel the fit

    instructions = per_mac * MACs + per_output * outputs        (per MAC kinds)
    instructions = per_element * elements                       (the others)

which devices/*.yaml multiply by a core's cycles per instruction. The counts are exact and the same
on every run. Results of a run are kept in devices/measured/float.csv.
"""
import os, re, struct, subprocess, sys, tempfile

PREFIX = sys.argv[1] if len(sys.argv) > 1 else "/opt/hyt-cross"
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
# The M0+ has the M0's instruction set (Armv6-M), which the M4 board executes too; the board of an
# M0 has 16 KiB of RAM, too little for these shapes.
CORES = {
    "cortex-m0plus": ("thumbv6m-none-eabi", None, "mps2-an386", False),
    "cortex-m4": ("thumbv7em-none-eabihf", None, "mps2-an386", True),
    "cortex-m7": ("thumbv7em-none-eabihf", "cortex-m7", "mps2-an500", True),
    "aarch64": ("aarch64-unknown-linux-gnu", None, None, True),
}


def conv(side, c, out, k, s):
    o = -(-side // s)
    return (f"{side}x{side}x{c} -> {out}, {k}x{k} s{s}", o * o * out * k * k * c, o * o * out)


def dw(side, c, k, s):
    o = -(-side // s)
    return (f"{side}x{side}x{c}, {k}x{k} s{s}", o * o * c * k * k, o * o * c)


def dense(rows, i, o):
    return (f"{rows} x {i} -> {o}", rows * i * o, rows * o)


def core(g, t, h, d):
    # The second figure is the number of scores, which softmax sees.
    return (f"{g} groups, {t} tokens, {h} x {d}", 2 * g * h * t * t * d, g * h * t * t)


# Shape, units of work, outputs; in the order of firmware.rs.
ROWS = [dense(48 * 48, 8, 16), dense(24 * 24, 32, 32), dense(144, 64, 64), dense(36, 128, 128), dense(9, 256, 256)]
CASES = {
    "arithmetic": [("add, sub, mul, div, compare", 64, 0)],
    "conv": [conv(96, 3, 8, 3, 2), conv(32, 3, 16, 3, 1), conv(16, 16, 16, 3, 1), conv(16, 32, 32, 3, 2), conv(8, 64, 64, 3, 1)],
    "pointwise": ROWS,
    "vector": [dense(1, 256, 2), dense(1, 64, 10), dense(1, 784, 64), dense(1, 256, 128)],
    "depthwise": [dw(48, 8, 3, 1), dw(24, 32, 3, 1), dw(24, 32, 3, 2), dw(12, 64, 3, 1), dw(6, 128, 3, 1), dw(12, 32, 5, 1)],
    "attention": [core(4, 36, 2, 16), core(16, 9, 4, 16), core(1, 64, 1, 32), core(4, 144, 1, 16)],
    "matmul": [("64x32 by 32x64", 64 * 32 * 64, 64 * 64)],
    "elementwise": [("add", 4096, 0), ("mul channels", 4096, 0), ("affine", 4096, 0)],
    "activation": [("silu", 4096, 0), ("gelu", 4096, 0), ("sigmoid", 4096, 0)],
    "pool": [("max 2x2 s2, 24x24x16", 12 * 12 * 16 * 4, 0), ("avg 3x3 s2, 24x24x32", 11 * 11 * 32 * 9, 0), ("global 3x3x256", 9 * 256, 0)],
    "softmax": [("rows of 64", 4096, 0)],
    "layer_norm": [("rows of 64", 4096, 0), ("rows of 128", 4096, 0)],
    "copy": [("unfold 2", 4608, 0), ("fold 2", 4608, 0), ("concat", 4608, 0)],
}


def build(core, kernel, out):
    target, cpu, _, fpu = CORES[core]
    rustc = f"{PREFIX}/tc/bin/rustc"
    flags = ["--edition=2021", "--target", target, "-Copt-level=3", "-Cpanic=abort"]
    # The M4 is measured as cargo builds by default, for its triple without a `target-cpu`.
    flags += [f"-Ctarget-cpu={cpu}"] if cpu else []
    # As in a release build with `lto = true`; generic kernels are compiled into the firmware anyway.
    lib = f"{out}/libhytc_kernels.rlib"
    if not os.path.exists(lib):
        run([rustc, *flags, "--crate-type=rlib", "--crate-name=hytc_kernels", "-o", lib, f"{ROOT}/kernels/src/lib.rs"])
    elf = f"{out}/{kernel}.elf"
    linker = ["-Clinker=aarch64-linux-gnu-gcc", "-Clink-arg=-lc"] if core == "aarch64" else [
        f"-Clinker={PREFIX}/tc/bin/rust-lld", f"-Clink-arg=-T{HERE}/link.x"]
    run([rustc, *flags, "-Clto=fat", "-Ccodegen-units=1", *linker,
         "--cfg", f'kernel="{kernel}"', *(["--cfg", "fpu"] if fpu else []), "--extern", f"hytc_kernels={lib}",
         "-o", elf, f"{HERE}/firmware.rs"])
    return elf


def run(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return done


def code_bytes(elf):
    """Bytes of code and constants: the sections .text and .rodata of a 32-bit ELF file (0 for others)."""
    data = open(elf, "rb").read()
    if data[4] != 1:
        return 0
    offset, = struct.unpack_from("<I", data, 32)
    size, count, names = struct.unpack_from("<HHH", data, 46)
    heads = [struct.unpack_from("<10I", data, offset + i * size) for i in range(count)]
    name = lambda h: data[heads[names][4] + h[0]:].split(b"\0")[0]
    return sum(h[5] for h in heads if name(h) in (b".text", b".rodata"))


def instructions(core, elf):
    command = ["timeout", "120", "qemu-system-arm", "-M", CORES[core][2], "-nographic", "-semihosting", "-kernel", elf,
               "-plugin", f"{PREFIX}/libinsncount.so", "-d", "plugin"]
    if core == "aarch64":
        command = ["timeout", "120", "qemu-aarch64", "-L", "/usr/aarch64-linux-gnu", "-plugin",
                   f"{PREFIX}/libinsncount.so", "-d", "plugin", elf]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return [int(n) for n in re.findall(r"region \d+: insns (\d+)", done.stderr)]


def fit(rows):
    """Least squares of the relative error over two non-negative coefficients."""
    best = None
    pairs = [(u / n, o / n) for u, o, n in rows]
    aa, ab, bb = (sum(x * y for x, y in z) for z in ([(a, a) for a, _ in pairs], pairs, [(b, b) for _, b in pairs]))
    sa, sb = sum(a for a, _ in pairs), sum(b for _, b in pairs)
    options = [(sa / aa, 0.0)]
    det = aa * bb - ab * ab
    if det > 1e-12 * aa * bb:
        options.append(((sa * bb - sb * ab) / det, (sb * aa - sa * ab) / det))
    for a, b in options:
        if a >= 0 and b >= 0:
            error = max(abs(a * u + b * o - n) / n for u, o, n in rows)
            if best is None or error < best[2]:
                best = (a, b, error)
    return best


def main():
    print("core,kernel,shape,units,outputs,instructions,per_unit")
    fits = []
    for core in CORES:
        sysroot = run([f"{PREFIX}/tc/bin/rustc", "--print", "sysroot"]).stdout.strip()
        if not os.path.isdir(f"{sysroot}/lib/rustlib/{CORES[core][0]}/lib"):
            fits.append(f"# {core}: skipped, {CORES[core][0]} is not installed")
            continue
        with tempfile.TemporaryDirectory() as out:
            empty = code_bytes(build(core, "none", out))
            for kernel, cases in CASES.items():
                elf = build(core, kernel, out)
                counts = instructions(core, elf)
                if len(counts) != len(cases):
                    sys.exit(f"{core} {kernel}: {len(counts)} regions, {len(cases)} wanted")
                for (shape, units, outputs), n in zip(cases, counts):
                    print(f'{core},{kernel},"{shape}",{units},{outputs},{n},{n / units:.3f}', flush=True)
                a, b, error = fit([(u, o, n) for (_, u, o), n in zip(cases, counts)])
                fits.append(f"# {core} {kernel}: {a:.2f} per unit, {b:.1f} per output (worst {100 * error:.0f} %), {code_bytes(elf) - empty} bytes")
    print("\n".join(fits))


main()
