"""The bundled models dance as they did: vectors, latents, joints and pictures, kept as arrays."""

from __future__ import annotations

import numpy as np
import pytest
from goldens import make_dances

# Floating point differs between processors, and a dance feeds its own roundings back.
CLOSE = {"vectors": 1e-3, "latents": 1e-3, "joints": 1e-3, "pictures": 24}
# Of pictures a pixel at an edge may still differ; not one in five hundred does.
SHARE = {"pictures": 0.002}


@pytest.fixture(scope="module")
def computed() -> dict[str, np.ndarray]:
    return make_dances.compute()


def test_every_golden_array_is_computed(computed: dict[str, np.ndarray]) -> None:
    with np.load(make_dances.PATH) as golden:
        assert set(golden.files) == set(computed)


@pytest.mark.parametrize("kind", CLOSE)
@pytest.mark.parametrize("name", make_dances.SETTINGS)
def test_a_bundled_model_dances_as_it_did(
    name: str, kind: str, computed: dict[str, np.ndarray]
) -> None:
    key = f"{name}_{kind}"
    if key not in computed:
        pytest.skip(f"{name} has no {kind}")
    with np.load(make_dances.PATH) as golden:
        apart = np.abs(golden[key].astype(float) - computed[key].astype(float))
    assert apart.shape == computed[key].shape
    assert (apart > CLOSE[kind]).mean() <= SHARE.get(kind, 0.0)
