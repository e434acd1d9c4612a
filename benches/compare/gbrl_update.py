"""gbrl: one update of a policy that already has `--trees` trees: outputs of the minibatch, then a boosting step."""

import common

args = common.arguments(__doc__, repeats=20)

import gbrl_common

model = gbrl_common.learner(args)
observations, gradients = common.batch(args, common.generator(args))
for _ in range(args.trees):
    model.step(observations, gradients)


def update():
    model.predict(observations, requires_grad=False, tensor=False)
    model.step(observations, gradients)


common.report(args, ms_per_tree=common.median_seconds(args, update) * 1e3)
