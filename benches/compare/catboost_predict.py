"""CatBoost: outputs of a MultiRMSE model of `--trees` trees."""

import argparse

import common

args = common.arguments(__doc__)

from catboost import CatBoostRegressor

random = common.generator(args)
growing = argparse.Namespace(**vars(args) | dict(rows=2048))
model = CatBoostRegressor(
    loss_function="MultiRMSE",
    iterations=args.trees,
    depth=args.depth,
    learning_rate=0.01,
    thread_count=args.threads,
    random_seed=args.seed,
    border_count=args.bins - 1,
    grow_policy={"oblivious": "SymmetricTree", "depthwise": "Depthwise"}[args.grow],
    boosting_type="Plain",
    allow_writing_files=False,
    verbose=False,
)
model.fit(*common.batch(growing, random))

observations, _ = common.batch(args, random)
seconds = common.median_seconds(args, lambda: model.predict(observations, thread_count=args.threads))
common.report(args, ns_per_tree_row=seconds * 1e9 / (args.trees * args.rows))
