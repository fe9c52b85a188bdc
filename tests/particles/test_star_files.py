"""Star files: against the starfile package on every file there is, and the cases that break other parsers."""

from pathlib import Path

import numpy as np
import pytest
import starfile
from hypothesis import given, settings
from hypothesis import strategies as st

from hypermol.errors import DataError
from hypermol.particles.problems import Problems
from hypermol.particles.star import StarDocument, parse_star, read_star, split_line


def _same(ours: list[str], theirs: list) -> bool:
    """Equal as text, or as numbers to rounding."""
    for a, b in zip(ours, theirs, strict=True):
        if isinstance(b, str):
            if a != b:
                return False
        elif not np.isclose(float(a or "nan"), float(b), rtol=1e-12, equal_nan=True):  # pandas: "" is nan
            return False
    return True


def _expected(block) -> dict[str, list]:
    if isinstance(block, dict):
        return {name: [value] for name, value in block.items()}
    return {name: block[name].tolist() for name in block.columns}


@pytest.mark.filterwarnings("ignore")
def test_every_star_file_reads_as_the_starfile_package_reads_it(shared_data: Path):
    files = sorted(shared_data.rglob("*.star"))
    assert len(files) > 40
    compared = 0
    for file in files:
        theirs = starfile.read(file, always_dict=True, parse_as_string=[])
        ours = read_star(file)
        assert [t.name for t in ours] == [str(name) for name in theirs], file
        for table, (_, block) in zip(ours, theirs.items()):
            expected = _expected(block)
            assert list(table.columns) == list(expected), file
            columns = table.texts(list(table.columns))
            for name, values in expected.items():
                assert _same(columns[name], values), (file, table.name, name)
                compared += len(values)
    assert compared > 80_000


def test_lines_are_split_as_relion_does():
    assert split_line("  1 a@b.mrcs\t2.5 ") == ["1", "a@b.mrcs", "2.5"]
    assert split_line('1 "two words" \'three more words\' "" x') == ["1", "two words", "three more words", "", "x"]
    assert split_line("1 5'_end.mrc it's") == ["1", "5'_end.mrc", "it's"]
    assert split_line("1 2 # a comment 'with a quote") == ["1", "2"]
    assert split_line("a#1 [1,2]") == ["a#1", "[1,2]"]


@pytest.mark.parametrize("name", ["data_001.mrc", "_under.mrc", "$x", "loop_a", "µ-é.mrc", "[a]", ";x"])
def test_names_that_break_cif_parsers_are_read(name: str):
    (table,) = parse_star(f"\ndata_\n\nloop_\n_rlnA #1\n_rlnB #2\n1 {name}\n2 {name}\n")
    assert table.texts(["rlnB"])["rlnB"] == [name, name]


def test_a_short_row_is_not_joined_with_the_next():
    (table,) = parse_star("data_\nloop_\n_rlnA\n_rlnB\n1\n2\n3 4\n")
    assert len(table) == 3
    problems = Problems(Path("x.star"))
    words, numbers = table.read(["rlnA"], ["rlnB"], problems)
    assert words["rlnA"] == ["3"]
    assert numbers["rlnB"].tolist() == [4.0]
    assert problems.found == [
        "data_: rows are not whole: line 5 has 1 of 2 values, line 6 has 1 of 2 values; each row is one line"
    ]


def test_blocks_with_windows_line_ends_comments_and_equal_names():
    first_block = ["# made by hand", "data_a # x", "loop_", "_rlnA #1", "1", "# between", "2 # after", ""]
    text = "\r\n".join([*first_block, "data_a", "_rlnB 7", "_rlnC 'a b'", ""])
    first, second = parse_star(text)
    assert (first.name, second.name) == ("a", "a")
    assert first.texts(["rlnA"])["rlnA"] == ["1", "2"]
    assert not second.is_loop
    assert second.texts(["rlnB", "rlnC"]) == {"rlnB": ["7"], "rlnC": ["a b"]}


@pytest.mark.parametrize(
    ("text", "found"), [("", "an empty file"), ("hello\nworld\n", "hello"), ("data_x\n\n", "data_x")]
)
def test_what_is_no_star_file_is_refused(tmp_path: Path, text: str, found: str):
    path = tmp_path / "x.star"
    path.write_text(text)
    with pytest.raises(DataError, match=found):
        read_star(path)


@settings(max_examples=30, deadline=None)
@given(keep=st.sets(st.integers(0, 11), min_size=1), newline=st.sampled_from(["\n", "\r\n"]), end=st.booleans())
def test_a_selection_changes_no_other_byte(tmp_path_factory, keep: set[int], newline: str, end: bool):
    folder = tmp_path_factory.mktemp("selection")
    head = ["# c", "data_optics", "", "loop_", "_rlnOpticsGroup #1", "  1  ", "", "data_particles", "loop_", "_a", "_b"]
    rows = [f" {i}\t 'x {i}'  # note" for i in range(12)]
    tail = ["", "data_more", "_rlnX   1"]
    text = newline.join([*head, *rows, *tail]) + (newline if end else "")
    (folder / "in.star").write_bytes(text.encode())
    StarDocument(folder / "in.star", 1, 12, ()).write_rows(np.array(sorted(keep)), folder / "out.star")
    kept = [row for i, row in enumerate(rows) if i in keep]
    expected = newline.join([*head, *kept, *tail]) + (newline if end else "")
    assert (folder / "out.star").read_bytes() == expected.encode()


def test_a_selection_of_a_file_that_changed_is_refused(tmp_path: Path):
    path = tmp_path / "in.star"
    path.write_text("data_\nloop_\n_a\n1\n2\n")
    with pytest.raises(DataError, match="changed"):
        StarDocument(path, 0, 3, ()).write_rows(np.array([0]), tmp_path / "out.star")
    assert not (tmp_path / "out.star").exists()
