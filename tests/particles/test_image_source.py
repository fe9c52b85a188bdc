"""Batches: the same bits in memory and streamed, whole particles, bounded memory, errors where they are due."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from hypermol.errors import DataError
from hypermol.particles import Batch, ImageSource, Preparation, StackReader, StackWriter, pass_order, read_particles
from hypermol.particles.prefetch import prefetched

from .conftest import write_set

TENSORS = ("particle", "images", "valid", "ctf", "variance", "rotation", "shift", "tilt", "image_shift", "half")


def _equal(first: Batch, second: Batch) -> None:
    for name in TENSORS:
        a, b = getattr(first, name), getattr(second, name)
        assert torch.equal(a, b), name


def _sources(particles, **preparation) -> tuple[ImageSource, ImageSource]:
    whole = ImageSource(particles, Preparation(**preparation), memory_limit_bytes=1 << 30)
    little = ImageSource(particles, Preparation(**preparation), memory_limit_bytes=1000)
    assert whole.storage == torch.device("cpu")
    assert little.storage is None
    return whole, little


@pytest.mark.parametrize("limit", [1000, 8 << 20])
@pytest.mark.parametrize("batch_size", [1, 7, 64, 500])
def test_streamed_batches_have_the_same_bits(tmp_path: Path, batch_size: int, limit: int):
    particles = read_particles(write_set(tmp_path, count=400, box=64))
    whole = ImageSource(particles, memory_limit_bytes=1 << 30)
    little = ImageSource(particles, memory_limit_bytes=min(limit, whole.packed_bytes - 1))
    order = pass_order(400, 1, 2, chunk=16, buffer=4)
    count = 0
    for first, second in zip(whole.batches(order, batch_size), little.batches(order, batch_size), strict=True):
        _equal(first, second)
        assert torch.equal(first.particle, order[count : count + batch_size])
        count += first.size
    assert count == 400


def test_tilt_images_stay_together(shared_data: Path):
    particles = read_particles(shared_data / "cryodrgn_tests/sta_testing_bin8.star")
    whole, little = _sources(particles, box=32)
    order = torch.tensor([4, 1, 0, 5, 2, 3])
    seen = 0
    for first, second in zip(whole.batches(order, 2), little.batches(order, 2), strict=True):
        _equal(first, second)
        counts = particles.images_per_particle[first.particle.numpy()]
        assert first.valid.sum(1).tolist() == counts.tolist()
        assert whole.image_count(first.particle) == int(first.valid.sum())
        assert first.images.shape[1] == counts.max()
        padding = ~first.valid
        assert (first.images[padding] == 0).all()
        assert (first.ctf[padding] == 0).all()
        assert (first.variance[padding] == 1).all()
        assert (first.variance > 0).all()
        torch.testing.assert_close(first.tilt[padding], torch.eye(3).expand(int(padding.sum()), 3, 3))
        seen += int(first.valid.sum())
    assert seen == 219


def test_each_image_gets_its_own_metadata(star: Path):
    particles = read_particles(star)
    source = ImageSource(particles)
    batch = source.load(torch.tensor([7, 0, 3]))
    ctf = particles.ctf[np.array([7, 0, 3])].evaluate(source.lattice.k, 3.1)
    torch.testing.assert_close(batch.ctf[:, 0], ctf)
    np.testing.assert_allclose(batch.rotation, particles.rotation[[7, 0, 3]], atol=1e-6)
    np.testing.assert_allclose(batch.shift, particles.shift[[7, 0, 3]], atol=1e-5)
    assert batch.half.tolist() == particles.half[[7, 0, 3]].tolist()
    group = particles.optics_group[[7, 0, 3]]
    torch.testing.assert_close(batch.variance[:, 0], source.noise[group][:, source.lattice.shell])
    assert batch.pixel_size == particles.pixel_size


def test_limit_slice_and_resume(star: Path):
    particles = read_particles(star)
    source = ImageSource(particles)
    order = pass_order(12, 0, 0)
    batches = list(source.batches(order, 5))
    assert [b.size for b in batches] == [5, 5, 2]
    for first, second in zip(batches[1:], source.batches(order, 5, start=1), strict=True):
        _equal(first, second)
    assert list(source.batches(order, 5, start=3)) == []
    limited = batches[0].limit(6)
    assert limited.lattice.band_limit == 6
    assert torch.equal(limited.images, batches[0].images[..., : limited.lattice.size])
    part = batches[0].slice(1, 3)
    assert torch.equal(part.particle, order[1:3])
    _equal(part.to("cpu"), part)


def test_no_poses_and_no_ctf(shared_data: Path):
    batch = ImageSource(read_particles(shared_data / "cryodrgn_tests/hand.mrcs")).load(np.arange(3))
    assert batch.rotation is None
    assert batch.shift is None
    assert (batch.ctf == 1).all()
    torch.testing.assert_close(batch.tilt, torch.eye(3).expand(3, 1, 3, 3))


def test_images_of_several_stacks_and_repeated_rows(tmp_path: Path):
    first = write_set(tmp_path, count=6, name="a")
    write_set(tmp_path, count=6, name="b", seed=1)
    text = first.read_text()
    for i in (2, 4, 5):
        text = text.replace(f"00000{i}@a.mrcs", f"00000{7 - i}@b.mrcs")
    first.write_text(text)
    particles = read_particles(first)
    source = ImageSource(particles, Preparation(normalise=False, sign=1), memory_limit_bytes=1000)
    values = source.load(np.array([1, 0, 3])).images[:, 0, 0].real
    raw = [StackReader(tmp_path / f"{n}.mrcs").read(np.array([i]))[0].sum() for n, i in (("b", 4), ("a", 0), ("b", 2))]
    np.testing.assert_allclose(values, raw, rtol=1e-4, atol=1e-2)


def test_leaving_a_pass_early_ends_its_thread(star: Path):
    source = ImageSource(read_particles(star), memory_limit_bytes=1000)
    before = threading.active_count()
    for _ in range(3):
        batches = source.batches(np.arange(12), 2)
        next(batches)
        batches.close()
    assert threading.active_count() == before


def test_an_error_in_the_background_is_raised_in_the_loop():
    def source():
        yield 1
        raise DataError("the disk is gone")

    items = prefetched(source())
    assert next(items) == 1
    with pytest.raises(DataError, match="disk is gone"):
        next(items)


def test_a_stack_that_shrinks_while_streaming(tmp_path: Path):
    particles = read_particles(write_set(tmp_path, count=40))
    source = ImageSource(particles, memory_limit_bytes=1000)
    batches = source.batches(np.arange(40), 4)
    next(batches)
    with StackWriter(tmp_path / "particles.mrcs", 32, 3.1) as stack:
        stack.append(np.ones((3, 32, 32)))
    with pytest.raises(DataError, match=r"particles\.mrcs"):
        list(batches)


def test_progress_is_told(star: Path):
    told = []
    ImageSource(read_particles(star)).load_all(progress=lambda done, of: told.append((done, of)))
    assert told[-1] == (12, 12)


# not getrusage: its peak is that of the process that started this one, too
MEMORY = """
import json, sys
import numpy as np, torch
torch.set_num_threads(1)
from hypermol.particles import ImageSource, pass_order, read_particles
def peak():
    lines = open("/proc/self/status").read().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024
small, large, limit = sys.argv[1], sys.argv[2], int(sys.argv[3])
for batch in ImageSource(read_particles(small), memory_limit_bytes=1000).batches(np.arange(12), 4): pass
open("/proc/self/clear_refs", "w").write("5")  # the peak counts from here
before = peak()
particles = read_particles(large)
source = ImageSource(particles, memory_limit_bytes=limit)
images = 0
for batch in source.batches(pass_order(particles.count, 0, 0), 32):
    images += batch.size
print(json.dumps({"grown": peak() - before, "images": images, "packed": source.packed_bytes}))
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peak memory is measured through Linux's /proc")
def test_streaming_stays_within_the_memory_given(tmp_path: Path):
    """A set four times its limit: the process grows by the limit and what reading and calibration keep (40 MB)."""
    small, large = tmp_path / "small", tmp_path / "large"
    small.mkdir()
    large.mkdir()
    star, many = write_set(small), write_set(large, count=6000, box=64)
    limit = 16 << 20
    result = subprocess.run(
        [sys.executable, "-c", MEMORY, str(star), str(many), str(limit)], capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout.splitlines()[-1])
    assert told["images"] == 6000
    assert told["packed"] > 4 * limit
    assert told["grown"] < limit + (48 << 20), told
