"""The whole analysis, to disk and back."""

import csv
import hashlib
import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hypermol.errors import ConfigError, ConvergenceError, DataError
from hypermol.landscape import (
    LandscapeSettings,
    analyze,
    check_latent,
    decoded,
    embed,
    load_landscape,
    read_maps,
    save_landscape,
    write_maps,
)

BOX = 16


def ball(z):
    """A ball whose centre moves with the first coordinate of z."""
    axis = np.arange(BOX) - BOX // 2
    distance = axis[:, None, None] ** 2 + axis[:, None] ** 2 + (axis - z[:, :1, None, None]) ** 2
    return np.exp(-distance / 8).astype(np.float32)


@pytest.fixture(scope="module")
def landscape():
    random = np.random.default_rng(0)
    z = random.normal(size=(300, 3)) * [3, 1, 0.5]
    z[7] = np.nan
    rotation = Rotation.random(300, random_state=0).as_matrix()
    return analyze(z, rotation, defocus=random.uniform(1e4, 2e4, 300), settings=LandscapeSettings(clusters=4))


def test_it_comes_back_from_disk_as_it_was(landscape, tmp_path):
    save_landscape(landscape, tmp_path / "landscape")
    back = load_landscape(tmp_path / "landscape")
    np.testing.assert_equal(_plain(back), _plain(landscape))
    assert [path.name for path in back.paths] == ["graph", "pc1", "pc2", "straight"]
    assert back.path("pc2").points == 10
    with pytest.raises(KeyError, match="graph, pc1"):
        back.path("pc9")


def _plain(value):
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def table(path):
    return csv.DictReader(path.read_text().splitlines())


def test_the_tables_are_for_people(landscape, tmp_path):
    save_landscape(landscape, tmp_path)
    rows = list(table(tmp_path / "particles.csv"))
    assert len(rows) == 300
    assert rows[7]["pc1"] == ""
    assert rows[7]["cluster"] == "-1"
    assert float(rows[9]["pc2"]) == pytest.approx(landscape.coordinates[9, 1], rel=1e-5)
    clusters = list(table(tmp_path / "clusters.csv"))
    assert sum(int(row["particles"]) for row in clusters if row["method"] == "k-means") == 299
    assert {row["path"] for row in table(tmp_path / "paths.csv")} == {
        "graph", "pc1", "pc2", "straight",
    }  # fmt: skip
    assert "viewing direction" in (tmp_path / "leakage.csv").read_text()


