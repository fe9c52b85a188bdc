"""The race of the grid kernels against memory, at a size for tests."""

import json

from hypermol.benchmarks.grid_kernels import main


def test_rows_say_images_per_second_and_the_bytes_of_the_floor(tmp_path):
    out = tmp_path / "kernels.json"
    main(["--boxes", "16", "--channels", "1", "2", "--images", "5", "--repeats", "1", "--out", str(out)])
    found = json.loads(out.read_text())
    assert [row["kernel"] for row in found["rows"]] == ["E-step", "back projection", "E-step", "insertion"]
    points = 89  # of the half plane of a 16 px image, up to shell 7, and the origin
    assert found["rows"][0]["floor_bytes_per_image"] == points * (12 + 8 * 8)
    assert found["rows"][3]["floor_bytes_per_image"] == points * (12 + 8 * 2 * 4 * 7)
    assert all(row["images_per_second"] > 0 for row in found["rows"])
