"""Settings reach the parts they mean; what cannot be is refused, and what was meant is suggested."""

import dataclasses

import pytest

from hypermol.cli.main import main
from hypermol.errors import ConfigError
from hypermol.methods import METHODS, configured, find_method, settings_of
from hypermol.specs import from_dict, to_dict
from hypermol.volumes import VoxelGrid

CRYODRGN = find_method("cryodrgn")


@pytest.mark.parametrize(
    ("settings", "reached"),
    [
        ({"epochs": 7}, ["phases.0.passes"]),
        ({"z_dim": 3}, ["volume.z_dim", "conformation.z_dim"]),
        ({"batch_size": 9}, ["phases.0.batch_size"]),
        ({"learning_rate": 0.5}, ["update.learning_rate"]),
        ({"phases.0.march_start": 0.25}, ["phases.0.march_start"]),
        ({"volume.hidden": 99}, ["volume.hidden"]),
        ({"objective.beta": 2.0}, ["objective.beta"]),
        ({"precision": "float32"}, ["precision"]),
    ],
)
def test_settings_reach_their_part_and_no_other(settings: dict, reached: list[str]) -> None:
    before, after = settings_of(CRYODRGN), settings_of(configured(CRYODRGN, settings))
    changed = {path for path in after if after[path].value != before[path].value}
    assert changed - {"epochs", "z_dim", "batch_size", "learning_rate"} == set(reached)
    assert {after[path].value for path in reached} == set(settings.values())


def test_several_phases() -> None:
    """epochs means the last phase; batch_size every one."""
    two = dataclasses.replace(CRYODRGN, phases=(CRYODRGN.phases[0], CRYODRGN.phases[0]))
    changed = configured(two, {"epochs": 5, "batch_size": 8, "phases.0.divergence_weight": 0})
    assert [phase.passes for phase in changed.phases] == [20, 5]
    assert [phase.batch_size for phase in changed.phases] == [8, 8]
    assert [phase.divergence_weight for phase in changed.phases] == [0, 1]


@pytest.mark.parametrize("name", METHODS)
def test_what_is_listed_can_be_set_and_kept(name: str) -> None:
    """Each listed setting takes its own value; the method survives being written to a run."""
    method = METHODS[name]
    same = {path: setting.value for path, setting in settings_of(method).items() if setting.value is not None}
    assert configured(method, same) == method
    data = {"room": "method", **to_dict(method)}
    assert from_dict(data.pop("room"), data) == method


def test_methods_without_the_thing_say_so() -> None:
    with pytest.raises(ConfigError, match="backprojection has no latent z, so z_dim cannot be set"):
        configured(find_method("backprojection"), {"z_dim": 4})
    with pytest.raises(ConfigError, match="neural-homogeneous has no latent z"):
        configured(find_method("neural-homogeneous"), {"z_dim": 4})
    with pytest.raises(ConfigError, match=r"has no epochs, so epochs cannot be set$"):
        configured(find_method("backprojection"), {"epochs": 4})
    with pytest.raises(ConfigError, match=r"auto has no epochs, .*; how long it runs is set by passes, march_passes"):
        configured(find_method("auto"), {"epochs": 4})


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"epoch": 1}, r"no setting 'epoch' \(did you mean 'epochs'\?\); `hypermol methods cryodrgn` lists them"),
        ({"layers": 1}, r"did you mean 'volume.layers' or 'conformation.layers'\?"),
        ({"volume.hiden": 1}, r"no setting 'hiden' \(did you mean 'hidden'\?\)"),
        ({"sedd": 1}, r"did you mean 'seed'\?"),
        ({"name": "x"}, "no setting 'name'"),
        ({"volume": "grid"}, "volume is a part .*volume.hidden.*another kind of it: .*voxels"),
        ({"volume.hidden.x": 1}, "one level too deep"),
        ({"phases": 1}, "no setting 'phases'"),
        ({"phases.0": 1}, "no setting 'phases.0'"),
        ({"phases.1.passes": 1}, r"no setting 'phases.1.passes' \(did you mean 'phases.0.passes'\?\)"),
        ({"epochs": 0}, "epochs = 0: expected 1 or more"),
        ({"epochs": 2.5}, "epochs = 2.5: expected a whole number"),
        ({"z_dim": -1}, "z_dim = -1: expected 0 or more"),
        ({"learning_rate": float("inf")}, "learning_rate = inf: expected above 0"),
        ({"phases.0.march_start": 1.5}, "expected above 0, at most 1"),
        ({"update.beta1": 1.0}, "expected 0 or more, at most 1"),
        ({"volume.encoding": "fourier"}, "volume.encoding = fourier: expected 'geometric' or 'gaussian'"),
        ({"volume.z_dim": 4}, "volume .fourier-field. has z_dim = 4, the conformation .variational-encoder. 8"),
    ],
)
def test_refused(settings: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        configured(CRYODRGN, settings, ("seed", "box"))


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_setting_is_explained(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    settings = settings_of(find_method(name))
    assert [path for path, setting in settings.items() if not setting.explained] == []
    assert main(["methods", name]) == 0
    said = " ".join(capsys.readouterr().out.split())
    for path, setting in settings.items():
        assert f" {path} " in said
        assert " ".join(setting.explained.split()[:3]) in said


def test_a_part_of_another_kind_keeps_z_dim() -> None:
    method = configured(find_method("cryodrgn"), {"z_dim": 3, "volume": "voxels", "volume.step": 5.0})
    assert method.volume == VoxelGrid(z_dim=3, step=5.0)
    with pytest.raises(ConfigError, match="fourier-net has no setting 'hiden'"):
        configured(find_method("neural-homogeneous"), {"volume": "fourier-net", "volume.hiden": 3})
