"""cryoSPARC files and cryoDRGN pickles against each other and against the star file of the same images."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from hypermol.errors import ConventionError, DataError
from hypermol.particles import StackWriter, read_particles
from hypermol.particles.cryodrgn import read_arrays


def test_poses_against_cryodrgns_parse(shared_data: Path):
    particles = read_particles(shared_data / "cryodrgn_tests/cryosparc_P12_J24_001_particles.cs", require_images=False)
    with open(shared_data / "cryodrgn_tests/pose.cs.pkl", "rb") as file:
        rotation, fraction = pickle.load(file)
    np.testing.assert_allclose(particles.rotation, rotation, atol=1e-6)
    np.testing.assert_allclose(-particles.shift / (particles.pixel_size * particles.box), fraction, atol=1e-7)
    assert particles.sign == -1
    assert particles.half_source == "alignments3D/split"


def test_ctf_against_cryodrgns_parse(shared_data: Path):
    particles = read_particles(shared_data / "cryodrgn_tests/cryosparc_P12_J24_001_particles.cs", require_images=False)
    (table,) = read_arrays(shared_data / "cryodrgn_tests/ctf2.pkl")
    ctf = particles.ctf
    columns = (ctf.defocus_u, ctf.defocus_v, np.rad2deg(ctf.astigmatism_angle.numpy()), ctf.voltage_kv, ctf.cs_mm)
    for i, column in enumerate((*columns, ctf.amplitude_contrast, np.rad2deg(ctf.phase_shift.numpy())), start=2):
        np.testing.assert_allclose(np.asarray(column), table[:, i], rtol=1e-6, atol=1e-5)
    assert (table[:, 0] == particles.box).all()
    np.testing.assert_allclose(table[:, 1], particles.pixel_size, rtol=1e-6)


def test_cs_and_star_of_the_same_images_agree(shared_data: Path):
    cs = read_particles(shared_data / "cryodrgn_tests/empiar_10076_7.cs")
    star = read_particles(shared_data / "cryodrgn_tests/empiar_10076_7.star")
    assert cs.stacks == star.stacks
    np.testing.assert_array_equal(cs.image_index, star.image_index)
    assert cs.pixel_size == pytest.approx(star.pixel_size, rel=1e-5)
    for name in vars(cs.ctf):
        np.testing.assert_allclose(getattr(cs.ctf, name), getattr(star.ctf, name), rtol=1e-5, atol=1e-6)
    assert not cs.has_poses
    assert any(note.startswith("no poses") for note in cs.notes)
    np.testing.assert_array_equal(cs.half, star.half)


def _cs(folder: Path, count: int = 8, **extra) -> np.ndarray:
    with StackWriter(folder / "p.mrc", 16, 1.5) as stack:
        stack.append(np.random.default_rng(0).normal(size=(count, 16, 16)))
    generator = np.random.default_rng(1)
    fields = {
        "uid": generator.integers(0, 1 << 63, count, dtype=np.uint64),
        "blob/path": np.full(count, b">p.mrc"),
        "blob/idx": np.arange(count, dtype=np.uint32)[::-1],
        "blob/shape": np.full((count, 2), 16, dtype=np.uint32),
        "blob/psize_A": np.full(count, 1.5, dtype=np.float32),
        "ctf/accel_kv": np.full(count, 300.0),
        "ctf/cs_mm": np.full(count, 2.7),
        "ctf/amp_contrast": np.full(count, 0.1),
        "ctf/df1_A": generator.uniform(1e4, 2e4, count),
        "ctf/df2_A": generator.uniform(1e4, 2e4, count),
        "ctf/df_angle_rad": generator.uniform(-3, 3, count),
        "alignments3D/pose": generator.normal(size=(count, 3)).astype(np.float32),
        "alignments3D/shift": generator.normal(size=(count, 2)).astype(np.float32),
        "alignments3D/psize_A": np.full(count, 3.0, dtype=np.float32),
        "alignments3D/split": (np.arange(count) % 2).astype(np.uint32),
        **extra,
    }
    return _table(fields)


def _table(fields: dict[str, np.ndarray]) -> np.ndarray:
    dtype = [(name, v.dtype, v.shape[1:]) for name, v in fields.items()]
    table = np.empty(len(next(iter(fields.values()))), dtype=dtype)
    for name, values in fields.items():
        table[name] = values
    return table


def _save(path: Path, table: np.ndarray) -> Path:
    with open(path, "wb") as file:
        np.save(file, table)
    return path


def test_shifts_count_in_the_pixels_of_the_alignment(tmp_path: Path):
    table = _cs(tmp_path)
    particles = read_particles(_save(tmp_path / "x.cs", table))
    np.testing.assert_allclose(particles.shift, -3.0 * table["alignments3D/shift"], rtol=1e-6)
    expected = Rotation.from_rotvec(table["alignments3D/pose"]).as_matrix().transpose(0, 2, 1)
    np.testing.assert_allclose(particles.rotation, expected, atol=1e-6)
    assert particles.pixel_size == 1.5
    np.testing.assert_array_equal(particles.half, np.arange(8) % 2)
    np.testing.assert_array_equal(particles.image_index, np.arange(8)[::-1])


def test_passthrough_files_are_joined_by_uid(tmp_path: Path):
    table = _cs(tmp_path)
    names = list(table.dtype.names)
    ours = table[["uid", *(n for n in names if n.startswith("alignments3D"))]]
    other = table[["uid", *(n for n in names if not n.startswith(("uid", "alignments3D")))]]
    order = np.random.default_rng(4).permutation(8)
    more = np.concatenate([other[order], _table({n: other[n][:2] for n in other.dtype.names})])
    more["uid"][-2:] = [1, 2]
    _save(tmp_path / "x.cs", ours)
    _save(tmp_path / "pass.cs", more)
    whole = read_particles(_save(tmp_path / "whole.cs", table))
    joined = read_particles(tmp_path / "x.cs", passthrough=[tmp_path / "pass.cs"])
    np.testing.assert_array_equal(joined.image_index, whole.image_index)
    np.testing.assert_array_equal(joined.rotation, whole.rotation)
    torch.testing.assert_close(joined.ctf.defocus_u, whole.ctf.defocus_u)
    with pytest.raises(DataError, match=r"no images are named .*--passthrough"):
        read_particles(tmp_path / "x.cs")
    more["uid"][0] = 3
    with pytest.raises(DataError, match=r"1 of 8 particles \(uid\) are not in it"):
        read_particles(tmp_path / "x.cs", passthrough=[_save(tmp_path / "pass.cs", more)])


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ({"ctf/accel_kv": np.zeros(8)}, "voltage: expected kV above 0"),
        ({"blob/psize_A": np.zeros(8)}, "pixel size: expected Å above 0"),
        ({"blob/psize_A": np.linspace(1, 2, 8)}, "pixel sizes differ"),
        ({"ctf/df1_A": np.full(8, np.nan)}, "ctf/df1_A: expected finite numbers, found NaN or infinity in 8 rows"),
        ({"ctf/phase_shift_rad": np.full(8, np.nan)}, "ctf/phase_shift_rad: expected finite numbers"),
        ({"blob/sign": np.arange(8) % 2 - 0.5}, "bright and dark particles are mixed"),
        ({"blob/idx": np.arange(8) + 3}, "beyond the end"),
        ({"blob/path": np.full(8, b"none.mrc")}, "was not found|were not found"),
        ({"alignments3D/psize_A": np.zeros(8)}, "alignments3D/psize_A: expected Å above 0"),
        ({"alignments3D/pose": np.full((8, 3), np.inf)}, "alignments3D/pose: expected finite numbers"),
        ({"blob/shape": np.full((8, 2), [16, 18])}, "expected square images"),
    ],
)
def test_bad_fields(tmp_path: Path, extra: dict, expected: str):
    with pytest.raises(DataError, match=expected):
        read_particles(_save(tmp_path / "x.cs", _cs(tmp_path, **extra)))


def test_damaged_and_foreign_pickles_execute_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    import os

    class Bomb:
        def __reduce__(self):
            return os.system, ("touch exploded",)

    class Hidden:
        def __reduce__(self):
            return getattr, (np.ndarray, "tofile")

    for content in (
        pickle.dumps(Bomb()),
        pickle.dumps((np.eye(3), Bomb())),
        pickle.dumps(np.array([Bomb()], dtype=object)),
        pickle.dumps(Hidden()),
        pickle.dumps({"a": np.eye(3)}),
        pickle.dumps(np.array(["a", "b"])),
        pickle.dumps(()),
        pickle.dumps(np.eye(3))[:-20],
        b"",
        b"hello",
        np.random.default_rng(0).bytes(500),
    ):
        (tmp_path / "x.pkl").write_bytes(content)
        with pytest.raises(DataError, match=r"x\.pkl: expected"):
            read_arrays(tmp_path / "x.pkl")
    assert not (tmp_path / "exploded").exists()


def test_every_pickle_of_the_shared_data_reads(shared_data: Path):
    import gzip

    files = [*shared_data.rglob("*.pkl"), *shared_data.rglob("*.pkl.gz")]
    assert len(files) >= 9
    for file in files:
        raw = file.read_bytes()
        expected = pickle.loads(gzip.decompress(raw) if file.suffix == ".gz" else raw)
        expected = expected if isinstance(expected, tuple) else (expected,)
        for ours, theirs in zip(read_arrays(file), expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_of_any_protocol(tmp_path: Path, protocol: int):
    arrays = (np.random.default_rng(0).normal(size=(4, 3, 3)).astype("f4"), np.arange(8.0).reshape(4, 2))
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(arrays, protocol=protocol))
    for ours, theirs in zip(read_arrays(tmp_path / "x.pkl"), arrays, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_poses_and_ctf_of_cryodrgn_for_a_tilt_star(shared_data: Path):
    folder = shared_data / "cryodrgn_tests"
    particles = read_particles(
        folder / "sta_testing_bin8.star", poses=folder / "sta_pose.pkl", ctf=folder / "sta_ctf.pkl"
    )
    plain = read_particles(folder / "sta_testing_bin8.star")
    np.testing.assert_allclose(particles.rotation, plain.rotation, atol=1e-12)
    assert particles.pixel_size == pytest.approx(8 * 1.82, rel=1e-6)
    np.testing.assert_allclose(particles.ctf.defocus_u, plain.ctf.defocus_u, rtol=1e-6)


def test_a_plain_stack_with_pickled_poses(shared_data: Path):
    folder = shared_data / "cryodrgn_tests"
    particles = read_particles(folder / "hand.mrcs", poses=folder / "hand_rot_trans.pkl", pixel_size=2.0)
    rotation, fraction = read_arrays(folder / "hand_rot_trans.pkl")
    np.testing.assert_allclose(particles.rotation, rotation)
    np.testing.assert_allclose(particles.shift, -fraction * 64 * 2.0, atol=1e-5)
    assert particles.ctf is None


def test_pickles_that_do_not_fit(shared_data: Path, tmp_path: Path):
    folder = shared_data / "cryodrgn_tests"
    with pytest.raises(DataError, match=r"expected rotations of shape \(100, 3, 3\).*found \(219, 3, 3\)"):
        read_particles(folder / "hand.mrcs", poses=folder / "sta_pose.pkl")
    with pytest.raises(DataError, match=r"expected CTF parameters of shape \(100, 9\)"):
        read_particles(folder / "hand.mrcs", ctf=folder / "sta_ctf.pkl")
    rotation, fraction = read_arrays(folder / "hand_rot_trans.pkl")
    (tmp_path / "px.pkl").write_bytes(pickle.dumps((rotation, fraction * 64)))
    with pytest.raises(ConventionError, match="fractions of the box"):
        read_particles(folder / "hand.mrcs", poses=tmp_path / "px.pkl")
    (tmp_path / "bad.pkl").write_bytes(pickle.dumps((rotation * 2, fraction)))
    with pytest.raises(DataError, match="not orthogonal"):
        read_particles(folder / "hand.mrcs", poses=tmp_path / "bad.pkl")
