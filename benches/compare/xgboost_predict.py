"""XGBoost: outputs of `--trees` trees with vector leaves."""

import argparse

import common

args = common.arguments(__doc__)

import xgboost

import xgboost_common

random = common.generator(args)
growing = argparse.Namespace(**vars(args) | dict(rows=2048))
data = xgboost.QuantileDMatrix(*common.batch(growing, random), max_bin=args.bins, nthread=args.threads)
booster = xgboost.train(xgboost_common.params(args), data, args.trees)

observations, _ = common.batch(args, random)
seconds = common.median_seconds(args, lambda: booster.inplace_predict(observations))
common.report(args, ns_per_tree_row=seconds * 1e9 / (args.trees * args.rows))
