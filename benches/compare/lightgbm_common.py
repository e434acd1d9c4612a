"""How LightGBM is set up in all its scripts: one output only, trees of 2^depth leaves at most."""


def booster(args, observations, target):
    """An empty booster over data that is binned here."""
    import lightgbm

    params = dict(
        objective="regression",
        boost_from_average=False,
        num_leaves=2**args.depth,
        max_depth=args.depth,
        max_bin=args.bins - 1,
        min_data_in_leaf=1,
        min_sum_hessian_in_leaf=0.0,
        learning_rate=0.1,
        num_threads=args.threads,
        seed=args.seed,
        deterministic=True,
        force_col_wise=True,
        verbose=-1,
    )
    return lightgbm.Booster(params, lightgbm.Dataset(observations, target, params=params).construct())
