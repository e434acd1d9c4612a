"""gbrl: outputs of an ensemble of `--trees` trees."""

import argparse

import common

args = common.arguments(__doc__)

import gbrl_common

model = gbrl_common.learner(args)
random = common.generator(args)
# The rows that the trees are grown on only have to fill the leaves.
growing = argparse.Namespace(**vars(args) | dict(rows=256))
observations, gradients = common.batch(growing, random)
for _ in range(args.trees):
    model.step(observations, gradients)

observations, _ = common.batch(args, random)
seconds = common.median_seconds(args, lambda: model.predict(observations, requires_grad=False, tensor=False))
common.report(args, ns_per_tree_row=seconds * 1e9 / (args.trees * args.rows))
