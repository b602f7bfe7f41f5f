"""A weakness of the reference's estimator that users are told of: many rows of a frame hide a relation between frames."""

import numpy as np
import pandas as pd

from gpu_quality.analysis.importance import importance


def test_many_rows_of_a_frame_hide_from_importance_what_the_correlation_sees():
    """Section 14 takes the three nearest rows, which are of the same frame where it has many; ranks of all rows are not."""
    rng = np.random.default_rng(5)
    found = {}
    for rows in (1, 12):
        frames = np.repeat(np.arange(600 // rows), rows)
        success = (rng.random(600) < 0.3 + 0.4 * (frames < frames.max() / 2)).astype(float)
        place = pd.DataFrame({"place": frames.astype(float)})
        found[rows] = importance(place, success, level="F", frames=frames, permutations=499, half_samples=1).iloc[0]
    assert found[1]["p"] <= 0.01
    assert found[12]["p"] > 0.05
    assert found[12]["spearman_p_adjusted"] <= 0.01
