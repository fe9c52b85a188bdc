"""Reading and writing maps (MRC/CCP4) with their true pixel size and origin."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hypermol.atomic import atomic_path
from hypermol.errors import DataError
from hypermol.shapes import Float

_BYTES = {0: 1, 1: 2, 2: 4, 6: 2, 12: 2}  # of one voxel, for the modes that are maps


def read_map(path: str | Path) -> tuple[Float[Tensor, "d d d"], float]:
    """A cubic map as float32 [z, y, x] and its pixel size (Å); gzip and bzip2 are opened too.

    Axes stored in another order are put in order. Raises DataError, with every problem found, where the file
    is no map, not cubic, odd, anisotropic or skewed, has no pixel size, or holds NaN or infinite values.
    """
    path = Path(path)
    data, header = _load(path)
    voxel, problems = _voxel(header), []
    if data.ndim != 3 or len(set(data.shape)) != 1:
        shape = " × ".join(map(str, data.shape))
        images = data.ndim == 2 or data.shape[1] == data.shape[2]
        advice = "is this a stack of images?" if images else "crop or pad it to an even cube first"
        problems.append(f"expected a cube, found {shape} voxels (z, y, x); {advice}")
    elif data.shape[0] % 2:
        problems.append(
            f"expected an even box, found {data.shape[0]}; crop the last voxel of each axis: "
            f"relion_image_handler --i IN --o OUT --new_box {data.shape[0] - 1}"
        )
    if not np.all(voxel > 0):
        problems.append(
            f"expected a positive pixel size in the header, found {voxel.tolist()} Å; set it, for instance: "
            "relion_image_handler --i IN --o OUT --force_header_angpix PIXEL_SIZE"
        )
    elif voxel.max() > voxel.min() * 1.001:
        problems.append(f"expected equal pixel sizes along x, y, z, found {voxel.tolist()} Å")
    if not np.isfinite(data).all():
        problems.append(f"{np.count_nonzero(~np.isfinite(data))} voxels are NaN or infinite")
    if problems:
        raise DataError(f"{path}: cannot be used as a map: " + "; ".join(problems))
    return torch.from_numpy(np.ascontiguousarray(data, dtype=np.float32)), float(np.mean(voxel))


def write_map(
    path: str | Path,
    map_: Float[Tensor, "z y x"],
    pixel_size: float,
    origin: tuple[float, float, float] | None = None,
) -> Path:
    """Write a float32 map with its pixel size (Å) and origin (x, y, z in Å; default 0), in one step: an
    interrupted write leaves what was there before. Returns the path.

    Raises DataError for a pixel size that is not positive.
    """
    import mrcfile

    if not pixel_size > 0:
        raise DataError(f"{path}: expected a positive pixel size, found {pixel_size} Å")
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as part, mrcfile.new(part, overwrite=True) as file:
        file.set_data(map_.detach().cpu().numpy().astype(np.float32))
        file.set_volume()
        file.voxel_size = pixel_size
        file.header.origin.x, file.header.origin.y, file.header.origin.z = origin or (0.0, 0.0, 0.0)
    return path


def _load(path: Path) -> tuple[np.ndarray, Any]:
    import mrcfile

    if not path.is_file():
        raise DataError(f"{path}: expected a map (.mrc, .map), found no such file")
    _require_whole(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # permissive: odd stamps and labels are common and harmless
            with mrcfile.open(path, permissive=True) as file:
                data, header = file.data, file.header.copy()
                if data is None:
                    raise ValueError("the data block does not match the header")
                return _ordered(np.array(data), header), header
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: expected an MRC map, cannot read it: {error}") from None


def _require_whole(path: Path) -> None:
    """Raises DataError where an uncompressed file cannot hold what its header announces: a library that trusts
    the header of a text file would ask for gigabytes first."""
    with open(path, "rb") as file:
        header = file.read(1024)
    if header[:2] == b"\x1f\x8b" or header[:3] == b"BZh":
        return
    if len(header) < 1024:
        raise DataError(f"{path}: expected an MRC map, found only {len(header)} bytes (a header has 1024)")
    found, needed = path.stat().st_size, []
    for order in "<>":
        words = np.frombuffer(header, dtype=f"{order}i4")
        shape, mode, extended = words[:3].astype(np.int64), int(words[3]), int(words[23])
        if mode in _BYTES and extended >= 0 and (shape > 0).all() and (shape < 100_000).all():
            needed.append(1024 + extended + int(np.prod(shape) * _BYTES[mode]))
    if not needed:
        raise DataError(
            f"{path}: expected an MRC map, found a header that makes no sense (is it text, or a transform?)"
        )
    if min(needed) > found:
        raise DataError(f"{path}: expected an MRC map of {min(needed)} bytes by its header, found {found} (truncated?)")


def _ordered(data: np.ndarray, header: Any) -> np.ndarray:
    """Axes as (z, y, x) whatever order columns, rows and sections were stored in."""
    stored = [int(header.maps), int(header.mapr), int(header.mapc)]  # 1, 2, 3 = x, y, z of axes 0, 1, 2
    if data.ndim != 3 or sorted(stored) != [1, 2, 3]:
        return data
    return data.transpose([stored.index(axis) for axis in (3, 2, 1)])


def _voxel(header: Any) -> np.ndarray:
    cell = np.array([header.cella.x, header.cella.y, header.cella.z], dtype=np.float64)
    return cell / np.maximum([header.mx, header.my, header.mz], 1)
