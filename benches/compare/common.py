"""What all scripts share: arguments, data, timing, output.

Data: observations are standard normal, targets standard normal plus the first feature, both from a fixed seed.
Timing: the work is first done a few times without a clock; then until `--repeats` times or `--seconds` have passed,
whichever comes first, and the median counts. Output: one JSON object on one line.
"""

import argparse
import json
import os
import statistics
import sys
import time


def arguments(about, **extra):
    """Parses the command line; must run before a peer is imported, since OpenMP reads the thread count once."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    common = dict(
        rows=256, features=4, outputs=3, depth=4, bins=256, grow="oblivious", score="cosine", trees=1000,
        threads=2, seed=0, warmup=3, repeats=200, seconds=3.0,
    )
    for name, default in (common | extra).items():
        parser.add_argument(f"--{name}", type=type(default), default=default)
    parsed = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(parsed.threads)
    return parsed


def batch(args, random):
    """Observations [rows, features] and targets [rows, outputs], f32."""
    import numpy as np

    observations = random.standard_normal((args.rows, args.features), dtype=np.float32)
    targets = random.standard_normal((args.rows, args.outputs), dtype=np.float32)
    return observations, targets + observations[:, :1]


def generator(args):
    """numpy's generator of the run's seed."""
    import numpy as np

    return np.random.default_rng(args.seed)


def median_seconds(args, work):
    """The median time of one call of `work`."""
    for _ in range(args.warmup):
        work()
    times = []
    end = time.perf_counter() + args.seconds
    while len(times) < args.repeats and (len(times) < 3 or time.perf_counter() < end):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def report(args, **results):
    """Prints the settings and the results."""
    json.dump(vars(args) | results, sys.stdout)
    print()
