"""How XGBoost is set up in all its scripts: trees with vector leaves, histograms."""


def params(args):
    """Training parameters."""
    return dict(
        objective="reg:squarederror",
        tree_method="hist",
        multi_strategy="multi_output_tree",
        max_depth=args.depth,
        max_bin=args.bins,
        learning_rate=0.1,
        base_score=[0.0] * args.outputs,
        reg_lambda=0.0,
        min_child_weight=0.0,
        nthread=args.threads,
        seed=args.seed,
        verbosity=0,
    )
