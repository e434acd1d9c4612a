"""gbrl: `--trees` boosting steps, each on a new random batch; the time of all."""

import time

import common

args = common.arguments(__doc__, rows=128, features=20)

import gbrl_common

random = common.generator(args)
batches = [common.batch(args, random) for _ in range(args.trees + args.warmup)]
model = gbrl_common.learner(args)
for observations, gradients in batches[: args.warmup]:
    model.step(observations, gradients)
start = time.perf_counter()
for observations, gradients in batches[args.warmup :]:
    model.step(observations, gradients)
common.report(args, seconds_total=time.perf_counter() - start)
