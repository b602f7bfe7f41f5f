"""The map of a data set in two dimensions by UMAP, where `umap-learn` is installed; without it PCA draws the map."""

import warnings
from importlib.util import find_spec
from typing import Final

import numpy as np
from jaxtyping import Float, Float32

NEIGHBORS: Final = 15
"""Neighbors that decide what is near, the library's own default."""
LEAST: Final = 4
"""Points below which there is no shape to find: UMAP needs more points than dimensions and neighbors."""


def available() -> bool:
    """Whether `umap-learn` is installed; it is not imported."""
    return find_spec("umap") is not None


def umap(x: Float[np.ndarray, "n d"], seed: int) -> Float32[np.ndarray, "n 2"]:
    """Where each vector lies on a map that keeps neighbors together; distances between far groups mean little.

    Cosine distance, 15 neighbors (fewer where there are not as many). The same vectors and seed give the same map on the same
    machine with the same versions. Unit: none. Rows that are zero, NaN or infinite are NaN; of fewer than four other rows all
    lie on the origin. Source: McInnes, Healy and Melville, UMAP, 2018. Raises `ImportError` where `umap-learn` is missing.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # importing looks for TensorFlow, and says so
        import umap as library
    wide = np.asarray(x, np.float32)
    known = np.isfinite(wide).all(1) & wide.any(1)
    place = np.full((len(wide), 2), np.nan, np.float32)
    place[known] = 0
    if known.sum() < LEAST:
        return place
    few = int(known.sum()) <= NEIGHBORS + 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # remarks on unconnected points and on the eigenvalue solver change nothing here
        mapper = library.UMAP(
            n_components=2,
            n_neighbors=min(NEIGHBORS, int(known.sum()) - 1),
            metric="cosine",
            init="random" if few else "spectral",  # the graph's eigenvectors need more points than it has neighbors
            random_state=seed,
            n_jobs=1,  # one thread is what makes a seed mean something
        )
        place[known] = mapper.fit_transform(wide[known])
    return place
