"""Bad input: each a clear message that names file, field and remedy, before any long work."""

import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hypermol.errors import ConventionError, DataError
from hypermol.particles import ImageSource, StackReader, StackWriter, check_particles, read_particles
from hypermol.particles.raw import sample_images

INTERNALS = re.compile(r"Traceback|ValueError|KeyError|TypeError|UnicodeDecode|ndarray|dtype|<class|Errno")


def _message(path: Path, **arguments) -> str:
    """The message with which reading (or else the check of the pixels) refuses a set."""
    with pytest.raises(DataError) as caught:
        check_particles(read_particles(path, **arguments)).raise_if_bad()
    text = str(caught.value)
    assert caught.value.exit_status == 2
    assert not INTERNALS.search(text), text
    assert str(path) in text or "datadir" in text
    return text


def _edit(star: Path, change: Callable[[str], str]) -> Path:
    before = star.read_text()
    after = change(before)
    assert after != before
    star.write_text(after)
    return star


def _cell(star: Path, column: str, row: int, value: str | None) -> Path:
    """Set (or, with None, take out) one value of a table by column name and 0-based row."""
    lines = star.read_text().split("\n")
    block = next(i for i, line in enumerate(lines) if line.startswith(f"_{column} "))
    number = int(lines[block].split("#")[1]) - 1
    first = next(i for i in range(block, len(lines)) if lines[i] and lines[i][0] not in "_#")
    words = lines[first + row].split()
    words[number : number + 1] = [] if value is None else [value]
    lines[first + row] = " ".join(words)
    star.write_text("\n".join(lines))
    return star


def _drop(star: Path, *columns: str) -> Path:
    """Take whole columns out of their tables."""
    for column in columns:
        lines = star.read_text().split("\n")
        block = next(i for i, line in enumerate(lines) if line.startswith(f"_{column} "))
        number = int(lines[block].split("#")[1]) - 1
        first = next(i for i in range(block, len(lines)) if lines[i] and lines[i][0] not in "_#")
        last = next((i for i in range(first, len(lines)) if not lines[i]), len(lines))
        rows = [" ".join(w for i, w in enumerate(line.split()) if i != number) for line in lines[first:last]]
        star.write_text("\n".join([*lines[:block], *lines[block + 1 : first], *rows, *lines[last:]]))
    return star


def test_the_untouched_set_is_good(star: Path):
    report = check_particles(read_particles(star))
    assert report.problems == ()
    assert report.notes == ()
    report.raise_if_bad()


def test_missing_stack(star: Path):
    (star.parent / "particles.mrcs").unlink()
    text = _message(star)
    assert "particles.mrcs" in text
    assert "--datadir" in text


def test_truncated_stack(star: Path):
    os.truncate(star.parent / "particles.mrcs", 1024 + 5 * 32 * 32 * 4)
    assert "truncated: its header promises 12 images of 32 x 32 px, 28672 bytes are missing" in _message(star)


@pytest.mark.parametrize("content", ["no images here\n" * 400, "short", ""])
def test_stack_of_text(star: Path, content: str):
    (star.parent / "particles.mrcs").write_text(content)
    assert "expected an MRC stack" in _message(star)


def test_more_rows_than_images(star: Path):
    with StackWriter(star.parent / "particles.mrcs", 32, 3.1) as stack:
        stack.append(np.random.default_rng(0).normal(size=(9, 32, 32)))
    assert "3 rows name images beyond the end of" in (text := _message(star))
    assert "which holds 9 (first: row 10, image 10)" in text


@pytest.mark.parametrize(
    ("column", "row", "value", "expected"),
    [
        ("rlnImageName", 4, "000000@particles.mrcs", "image number 0 in row 5: images are counted from 1"),
        ("rlnImageName", 4, "abc@particles.mrcs", "expected names like 000001@stack.mrcs, found 'abc@particles.mrcs'"),
        ("rlnAngleTilt", 2, "steep", "rlnAngleTilt: expected a finite number, found 'steep' in line"),
        ("rlnAngleTilt", 2, None, "rows are not whole: line 41 has 14 of 15 values"),
        ("rlnDefocusU", 3, "nan", "rlnDefocusU: expected a finite number, found 'nan'"),
        ("rlnOriginXAngst", 3, "inf", "rlnOriginXAngst: expected a finite number"),
        ("rlnOpticsGroup", 0, "7", "rlnOpticsGroup"),
        ("rlnImagePixelSize", 0, "0", "pixel size: expected Å above 0, found 0.0"),
        ("rlnImagePixelSize", 1, "-1.5", "pixel size: expected Å above 0, found -1.5"),
        ("rlnImagePixelSize", 1, "3.3", "pixel sizes differ: 3.1, 3.3 Å"),
        ("rlnVoltage", 0, "0", "voltage: expected kV above 0, found 0.0"),
        ("rlnAmplitudeContrast", 0, "7", "amplitude contrast: expected -1 to 1"),
        ("rlnImageSize", 0, "64", "box sizes differ: 32, 64 px"),
    ],
)
def test_one_bad_value(star: Path, column: str, row: int, value: str | None, expected: str):
    assert expected in _message(_cell(star, column, row, value))


