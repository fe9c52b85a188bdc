"""Reading and writing maps: round trips, axis order, and each bad map refused in words."""

import gzip
import warnings

import mrcfile
import numpy as np
import pytest
import torch

from hypermol.errors import DataError
from hypermol.maps.files import read_map, write_map


def write_raw(path, data, voxel=1.5, **header):
    with warnings.catch_warnings(), mrcfile.new(path, overwrite=True) as file:
        warnings.simplefilter("ignore")  # about NaN, which some tests want
        file.set_data(data)
        file.set_volume()
        file.voxel_size = voxel
        for name, value in header.items():
            file.header[name] = value
    return path


def cube(box=8, seed=0):
    return np.random.default_rng(seed).normal(size=(box, box, box)).astype(np.float32)


def test_round_trip_with_pixel_size_and_origin(tmp_path):
    data = torch.from_numpy(cube())
    path = write_map(tmp_path / "deep" / "map.mrc", data, 1.37, origin=(-4.0, 5.0, 6.5))
    found, pixel_size = read_map(path)
    assert torch.equal(found, data)
    assert pixel_size == pytest.approx(1.37, rel=1e-6)
    with mrcfile.open(path) as file:
        assert file.is_volume()
        assert file.header.origin.tolist() == pytest.approx((-4.0, 5.0, 6.5))
        assert file.header.dmean == pytest.approx(float(data.mean()), abs=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert mrcfile.validate(path)
    assert [p.name for p in path.parent.iterdir()] == ["map.mrc"]


def test_an_interrupted_write_leaves_the_old_map(tmp_path, monkeypatch):
    path = write_map(tmp_path / "map.mrc", torch.zeros(4, 4, 4), 1.0)
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        write_map(path, torch.ones(4, 4, 4), 1.0)
    assert not read_map(path)[0].any()
    assert [p.name for p in tmp_path.iterdir()] == ["map.mrc"]


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.uint16, np.float16, np.float32])
def test_pixel_types_and_compression(tmp_path, dtype):
    data = (10 * cube()).astype(np.float64).clip(0, 100).astype(dtype)
    path = write_raw(tmp_path / "map.mrc", data)
    np.testing.assert_array_equal(read_map(path)[0].numpy(), data.astype(np.float32))
    packed = tmp_path / "map.mrc.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    np.testing.assert_array_equal(read_map(packed)[0].numpy(), data.astype(np.float32))


def test_axes_stored_in_another_order_come_back_as_zyx(tmp_path):
    data = cube()
    # columns = z, rows = x, sections = y
    path = write_raw(tmp_path / "map.mrc", np.ascontiguousarray(data.transpose(1, 2, 0)), mapc=3, mapr=1, maps=2)
    np.testing.assert_array_equal(read_map(path)[0].numpy(), data)


def test_bad_maps_are_refused_with_every_problem(tmp_path):
    def refused(path, *words):
        with pytest.raises(DataError) as caught:
            read_map(path)
        for word in (str(path), *words):
            assert word in str(caught.value)

    refused(tmp_path / "none.mrc", "found no such file")
    (tmp_path / "text.mrc").write_text("this is not a map\n" * 100)
    refused(tmp_path / "text.mrc", "makes no sense (is it text")
    (tmp_path / "empty.mrc").write_bytes(b"")
    refused(tmp_path / "empty.mrc", "found only 0 bytes")
    whole = write_raw(tmp_path / "whole.mrc", cube()).read_bytes()
    (tmp_path / "short.mrc").write_bytes(whole[:-100])
    refused(tmp_path / "short.mrc", "of 3072 bytes by its header, found 2972")
    (tmp_path / "short.mrc.gz").write_bytes(gzip.compress(whole)[:-40])
    refused(tmp_path / "short.mrc.gz", "expected an MRC map")
    refused(write_raw(tmp_path / "odd.mrc", cube(9)), "even box, found 9", "--new_box 8")
    refused(write_raw(tmp_path / "flat.mrc", cube()[:4]), "expected a cube, found 4 × 8 × 8", "stack of images?")
    data = cube()
    data[1, 2, 3] = np.nan
    data[0, 0, 0] = np.inf
    refused(
        write_raw(tmp_path / "worse.mrc", data[:, :6], voxel=0),
        "expected a cube, found 8 × 6 × 8",
        "positive pixel size",
        "2 voxels are NaN or infinite",
    )
    refused(write_raw(tmp_path / "skew.mrc", cube(), voxel=(1, 1, 2)), "equal pixel sizes")
    with pytest.raises(DataError, match="positive pixel size, found 0"):
        write_map(tmp_path / "out.mrc", torch.zeros(4, 4, 4), 0.0)


def test_experimental_maps(shared_data):
    maps = shared_data / "maps"
    if not maps.is_dir():
        pytest.skip("shared data folder has no maps")
    found, pixel_size = read_map(maps / "slac_spliceosome_like.mrc")
    assert found.shape == (90, 90, 90)
    assert pixel_size == pytest.approx(4.1, abs=0.01)
    assert read_map(maps / "slac_body1_mask.mrc.gz")[0].shape == (90, 90, 90)
    with pytest.raises(DataError, match="expected a cube"):
        read_map(maps / "EMD-3001.map")
