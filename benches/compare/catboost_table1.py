"""CatBoost: `--trees` trainings of one tree, each on a new random batch and on top of the model so far."""

import time

import common

args = common.arguments(__doc__, rows=128, features=20)

from catboost import CatBoostRegressor

random = common.generator(args)
batches = [common.batch(args, random) for _ in range(args.trees + args.warmup)]


def step(previous, batch):
    model = CatBoostRegressor(
        loss_function="MultiRMSE",
        iterations=1,
        depth=args.depth,
        learning_rate=0.1,
        thread_count=args.threads,
        random_seed=args.seed,
        border_count=args.bins - 1,
        boosting_type="Plain",
        boost_from_average=False,
        allow_writing_files=False,
        verbose=False,
    )
    return model.fit(*batch, init_model=previous)


for batch in batches[: args.warmup]:
    step(None, batch)
model = None
start = time.perf_counter()
for batch in batches[args.warmup :]:
    model = step(model, batch)
common.report(args, seconds_total=time.perf_counter() - start)
