"""XGBoost: `--trees` updates of one booster, each by one tree on a new random batch (no copy of the model per step)."""

import time

import common

args = common.arguments(__doc__, rows=128, features=20)

import xgboost

import xgboost_common

random = common.generator(args)
batches = [common.batch(args, random) for _ in range(args.trees + args.warmup)]


def data(batch):
    return xgboost.QuantileDMatrix(*batch, max_bin=args.bins, nthread=args.threads)


def grow(batches):
    # The booster holds this only weakly and learns the number of features from it at the first update.
    shape = data(batches[0])
    booster = xgboost.Booster(xgboost_common.params(args), [shape])
    for i, batch in enumerate(batches):
        booster.update(data(batch), i)


grow(batches[: args.warmup])
start = time.perf_counter()
grow(batches[args.warmup :])
common.report(args, seconds_total=time.perf_counter() - start)
