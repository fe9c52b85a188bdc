"""How a training phase changes over its passes: band limit and learning rate."""

import pytest

from hypermol.methods.composition import Training


@pytest.mark.parametrize(("progress", "shell"), [(0.0, 8), (0.35, 20), (0.7, 31), (1.0, 31)])
def test_the_band_grows_to_nyquist_by_march_end(progress: float, shell: int) -> None:
    assert Training(march_start=0.25).band_limit(progress, 31) == pytest.approx(shell, abs=1)
    assert Training().band_limit(progress, 31) == 31


@pytest.mark.parametrize(("progress", "rate"), [(0.0, 1.0), (0.6, 1.0), (0.8, 0.5), (0.9, 0.25), (1.0, 0.0)])
def test_the_learning_rate_falls_over_the_last_passes(progress: float, rate: float) -> None:
    assert Training(cooling=0.4).rate(progress) == pytest.approx(rate)
    assert Training().rate(min(progress, 0.999)) == 1.0
