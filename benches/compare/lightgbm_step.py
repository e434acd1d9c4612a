"""LightGBM: one tree per output on data that is binned beforehand. Its trees have one output, so outputs take turns."""

import common

args = common.arguments(__doc__)

import lightgbm_common

observations, targets = common.batch(args, common.generator(args))
boosters = [lightgbm_common.booster(args, observations, targets[:, d]) for d in range(args.outputs)]


def step():
    for booster in boosters:
        booster.update()


common.report(args, ms_per_tree=common.median_seconds(args, step) * 1e3)
