"""LightGBM: outputs of `--trees` trees per output, one booster each, asked in turn."""

import argparse

import common

args = common.arguments(__doc__)

import lightgbm_common

random = common.generator(args)
growing = argparse.Namespace(**vars(args) | dict(rows=2048))
observations, targets = common.batch(growing, random)
boosters = [lightgbm_common.booster(args, observations, targets[:, d]) for d in range(args.outputs)]
for booster in boosters:
    for _ in range(args.trees):
        booster.update()

observations, _ = common.batch(args, random)


def predict():
    for booster in boosters:
        booster.predict(observations, num_threads=args.threads)


seconds = common.median_seconds(args, predict)
common.report(args, ns_per_tree_row=seconds * 1e9 / (args.trees * args.rows))
