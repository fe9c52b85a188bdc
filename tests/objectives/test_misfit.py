"""What is not explained counts as noise: its sums against those over pixels, and images without any noise."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from hypermol.engine import Loop, MemoryStore, Processes
from hypermol.engine.gradient import install
from hypermol.imaging import Lattice
from hypermol.methods import Conduct, configured, find_method
from hypermol.methods.field_search import FieldSearch, clustered
from hypermol.methods.job import Job, make_ready
from hypermol.methods.z_refinement import log_likelihoods
from hypermol.objectives import Misfit, all_signal, residual_nll, residuals, widening, with_misfit
from hypermol.particles import Batch, Preparation, read_particles
from hypermol.simulation import Recipe, Truth, simulate
from hypermol.testing import small_context

BOX, BAND = 16, 5
ZERO = SimpleNamespace(normal=lambda purpose, *shape, dtype=torch.float32: torch.zeros(24, *shape, dtype=dtype))


@pytest.fixture
def batch() -> Batch:
    """Three particles of two images each, one image padded, shells up to ``BAND``."""
    draw, lattice = torch.Generator().manual_seed(4), Lattice.disc(BOX).limit(BAND)
    shape = (3, 2, lattice.size)
    valid = torch.tensor([[True, True], [True, False], [True, True]])
    return Batch(
        particle=torch.arange(3),
        images=torch.randn(shape, dtype=torch.complex64, generator=draw),
        valid=valid,
        ctf=torch.rand(shape, generator=draw),
        variance=0.1 + torch.rand(shape, generator=draw),
        rotation=None,
        shift=None,
        tilt=torch.eye(3).expand(3, 2, 3, 3),
        image_shift=torch.zeros(3, 2, 2),
        half=torch.zeros(3, dtype=torch.long),
        lattice=lattice,
        pixel_size=2.0,
    )


def test_sums_are_those_over_pixels_and_shells_beyond_the_band_stay(batch: Batch) -> None:
    misfit = Misfit(small_context(BOX))
    draw = torch.Generator().manual_seed(5)
    misfit.left.copy_(torch.rand(misfit.left.shape, generator=draw))
    told = misfit.told(batch, batch.images)
    for shell in range(BAND + 1):
        left = power = 0.0
        for particle, image in [(0, 0), (0, 1), (1, 0), (2, 0), (2, 1)]:
            for pixel in torch.nonzero(batch.lattice.shell == shell)[:, 0].tolist():
                weight, at = float(batch.lattice.weight[pixel]), (particle, image, pixel)
                left += weight * (abs(complex(batch.images[at])) ** 2 - float(batch.variance[at]))
                power += weight * float(batch.ctf[at]) ** 2
        assert float(told["left"][shell]) == pytest.approx(left, rel=1e-4, abs=1e-4)
        assert float(told["power"][shell]) == pytest.approx(power, rel=1e-4)
    torch.testing.assert_close(told["left"][BAND + 1 :], 3 * misfit.left[BAND + 1 :])
    torch.testing.assert_close(told["power"][BAND + 1 :], 3 * misfit.power[BAND + 1 :])


def test_before_anything_is_learned_all_signal_is_noise_and_some_always_is(batch: Batch) -> None:
    context = small_context(BOX)
    misfit, signal = Misfit(context), all_signal(context).float()
    torch.testing.assert_close(misfit(batch).variance, with_misfit(batch, signal).variance)
    misfit.left.fill_(-1.0)  # by chance: a network that has learned the noise by heart
    silent = dataclasses.replace(batch, variance=torch.zeros_like(batch.variance))
    least = 1e-6 * signal[batch.lattice.shell] * batch.ctf.square()
    torch.testing.assert_close(misfit(silent).variance, least)


def test_likelihoods_under_the_wider_noise_are_normalised_as_those_under_the_narrower(batch: Batch) -> None:
    """Against densities of torch.distributions: a packed pixel is a complex number, its two parts of half the variance
    each; a self-conjugate one is real."""
    wider = Misfit(small_context(BOX))(batch)
    difference = residual_nll(batch.images[:, None], wider) + widening(batch, wider)
    difference = difference - residual_nll(batch.images[:, None], batch)
    for particle, images in [(0, 2), (1, 1), (2, 2)]:
        found = 0.0
        for image in range(images):
            for pixel, weight in enumerate(batch.lattice.weight.tolist()):
                at, parts = (particle, image, pixel), 2 if weight == 1 else 1
                values = torch.view_as_real(batch.images[at])[:parts]
                if parts == 1:
                    values = batch.images[at].abs()[None]
                for sign, variance in ((1, wider.variance[at]), (-1, batch.variance[at])):
                    density = torch.distributions.Normal(0.0, (variance / parts).sqrt())
                    found -= sign * float(density.log_prob(values).sum())
        assert float(difference[particle, 0]) == pytest.approx(found, rel=1e-4)


def test_a_shell_that_no_ctf_lets_through_stays_finite(batch: Batch) -> None:
    misfit, blocked = Misfit(small_context(BOX)), batch.lattice.shell == 0
    batch = dataclasses.replace(batch, ctf=batch.ctf.masked_fill(blocked, 0.0))
    misfit.left.fill_(1.0)
    misfit.power.fill_(1e-44)  # what is left of it after some thousand steps
    assert bool(misfit(batch).variance.isfinite().all())
    torch.testing.assert_close(misfit(batch).variance[..., blocked], batch.variance[..., blocked])


def test_of_images_without_noise_what_is_left_unexplained_is_learned(tmp_path: Path) -> None:
    """No update is beyond use, and the misfit that was learned is that of the network as it ended."""
    simulate(Recipe.named("linear1d", n=240, box=16, snr=float("inf"), seed=6, ctf=False), tmp_path / "data")
    settings = {"z_dim": 1, "objective.misfit": True, "learning_rate": 4e-3}
    settings |= {"volume.hidden": 24, "conformation.hidden": 24, "epochs": 12}
    job = _job(tmp_path / "data" / "particles.star", "cryodrgn", settings)
    state = Loop(job.program, job.source, MemoryStore(), seed=0, microbatch=16).run()
    assert "skipped" not in state.data
    learned = state.tensors["model.misfit.left"] / state.tensors["model.misfit.power"]
    model, batch = install(job.method.model(job.context), state).eval(), job.source.load(torch.arange(240))
    pose = model.pose(batch, None, {})
    seen = pose.combined(model.conformation(batch, pose, None, {}))
    with torch.no_grad():
        told = model.misfit.told(batch, residuals(model.volume, seen, batch)[:, 0])
    left = told["left"] / told["power"]
    assert bool((left < 0.2 * all_signal(job.context))[:5].all())
    torch.testing.assert_close(learned[1:].float(), left[1:], rtol=0.5, atol=0.0)


def test_search_inference_and_likelihoods_see_the_same_noise(tmp_path: Path) -> None:
    """A model of a state with a misfit of its own: what a search compares, what a pass reads off, and what z is refined
    under; and the same of the run as it is read again, without its particles."""
    simulate(Recipe.named("linear1d", n=24, box=16, snr=0.5, seed=7), tmp_path / "data")
    settings = {"z_dim": 1, "volume.hidden": 16, "conformation.hidden": 16, "precision": "float32"}
    settings |= {"pose.first_order": 1, "pose.last_order": 2}
    job = _job(tmp_path / "data" / "particles.star", "cryodrgn2", settings)
    state, batch = job.program.initialise(), job.source.load(torch.arange(24))
    state.tensors["model.misfit.left"] *= torch.rand(8, generator=torch.Generator().manual_seed(1))
    model = install(job.method.model(job.context), state).eval()
    truth = Truth.load(tmp_path / "data")
    rows = {"rotation": torch.from_numpy(truth.rotation).float(), "shift": torch.from_numpy(truth.shift).float()}
    with torch.no_grad():
        found = model(batch, None, rows).rows
        pose = model.pose(batch, None, rows)
        fixed = SimpleNamespace(volume=model.volume, compared=model.compared, pose=lambda *_: pose)
        again = log_likelihoods(fixed, batch, found["z"][:, None])[:, 0]
    torch.testing.assert_close(again, found["log_likelihood"])

    blank = dataclasses.replace(job.context, signal_amplitude=torch.ones_like(job.context.signal_amplitude))
    with torch.no_grad():
        read = install(job.method.model(blank), state).eval()(batch, None, rows).rows
    torch.testing.assert_close(read["z"], found["z"])

    search = FieldSearch(job.method.model(job.context), job.method.pose, 16, 6)
    silent = dataclasses.replace(search, model=model.varied(misfit=None))
    state.table["z"] = found["z"]
    state = clustered(state, 1, 0)
    wide = silent(state, model.compared(batch), ZERO)
    for name, value in search(state, batch, ZERO).items():
        torch.testing.assert_close(value, wide[name])
    assert not torch.equal(wide["rotation"], silent(state, batch, ZERO)["rotation"])


def _job(star: Path, name: str, settings: dict[str, object]) -> Job:
    method = configured(find_method(name), settings)
    return make_ready(read_particles(star), method, Preparation(), 0, Conduct(), Processes())
