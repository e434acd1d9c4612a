"""How gbrl is set up in all its scripts."""


def learner(args):
    """An empty ensemble with quantile candidates, one threshold less than `--bins`, and a constant learning rate."""
    from gbrl.learners.gbt_learner import GBTLearner

    tree = dict(
        max_depth=args.depth,
        grow_policy={"oblivious": "oblivious", "depthwise": "greedy"}[args.grow],
        n_bins=args.bins - 1,
        min_data_in_leaf=0,
        par_th=10,
    )
    optimizer = dict(algo="SGD", init_lr=0.1, start_idx=0, stop_idx=args.outputs)
    params = dict(
        control_variates=False,
        split_score_func={"cosine": "cosine", "l2": "L2"}[args.score],
        generator_type="Quantile",
    )
    model = GBTLearner(args.features, args.outputs, tree, [optimizer], params, verbose=0, device="cpu")
    model.reset()
    return model
