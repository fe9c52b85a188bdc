"""RELION as an entrant: given offsets far beyond its default prior must not make it fail, nor change its classes."""

import shutil

import numpy as np
import pytest

from hypermol.benchmarks import Given, find_problem
from hypermol.benchmarks.entrants.relion import Relion

ENTRANT = Relion("relion-class3d", classify=True)


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    """Pixels of 30 Å, and shifts of up to 41 Å."""
    task = find_problem("ribosome-k2").at("tiny", 0, tmp_path_factory.mktemp("relion"))
    task.simulate()
    return task


def test_the_prior_holds_every_given_offset(task):
    largest = np.linalg.norm(task.truth.shift, axis=1).max()
    options = ENTRANT.settings(task)["options"].split()
    stated = float(options[options.index("--offset") + 1])
    assert largest <= stated < largest + 1
    assert "--fix_sigma_offset" in options
    hidden = find_problem("ribosome-k2").at("tiny", 0, task.folder.parent, Given.hiding(("shift",)))
    options = ENTRANT.settings(hidden)["options"].split()
    assert float(options[options.index("--offset") + 1]) == 10
    assert "--offset" not in Relion("relion-refine", classify=False).settings(task)["options"].split()


@pytest.mark.skipif(shutil.which("relion_refine") is None, reason="RELION is not installed (Debian: relion)")
def test_it_classifies_particles_with_large_offsets(task, tmp_path):
    found = ENTRANT.run(task, tmp_path, 60.0)
    assert found.answer.classes.shape == (240, 2)
    assert len(list(found.answer.maps(np.arange(3)))) == 3
