"""XGBoost: `--trees` updates of one booster, each by one tree on a new random batch (no copy of the model per step)."""

import time

import common

args = common.arguments(__doc__, rows=128, features=20)

import xgboost

import xgboost_common

random = common.generator(args)
batches = [common.batch(args, random) for _ in range(args.trees + args.warmup)]


def step(booster, batch, iteration):
    data = xgboost.QuantileDMatrix(*batch, max_bin=args.bins, nthread=args.threads)
    booster.update(data, iteration)


def empty():
    return xgboost.Booster(xgboost_common.params(args))


warm = empty()
for i, batch in enumerate(batches[: args.warmup]):
    step(warm, batch, i)
booster = empty()
start = time.perf_counter()
for i, batch in enumerate(batches[args.warmup :]):
    step(booster, batch, i)
common.report(args, seconds_total=time.perf_counter() - start)
