"""The problems of `hytc bench search`, for optimisers in Python.

A problem has `dims` (a list of numbers of values; `None`: a number in 0..1), `kind` ("ordinal",
"categorical" or "float"), `evaluate(x) -> (costs, violations)` with every objective as a cost and
violations positive where a constraint is broken, and `reference` (costs). WFG and C2-DTLZ2 are pymoo's
own, so that hytc's definitions (src/bench/synthetic.rs) are checked against code that is not ours.
"""
import csv
import os
import sys

import numpy as np

SHARED = os.environ.get("HYTC_SHARED", os.path.join(os.path.dirname(__file__), "..", "..", "shared"))
NAMES = ["hytnas", "nb201", "nb201-3", "c2dtlz2", "wfg4-2", "wfg4-4", "wfg5-2", "wfg5-4"]


class HytNas:
    """HyT-NAS's published measurements (shared/tools/mobo/hytnas23.py): accuracy % and latency ms."""

    kind = "ordinal"
    reference = [-75.0, 3500.0]
    trials = 120

    def __init__(self):
        sys.path.insert(0, os.path.join(SHARED, "tools", "mobo"))
        import hytnas23

        self.module = hytnas23
        self.dims = list(hytnas23.CARD)

    def evaluate(self, x):
        accuracy, latency = self.module.evaluate([list(x)])[0]
        return [-float(accuracy), float(latency)], []


class Nb201:
    """NAS-Bench-201, 6 edges with one of 5 operations, from shared/tables/nb201_hw_joined.csv."""

    kind = "categorical"
    dims = [5] * 6
    trials = 100

    def __init__(self, objectives):
        columns, self.reference = {
            2: (["acc_cifar100", "nezha_d1_ms_c10"], [-50.0, 1400.0]),
            3: (["acc_cifar100", "pi5_onnx_mj_c100", "params_c10"], [-50.0, 24.0, 1.4]),
        }[objectives]
        self.table = {}
        with open(os.path.join(SHARED, "tables", "nb201_hw_joined.csv"), newline="") as file:
            for row in csv.DictReader(file):
                v = [float(row[c]) for c in columns]
                v[0] = -v[0]
                if objectives == 3:
                    v[2] /= 1e6
                self.table[tuple(int(c) for c in row["ops"])] = v

    def evaluate(self, x):
        return self.table[tuple(int(v) for v in x)], []


class Synthetic:
    """WFG4, WFG5 (Huband et al. 2006) and C2-DTLZ2 (Jain and Deb 2014), variables scaled to 0..1."""

    kind = "float"
    trials = 100

    def __init__(self, name):
        from pymoo.problems import get_problem

        if name == "c2dtlz2":
            self.problem = get_problem("c2dtlz2", n_var=12, n_obj=2)
            self.reference = [1.1, 1.1]
        else:
            family, objectives = name.split("-")
            m = int(objectives)
            k = 4 if m == 2 else 2 * (m - 1)
            self.problem = get_problem(family, n_var=k + 20, n_obj=m, k=k)
            self.reference = [2.0 * i + 1.0 for i in range(1, m + 1)]
        self.dims = [None] * self.problem.n_var

    def evaluate(self, x):
        p = self.problem
        out = p.evaluate(np.asarray([x]) * (p.xu - p.xl) + p.xl, return_as_dictionary=True)
        violations = out["G"][0].tolist() if p.n_ieq_constr else []
        return out["F"][0].tolist(), violations


def problem(name):
    if name == "hytnas":
        return HytNas()
    if name == "nb201":
        return Nb201(2)
    if name == "nb201-3":
        return Nb201(3)
    if name in NAMES:
        return Synthetic(name)
    raise SystemExit(f"there is no problem {name!r}; there are {', '.join(NAMES)}")


def hypervolumes(costs, reference):
    """The hypervolume after each evaluation; `None` in `costs` is an infeasible or failed one."""
    from pymoo.indicators.hv import HV

    measure, front, out, last = HV(ref_point=np.array(reference)), [], [], 0.0
    for c in costs:
        if c is not None and all(v < r for v, r in zip(c, reference)):
            if not any(all(a <= b for a, b in zip(f, c)) for f in front):
                front = [f for f in front if not all(b <= a for a, b in zip(f, c))] + [c]
                last = float(measure(np.array(front)))
        out.append(last)
    return out
