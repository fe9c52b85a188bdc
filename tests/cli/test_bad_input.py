"""Bad input: `check` and `train` end with exit status 2 and say what to do, before a run folder is made."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from commands import (
    NEURAL,
    TINY,
    change_cell,
    change_pixels,
    cs_fields,
    cs_table,
    done,
    drop_column,
    refused,
    settings,
    write_stack,
)

Spoil = Callable[[Path], object]
STACK = "particles.mrcs"


def text(content: str) -> Spoil:
    return lambda data: (data / "particles.star").write_text(content)


def cell(column: str, row: int, value: str | None) -> Spoil:
    return lambda data: change_cell(data / "particles.star", column, row, value)


def without(*columns: str) -> Spoil:
    return lambda data: drop_column(data / "particles.star", *columns)


def pixels(value: float, whole: bool = False) -> Spoil:
    return lambda data: change_pixels(data / STACK, 7, value, whole)


def shaped(*shape: int) -> Spoil:
    def spoil(data: Path) -> None:
        drop_column(data / "particles.star", "rlnImageSize")
        with mrcfile.new(data / STACK, overwrite=True) as file:
            file.set_data(np.random.default_rng(0).normal(size=(80, *shape)).astype("f4"))

    return spoil


def out_of_the_folder(data: Path) -> None:
    (data.parent / "secret.txt").write_text("the secret\n" * 200)
    change_cell(data / "particles.star", "rlnImageName", 0, "000001@../secret.txt")


BAD: dict[str, tuple[Spoil, tuple[str, ...]]] = {
    "missing stack": (lambda d: (d / STACK).unlink(), (STACK, "not found", "--datadir")),
    "truncated stack": (lambda d: os.truncate(d / STACK, 9000), ("truncated", "80 images of 16 x 16 px", "bytes are")),
    "text for a stack": (lambda d: (d / STACK).write_text("no images\n" * 300), ("expected an MRC stack",)),
    "short text for a stack": (lambda d: (d / STACK).write_text("no"), ("expected an MRC stack", "2 bytes")),
    "empty stack": (lambda d: (d / STACK).write_text(""), ("expected an MRC stack", "0 bytes")),
    "more rows than images": (
        lambda d: write_stack(d / STACK, np.random.default_rng(0).normal(size=(70, 16, 16))),
        ("10 rows name images beyond the end", "which holds 70", "row 71"),
    ),
    "image number 0": (
        cell("rlnImageName", 4, "000000@particles.mrcs"),
        ("image number 0 in row 5", "counted from 1"),
    ),
    "short row": (cell("rlnAngleTilt", 2, None), ("rows are not whole: line", "values")),
    "word for a number": (cell("rlnAngleTilt", 2, "steep"), ("rlnAngleTilt", "expected a finite number", "'steep'")),
    "no particles": (text("data_particles\n\nloop_\n_rlnImageName #1\n\n"), ("expected particles, found no rows",)),
    "empty star": (text(""), ("found an empty file",)),
    "not a star": (text("a poem\nof two lines\n"), ("expected a star file",)),
    "bytes for a star": (
        lambda d: (d / "particles.star").write_bytes(np.random.default_rng(0).bytes(4000)),
        ("expected a star file",),
    ),
    "NaN pixel": (pixels(np.nan), ("1 images have pixels that are NaN: 000008@", "hypermol select")),
    "infinite pixel": (pixels(np.inf), ("1 images have infinite pixels: 000008@",)),
    "constant image": (pixels(4.5, whole=True), ("1 images have constant pixels: 000008@",)),
    "all-zero image": (pixels(0.0, whole=True), ("1 images have all-zero pixels: 000008@",)),
    "odd box": (shaped(17, 17), ("expected an even box, found 17 px", "crop by one pixel to 16 px")),
    "oblong box": (shaped(16, 14), ("expected square images, found 14 x 16 px",)),
    "mixed pixel sizes": (None, ("pixel sizes differ", "12, 13")),  # type: ignore[dict-item]  (needs two groups)
    "pixel size 0": (cell("rlnImagePixelSize", 0, "0"), ("pixel size: expected Å above 0, found 0",)),
    "negative pixel size": (cell("rlnImagePixelSize", 0, "-2"), ("pixel size: expected Å above 0, found -2",)),
    "voltage 0": (cell("rlnVoltage", 0, "0"), ("voltage: expected kV above 0, found 0",)),
    "NaN defocus": (cell("rlnDefocusU", 3, "nan"), ("rlnDefocusU: expected a finite number, found 'nan'",)),
    "no angle": (without("rlnAngleTilt"), ("an angle is missing", "found no rlnAngleTilt")),
    "no defocus": (without("rlnDefocusU"), ("columns of the CTF are missing: rlnDefocusU",)),
    "no image names": (without("rlnImageName"), ("rlnImageName",)),
    "unknown optics group": (cell("rlnOpticsGroup", 0, "7"), ("rlnOpticsGroup: expected one of 7", "found 1")),
    "out of the data directory": (out_of_the_folder, ("secret.txt: expected an MRC stack",)),
}


def two_pixel_sizes(data: Path) -> None:
    """A second optics group with another pixel size, for row 3."""
    star = data / "particles.star"
    lines = star.read_text().split("\n")
    headings = [i for i, line in enumerate(lines) if line.startswith("_")]
    optics = next(i for i, line in enumerate(lines) if i > headings[0] and line and line[0] not in "_#dl")
    names = [lines[i].split()[0] for i in range(optics) if lines[i].startswith("_")]
    words = lines[optics].split()
    words[names.index("_rlnOpticsGroup")] = "2"
    words[names.index("_rlnImagePixelSize")] = "13"
    star.write_text("\n".join([*lines[: optics + 1], " ".join(words), *lines[optics + 1 :]]))
    rows = star.read_text().split("data_particles")
    star.write_text(rows[0] + "data_particles" + _second_group(rows[1]))


def _second_group(table: str) -> str:
    lines = table.split("\n")
    names = [line.split()[0] for line in lines if line.startswith("_")]
    row = next(i for i, line in enumerate(lines) if "000003@" in line)
    words = lines[row].split()
    words[names.index("_rlnOpticsGroup")] = "2"
    lines[row] = " ".join(words)
    return "\n".join(lines)


BAD["mixed pixel sizes"] = (two_pixel_sizes, BAD["mixed pixel sizes"][1])


@pytest.mark.parametrize("kind", BAD)
def test_spoilt_star_files_and_stacks(data: Path, kind: str) -> None:
    spoil, words = BAD[kind]
    spoil(data)
    star, run = data / "particles.star", data / "run"
    for command in (("check", star), (*NEURAL, star, "-o", run, *settings("epochs=1", *TINY))):
        message = refused(*command, words=words)
        assert str(data) in message
        assert "the secret" not in message
    assert not run.exists()


def test_the_unspoilt_set_passes(data: Path) -> None:
    said = done("check", data / "particles.star")
    assert said.err == ""
    assert "80 particles, 16 px, 12 Å per pixel, in 1 stack" in said.out


def test_everything_wrong_is_listed_at_once(data: Path) -> None:
    for spoil in ("voltage 0", "NaN defocus", "image number 0", "truncated stack"):
        BAD[spoil][0](data)
    refused("check", data / "particles.star", words=["4 problems", "voltage", "rlnDefocusU", "number 0", "truncated"])


@pytest.mark.parametrize("memory", [(), ("--memory-gb", "0.00001")])
def test_pixels_are_looked_over_also_where_images_are_streamed(tmp_path: Path, memory: tuple[str, ...]) -> None:
    """A NaN outside the seeded sample of 1,000 images: found before the run folder is made."""
    from hypermol.particles import read_particles
    from hypermol.particles.raw import sample_images

    done("simulate", "hinge", "-o", tmp_path / "data", "-n", 1200, "--box", 8, "--snr", 1)
    star = tmp_path / "data" / "particles.star"
    outside = np.setdiff1d(np.arange(1200), sample_images(read_particles(star)))
    change_pixels(tmp_path / "data" / STACK, int(outside[100]), np.nan)
    run = tmp_path / "run"
    refused(*NEURAL, star, "-o", run, *memory, *settings("epochs=1", *TINY), words=[f"{outside[100] + 1:06d}@"])
    assert not run.exists()


def test_no_poses_is_normal_for_check_and_refused_by_methods_that_need_them(data: Path) -> None:
    star = data / "particles.star"
    drop_column(star, "rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi", "rlnOriginXAngst", "rlnOriginYAngst")
    assert "no poses" in done("check", star).out
    for method in ("cryodrgn", "autodecoder", "neural-homogeneous", "backprojection"):
        refused("train", star, "-m", method, "-o", data / "run", words=["has no poses", "rlnAngleRot", method])
    refused("train", data / STACK, "-o", data / "run", words=["has no poses", "-m abinitio"])
    refused("train", star, "-m", "refine", "-o", data / "run", words=["no poses to begin from", "--set reference="])
    assert not (data / "run").exists()


class Bomb:
    def __reduce__(self) -> tuple:
        return os.system, ("touch exploded",)


def write_cs(path: Path, kind: str) -> None:
    table = cs_table(**cs_fields(STACK, 80, 16))
    with open(path, "wb") as file:
        if kind == "garbage":
            file.write(np.random.default_rng(0).bytes(3000))
        elif kind == "pickle":
            pickle.dump(Bomb(), file)
        elif kind == "objects":
            np.save(file, np.array([Bomb()], dtype=object), allow_pickle=True)
        elif kind == "no alignments3D":
            np.save(file, table[[name for name in table.dtype.names if not name.startswith("alignments3D")]])
        else:
            np.save(file, table)
    if kind == "cut":
        os.truncate(path, path.stat().st_size - 100)


@pytest.mark.parametrize("kind", ["garbage", "pickle", "objects", "cut"])
def test_cs_files_that_are_none(data: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(data)
    write_cs(data / "x.cs", kind)
    for command in (("check", "x.cs"), ("train", "x.cs", "-o", "run")):
        refused(*command, words=["x.cs", "expected"])
    assert not (data / "run").exists()
    assert not (data / "exploded").exists()


def test_cs_without_alignments(data: Path) -> None:
    write_cs(data / "x.cs", "no alignments3D")
    assert "no poses: no alignments3D" in done("check", data / "x.cs").out
    refused("train", data / "x.cs", "-o", data / "run", words=["has no poses", "alignments3D/pose", "--passthrough"])
    assert not (data / "run").exists()


def test_cs_with_alignments_trains(data: Path) -> None:
    write_cs(data / "x.cs", "whole")
    assert "poses: yes" in done("check", data / "x.cs").out
    done(*NEURAL, data / "x.cs", "-o", data / "run", *settings("epochs=1", *TINY))


def test_files_of_other_kinds(data: Path) -> None:
    for name, words in (("absent.star", "found nothing"), (".", "found a folder"), ("notes.txt", "ending '.txt'")):
        (data / "notes.txt").write_text("hello")
        refused("check", data / name, words=[words])
        refused("train", data / name, "-o", data / "run", words=[words])
    refused("check", data / "particles.star", "--datadir", data / "absent", words=["--datadir", "expected a folder"])
    refused("check", data / "particles.star", "--passthrough", data / "x.cs", words=["--passthrough"])
    assert not (data / "run").exists()


def test_a_run_folder_that_exists_is_found_before_any_reading(trained: Path, data: Path) -> None:
    (data / STACK).unlink()  # would be complained of, were it looked at
    refused("train", data / "particles.star", "-o", trained, words=["already exists", f"--resume {trained}"])
    refused("train", data / "particles.star", "-o", data, words=["already exists and is not a run folder", "-o"])
    refused("train", data / "particles.star", "-o", data / "particles.star" / "run", words=["is a file"])


def test_faults_of_ours_are_told_apart(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that nobody foresaw: exit status 1, its traceback for us, and a sentence for the user."""
    import io
    from contextlib import redirect_stderr

    from hypermol.cli import main

    def broken(*_: object, **__: object) -> None:
        raise KeyError("oops")

    monkeypatch.setattr("hypermol.particles.read_particles", broken)
    with redirect_stderr(io.StringIO()) as said:
        assert main(["check", str(data / "particles.star")]) == 1
    assert "Traceback" in said.getvalue()
    assert "this is a fault in hypermol" in said.getvalue().splitlines()[-1]
