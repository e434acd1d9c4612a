"""CatBoost: one tree of MultiRMSE on data that is quantised beforehand.

It cannot be stopped between two trees, so this is the slope: the time of a long training less that of a short one,
divided by the difference of their trees. The fixed cost of a training does not count against it.
"""

import common

args = common.arguments(__doc__, warmup=1, repeats=15)

from catboost import CatBoostRegressor, Pool

SHORT, LONG = 5, 55
observations, targets = common.batch(args, common.generator(args))
pool = Pool(observations, targets)
pool.quantize(border_count=args.bins - 1)


def train(trees):
    CatBoostRegressor(
        loss_function="MultiRMSE",
        iterations=trees,
        depth=args.depth,
        learning_rate=0.1,
        thread_count=args.threads,
        random_seed=args.seed,
        grow_policy={"oblivious": "SymmetricTree", "depthwise": "Depthwise"}[args.grow],
        score_function={"cosine": "Cosine", "l2": "L2"}[args.score],
        bootstrap_type="No",
        boosting_type="Plain",
        random_strength=0,
        boost_from_average=False,
        allow_writing_files=False,
        verbose=False,
    ).fit(pool)


args.seconds /= 2
short = common.median_seconds(args, lambda: train(SHORT))
long = common.median_seconds(args, lambda: train(LONG))
common.report(args, ms_per_tree=(long - short) / (LONG - SHORT) * 1e3)