def test_unknown_optics_group_in_a_row(star: Path):
    text = star.read_text().replace("000003@particles.mrcs 1 ", "000003@particles.mrcs 7 ")
    assert "rlnOpticsGroup: expected one of 1, 2 (data_optics), found 7 in 1 rows" in _message(
        _edit(star, lambda _: text)
    )


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (["rlnAngleRot"], "an angle is missing: expected rlnAngleRot, rlnAngleTilt, rlnAnglePsi, found no rlnAngleRot"),
        (["rlnAnglePsi"], "found no rlnAnglePsi"),
        (["rlnDefocusU"], "columns of the CTF are missing: rlnDefocusU"),
        (["rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle"], "columns of the CTF are missing: rlnDefocusU, rlnDefocusV"),
        (["rlnVoltage"], "columns of the CTF are missing: rlnVoltage"),
        (["rlnImageName"], "expected a table of particles with the column rlnImageName|rlnImageName is missing"),
        (["rlnImagePixelSize"], ""),
    ],
)
def test_missing_columns(star: Path, columns: list[str], expected: str):
    _drop(star, *columns)
    if columns == ["rlnImagePixelSize"]:
        assert any("taken from the stack's header" in note for note in read_particles(star).notes)
    else:
        assert re.search(expected, _message(star))


def test_no_pixel_size_anywhere(star: Path):
    _drop(star, "rlnImagePixelSize")
    raw = bytearray((star.parent / "particles.mrcs").read_bytes())
    raw[40:52] = bytes(12)
    (star.parent / "particles.mrcs").write_bytes(bytes(raw))
    assert "no pixel size" in _message(star)
    assert read_particles(star, pixel_size=2.5).pixel_size == 2.5
    assert "pixel size given: expected Å above 0, found -1" in _message(star, pixel_size=-1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "found an empty file"),
        ("a poem\nof two lines\n", "expected a star file"),
        ("data_particles\n\nloop_\n_rlnImageName #1\n\n", "expected particles, found no rows"),
        ("data_general\n\n_rlnX 1\n", "expected a table of particles with the column rlnImageName"),
    ],
)
def test_empty_and_foreign_star_files(star: Path, text: str, expected: str):
    star.write_text(text)
    assert expected in _message(star)


def test_a_star_file_of_random_bytes(star: Path):
    star.write_bytes(np.random.default_rng(0).bytes(5000))
    assert "expected a star file" in _message(star)


def _spoil(star: Path, image: int, value: float, whole: bool = False) -> Path:
    path = star.parent / "particles.mrcs"
    pixels = StackReader(path).read(np.arange(12))
    pixels[(image,) if whole else (image, 3, 4)] = value
    with StackWriter(path, 32, 3.1) as stack, np.errstate(invalid="ignore"):
        stack.append(pixels)
    return star


@pytest.mark.parametrize(
    ("value", "whole", "expected"),
    [
        (np.nan, False, "1 images have pixels that are NaN: 000008@"),
        (np.inf, False, "1 images have infinite pixels: 000008@"),
        (-np.inf, True, "1 images have infinite pixels: 000008@"),
        (0.0, True, "1 images have all-zero pixels: 000008@"),
        (4.5, True, "1 images have constant pixels: 000008@"),
    ],
)
def test_unfit_images(star: Path, value: float, whole: bool, expected: str):
    assert expected in _message(_spoil(star, 7, value, whole))
    with pytest.raises(DataError, match="000008@"):
        ImageSource(read_particles(star)).load_all()
    with pytest.raises(DataError, match="000008@"):
        next(iter(ImageSource(read_particles(star), memory_limit_bytes=1).batches(np.arange(12), 4)))


def test_large_sets_are_sampled_first_and_watched_while_streaming(tmp_path: Path):
    """A bad image outside the sample passes check (which says how many it read) and is named when it streams."""
    pixels = np.random.default_rng(0).normal(size=(1600, 8, 8)).astype(np.float32)
    with StackWriter(tmp_path / "p.mrcs", 8, 2.0) as stack:
        stack.append(pixels)
    particles = read_particles(tmp_path / "p.mrcs")
    outside = int(np.setdiff1d(np.arange(1600), sample_images(particles))[500])
    pixels[outside, 2, 2] = np.nan
    with StackWriter(tmp_path / "p.mrcs", 8, 2.0) as stack, np.errstate(invalid="ignore"):
        stack.append(pixels)
    sampled = check_particles(particles, every_pixel_bytes=100_000)
    assert (sampled.checked, sampled.problems) == (1000, ())
    assert "pixels: 1000 of 1600 images" in "\n".join(sampled.lines())
    assert check_particles(particles).problems
    streamed = ImageSource(particles, memory_limit_bytes=1).batches(np.arange(1600), 64)
    with pytest.raises(DataError, match=f"{outside + 1:06d}@"):
        list(streamed)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((33, 33), "expected an even box, found 33 px; crop by one pixel to 32 px"), ((32, 30), "expected square images")],
)
def test_odd_and_oblong_boxes(star: Path, shape: tuple[int, int], expected: str):
    import mrcfile

    _drop(star, "rlnImageSize")
    with mrcfile.new(star.parent / "particles.mrcs", overwrite=True) as file:
        file.set_data(np.random.default_rng(0).normal(size=(12, *shape)).astype("f4"))
    assert expected in _message(star)


