"""What the regression says of clips that it is fitted without, in closed form."""

from __future__ import annotations

import numpy as np

from training.fitting.heads import held_out, kernel, ridge

PENALTY = 0.3


def test_held_out_logits_are_those_of_a_regression_without_the_part() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 20)
    rows = (rng.standard_normal((60, 5)) + labels[:, None]).astype(np.float32)
    weights = rng.uniform(0.5, 1.5, 60)
    parts = np.array_split(rng.permutation(60), 4)
    head = ridge(rows, labels, weights, axes=5, width=1.0, penalty=PENALTY)
    logits = held_out(head, labels, weights, PENALTY, parts)
    truth = np.eye(3)[labels] - 1 / 3
    for part in parts:
        rest = np.setdiff1d(np.arange(60), part)
        gram = kernel(head.support[rest], head.support[rest]) + np.diag(PENALTY / weights[rest])
        refitted = kernel(head.support[part], head.support[rest]) @ np.linalg.solve(gram, truth[rest])
        np.testing.assert_allclose(logits[part], refitted, atol=1e-9)
