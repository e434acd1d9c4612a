"""XGBoost: one tree with vector leaves on data that is binned beforehand."""

import common

args = common.arguments(__doc__)

import xgboost

import xgboost_common

observations, targets = common.batch(args, common.generator(args))
data = xgboost.QuantileDMatrix(observations, targets, max_bin=args.bins, nthread=args.threads)
booster = xgboost.Booster(xgboost_common.params(args), [data])
trees = 0


def step():
    global trees
    booster.update(data, trees)
    trees += 1


common.report(args, ms_per_tree=common.median_seconds(args, step) * 1e3)
