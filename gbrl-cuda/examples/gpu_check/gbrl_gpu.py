"""gbrl's boosting step: the median seconds of ROWS x FEATURES x OUTPUTS on DEVICE (cuda or cpu), on the last line."""

import statistics
import sys
import time

import numpy as np
from gbrl.learners.gbt_learner import GBTLearner

rows, features, outputs = map(int, sys.argv[1:4])
device = sys.argv[4]
tree = dict(max_depth=4, grow_policy="oblivious", n_bins=255, min_data_in_leaf=0, par_th=10)
optimizer = dict(algo="SGD", init_lr=0.1, start_idx=0, stop_idx=outputs)
params = dict(control_variates=False, split_score_func="cosine", generator_type="Quantile")
model = GBTLearner(features, outputs, tree, [optimizer], params, verbose=0, device=device)
model.reset()
random = np.random.default_rng(0)
observations = random.standard_normal((rows, features), dtype=np.float32)
gradients = random.standard_normal((rows, outputs), dtype=np.float32)
times = []
for i in range(15):
    start = time.perf_counter()
    model.step(observations, gradients)
    if i >= 4:
        times.append(time.perf_counter() - start)
print(statistics.median(times))