def test_maps_are_decoded_at_centres_and_along_paths(landscape, tmp_path):
    seen = []
    write_maps(landscape, tmp_path, ball, 2.5, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (44, 44)
    maps, pixel_size = read_maps(tmp_path, "paths/pc1")
    assert len(maps) == 10
    assert pixel_size == pytest.approx(2.5)
    np.testing.assert_allclose(maps[3], ball(landscape.path("pc1").z[3:4])[0], rtol=1e-5)
    assert len(read_maps(tmp_path, "clusters")[0]) == 4
    write_maps(landscape, tmp_path, ball, 2.5)
    assert not list(tmp_path.glob(".*"))
    with pytest.raises(DataError, match="holds no maps"):
        read_maps(tmp_path, "paths/nothing")


def test_maps_of_an_earlier_analysis_do_not_stay_under_a_new_one(landscape, tmp_path):
    save_landscape(landscape, tmp_path)
    write_maps(landscape, tmp_path, ball, 2.5)
    save_landscape(landscape, tmp_path)
    for name in ("clusters", "paths/pc1"):
        with pytest.raises(DataError, match="holds no maps"):
            read_maps(tmp_path, name)


def test_bad_decoders_are_named():
    with pytest.raises(DataError, match="cubic maps"):
        list(decoded(lambda z: np.zeros((len(z), 4, 4)), np.zeros((2, 1))))
    with pytest.raises(ConvergenceError, match="point 1"):
        list(decoded(lambda z: np.full((len(z), 4, 4, 4), np.where(z[0, 0] > 0, np.nan, 0)), np.array([[0.0], [1]])))


def test_a_landscape_of_format_1_is_read(landscape, tmp_path):
    """Written before the clusters could be classes: they were called kmeans."""
    save_landscape(landscape, tmp_path)
    tables = json.loads((tmp_path / "landscape.json").read_text())
    tables["kmeans"] = tables.pop("clusters")
    with np.load(tmp_path / "landscape.npz") as held:
        arrays = {name.replace("clusters.", "kmeans."): rows for name, rows in held.items()}
    np.savez(tmp_path / "landscape.npz", **arrays)
    tables |= {"format": 1, "arrays": hashlib.sha256((tmp_path / "landscape.npz").read_bytes()).hexdigest()}
    (tmp_path / "landscape.json").write_text(json.dumps(tables))
    found = load_landscape(tmp_path)
    np.testing.assert_array_equal(found.clusters.label, landscape.clusters.label)
    assert found.clusters.method == "k-means"


def test_foreign_newer_and_mixed_files_are_refused(landscape, tmp_path):
    with pytest.raises(DataError, match="is missing"):
        load_landscape(tmp_path)
    save_landscape(landscape, tmp_path)
    tables = json.loads((tmp_path / "landscape.json").read_text())
    (tmp_path / "landscape.json").write_text(json.dumps(tables | {"format": 99}))
    with pytest.raises(DataError, match="newer"):
        load_landscape(tmp_path)
    (tmp_path / "landscape.json").write_text(json.dumps(tables | {"arrays": "0"}))
    with pytest.raises(DataError, match="different analyses"):
        load_landscape(tmp_path)
    (tmp_path / "landscape.json").write_text("{")
    with pytest.raises(DataError, match="not readable"):
        load_landscape(tmp_path)


def test_one_dimension_few_particles_and_no_columns_work(tmp_path):
    found = analyze(np.random.default_rng(0).normal(size=60))
    assert [path.name for path in found.paths] == ["pc1"]
    assert any("shown as it is" in note for note in found.notes)
    for z in (np.arange(3.0), np.zeros((9, 2)), np.ones((1, 8))):
        few = analyze(z)
        save_landscape(few, tmp_path)
        write_maps(few, tmp_path, lambda z: np.zeros((len(z), 4, 4, 4), np.float32), 1.0)
        assert load_landscape(tmp_path).clusters.count >= 1


def test_what_was_not_measured_of_leakage_is_kept_apart(landscape, tmp_path):
    """Also on disk; analyses from before that have these sentences among their notes."""
    assert landscape.leakage_notes == (
        "Leakage was not measured for contrast and micrograph: not known for these particles.",
    )
    assert not set(landscape.leakage_notes) & set(landscape.notes)
    save_landscape(landscape, tmp_path)
    assert load_landscape(tmp_path).leakage_notes == landscape.leakage_notes
    tables = json.loads((tmp_path / "landscape.json").read_text())
    tables["notes"] += tables.pop("leakage_notes")
    (tmp_path / "landscape.json").write_text(json.dumps(tables))
    assert load_landscape(tmp_path).notes == (*landscape.notes, *landscape.leakage_notes)


def test_wrong_columns_and_paths_are_named():
    z = np.random.default_rng(0).normal(size=(60, 2))
    with pytest.raises(DataError, match="defocus: 3"):
        analyze(z, defocus=np.zeros(3))
    with pytest.raises(ConfigError, match="unknown path 'pcx'"):
        analyze(z, settings=LandscapeSettings(paths=("pcx",)))


def test_the_plane_picture_says_why_there_is_none():
    wide = check_latent(np.random.default_rng(0).normal(size=(100, 5)))
    assert "needs more than 30" in embed(wide.subset(np.arange(20))).notes[0]
    assert "2 dimension" in embed(check_latent(wide.z[:, :2])).notes[0]
    found = embed(wide)
    if found.coordinates is None:
        assert "not installed" in found.notes[0]
    else:
        assert np.isfinite(found.coordinates).all()


def test_umap_keeps_groups_apart():
    pytest.importorskip("umap", reason="umap-learn is not installed")
    random = np.random.default_rng(0)
    z = random.normal(size=(120, 5)) + 20 * (np.arange(120) % 2)[:, None]
    found = embed(check_latent(z), limit=100)
    assert np.isfinite(found.coordinates).all(axis=1).sum() == 100
    left, right = found.coordinates[::2], found.coordinates[1::2]
    gap = np.linalg.norm(np.nanmean(left, axis=0) - np.nanmean(right, axis=0))
    assert gap > 2 * np.nanstd(left, axis=0).max()