def test_a_path_out_of_the_data_directory_to_something_else(star: Path):
    (star.parent / "secret.txt").write_text("do not print this\n" * 200)
    (star.parent / "images").mkdir()
    _edit(star, lambda text: text.replace("000001@particles.mrcs", "000001@../secret.txt"))
    os.rename(star.parent / "particles.mrcs", star.parent / "images" / "particles.mrcs")
    text = _message(star, datadir=star.parent / "images")
    assert "secret.txt: expected an MRC stack" in text
    assert "do not print" not in text


def test_a_data_directory_that_does_not_exist(star: Path):
    assert "expected a folder" in _message(star, datadir=star.parent / "nowhere")


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("rlnCtfDataAreCtfPremultiplied", "1"),
        ("rlnCtfDataArePhaseFlipped", "1"),
        ("rlnImageDimensionality", "3"),
        ("rlnTomoVisibleFrames", "[1,1]"),
    ],
)
def test_data_that_would_be_misread_are_refused(star: Path, column: str, value: str):
    if column == "rlnImageDimensionality":
        _cell(_cell(star, column, 0, value), column, 1, value)
    else:
        _add_column(star, column, value)
    with pytest.raises(ConventionError, match=column):
        read_particles(star)


def _add_column(star: Path, column: str, value: str) -> None:
    lines = star.read_text().split("\n")
    last = max(i for i, line in enumerate(lines) if line.startswith("_rln"))
    rows = [f"{line} {value}" if line else line for line in lines[last + 1 :]]
    star.write_text("\n".join([*lines[: last + 1], f"_{column} #16", *rows]))


def test_all_problems_are_listed_at_once(star: Path):
    _cell(star, "rlnVoltage", 0, "0")
    _cell(star, "rlnDefocusU", 3, "far")
    _cell(star, "rlnImageName", 5, "000000@particles.mrcs")
    _cell(star, "rlnImageName", 6, "000099@particles.mrcs")
    _cell(star, "rlnImagePixelSize", 1, "0")
    _spoil(star, 2, np.nan)
    text = _message(star)
    assert "5 problems" in text
    for part in ("voltage", "rlnDefocusU", "image number 0", "beyond the end", "pixel size"):
        assert part in text


@pytest.mark.parametrize("suffix", [".txt", ".csg", ".star.gz", ""])
def test_other_files(tmp_path: Path, suffix: str):
    (tmp_path / f"x{suffix}").write_text("hello")
    assert "expected a .star, .cs or .mrcs file" in _message(tmp_path / f"x{suffix}")
    assert "found nothing" in _message(tmp_path / "absent.star")
    assert "found a folder" in _message(tmp_path)


class _Bomb:
    def __reduce__(self):
        return os.system, ("touch exploded",)


@pytest.mark.parametrize("kind", ["garbage", "pickle", "objects", "plain", "cut", "compressed", "header"])
def test_cs_files_that_are_none(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "x.cs"
    table = np.zeros(5, dtype=[("uid", "u8"), ("blob/path", "S10"), ("blob/idx", "u4")])
    with open(path, "wb") as file:
        if kind == "garbage":
            file.write(np.random.default_rng(0).bytes(3000))
        elif kind == "pickle":
            pickle.dump(_Bomb(), file)
        elif kind == "objects":
            np.save(file, np.array([_Bomb()], dtype=object), allow_pickle=True)
        elif kind == "compressed":
            file.write(b"\x94CSDAT" + bytes(100))
        elif kind == "header":
            file.write(b"\x93NUMPY\x01\x00\x10\x00__import__('os')" + bytes(100))
        else:
            np.save(file, np.zeros(4) if kind == "plain" else table)
    if kind == "cut":
        os.truncate(path, os.stat(path).st_size - 30)
    text = _message(path)
    assert "cryoSPARC" in text or "table with named fields" in text
    assert not (tmp_path / "exploded").exists()


def test_random_damage_never_shows_python(star: Path):
    """Bytes and lines of the star file changed at random: it reads, or refuses with a DataError."""
    original = star.read_text()
    generator = np.random.default_rng(5)
    messages = []
    for _ in range(150):
        lines = original.split("\n")
        for _ in range(int(generator.integers(1, 4))):
            place = int(generator.integers(len(lines)))
            line = lines[place]
            cut = int(generator.integers(len(line) + 1))
            junk = ["", "\0", "loop_", " 7 ", "data_", "'", '"', "é", "#", "nan", "-1e400", "@"][generator.integers(12)]
            lines[place] = line[:cut] + junk + line[cut + int(generator.integers(6)) :]
        star.write_text("\n".join(lines))
        try:
            read_particles(star)
        except DataError as error:
            messages.append(str(error))
    assert len(messages) > 50
    assert not [text for text in messages if INTERNALS.search(text)]
