"""gbrl: one boosting step. It computes new candidates from the batch each time; there is no way to keep them."""

import common

args = common.arguments(__doc__)

import gbrl_common

model = gbrl_common.learner(args)
observations, gradients = common.batch(args, common.generator(args))
seconds = common.median_seconds(args, lambda: model.step(observations, gradients))
common.report(args, ms_per_tree=seconds * 1e3)
