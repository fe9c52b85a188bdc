"""Families of maps against the true one: the truth itself, turned and read backwards, and one that stands still."""

import pytest
import torch

from hypermol.imaging import rotvec_to_matrix
from hypermol.maps import transform_map
from hypermol.simulation import Recipe, Truth, family_figures, own_frame_figures, own_frames, simulate, true_family


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    folder = tmp_path_factory.mktemp("family") / "data"
    simulate(Recipe.named("hinge", n=60, box=16, snr=1.0, levels=2, populations=(0.25, 0.75), seed=8), folder)
    return Truth.load(folder)


def test_the_truth_in_another_frame_and_direction(truth):
    turn = rotvec_to_matrix(torch.tensor([0.4, -0.8, 0.3], dtype=torch.float64))
    shift = torch.zeros(3, dtype=torch.float64)
    family = torch.stack([transform_map(map_, turn, shift, False) for map_ in true_family(truth, 8).flip(0)])
    figures, matrices = family_figures(family, truth)
    for name in ("first", "last"):
        rival = figures[f"FSC of the noise-free mean map with the {name} one there"]["value"]
        assert figures[f"FSC of the {name} map at half Nyquist"]["value"] > max(0.9, rival)
    assert figures["FSCCC error"]["value"] < 0.1
    assert figures["true maps like the first one"]["value"] == pytest.approx(25, abs=13)
    assert matrices["fsccc"].shape == matrices["fsccc_true"].shape == (8, 8)


def test_a_family_that_stands_still_is_no_better_than_its_mean(truth):
    mean = truth.mean_map().float()
    figures, _ = family_figures(mean.expand(5, -1, -1, -1), truth)
    assert figures["FSCCC error"]["value"] == pytest.approx(1.0, abs=1e-3)
    for name in ("first", "last"):
        rival = figures[f"FSC of the noise-free mean map with the {name} one there"]["value"]
        assert figures[f"FSC of the {name} map at half Nyquist"]["value"] == pytest.approx(rival, abs=0.02)


@pytest.mark.slow
def test_maps_in_frames_of_their_own(truth, monkeypatch):
    """The truth with every map turned by another angle, one of them mirrored, is the truth by itself and in pairs; by
    one alignment of all it is not."""
    monkeypatch.setattr(own_frames, "PAIRED", 3)
    true, shift = true_family(truth, 3), torch.zeros(3, dtype=torch.float64)
    turns = torch.tensor([[0.5, -0.8, 0.3], [0.0, 0.0, 0.0], [0.3, 1.1, -0.2]], dtype=torch.float64)
    family = torch.stack(
        [transform_map(m, rotvec_to_matrix(t), shift, k == 2) for k, (m, t) in enumerate(zip(true, turns))]
    )
    assert family_figures(family, truth)[0]["FSCCC error"]["value"] > 1.0
    figures = {name: entry["value"] for name, entry in own_frame_figures(family, truth).items()}
    for name in ("first", "last"):
        rival = figures[f"FSC of the noise-free mean map with the {name} one there, by itself"]
        assert figures[f"FSC of the {name} map at half Nyquist, by itself"] > max(0.9, rival)
    assert figures["FSCCC error, in pairs"] < 0.15


def test_one_frame_for_maps_that_have_drifted_apart(truth):
    """Each of the true maps turned a little further: most of the molecule is laid on itself again."""
    true, shift = true_family(truth, 4), torch.zeros(3, dtype=torch.float64)
    axis = torch.tensor([0.1, 0.8, 0.3], dtype=torch.float64)
    family = torch.stack(
        [transform_map(m, rotvec_to_matrix(0.09 * k * axis), shift, False) for k, m in enumerate(true)]
    )
    before = family_figures(family, truth)[0]["FSCCC error"]["value"]
    after = {name: entry["value"] for name, entry in own_frames._still_figures(family, true, False).items()}
    assert before > 0.5
    assert after["FSCCC error, laid still"] < 0.1
    assert after["FSC of the first map at half Nyquist, laid still"] > 0.95


@pytest.mark.slow
def test_one_map_gains_nothing_from_frames_of_its_own(truth, monkeypatch):
    monkeypatch.setattr(own_frames, "PAIRED", 2)
    mean = truth.mean_map().float()
    figures = {name: entry["value"] for name, entry in own_frame_figures(mean.expand(2, -1, -1, -1), truth).items()}
    assert figures["FSCCC error, in pairs"] == pytest.approx(1.0, abs=1e-3)
    for name in ("first", "last"):
        rival = figures[f"FSC of the noise-free mean map with the {name} one there, by itself"]
        assert figures[f"FSC of the {name} map at half Nyquist, by itself"] == pytest.approx(rival, abs=1e-3)
