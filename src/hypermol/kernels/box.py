"""The one place that refuses odd boxes: the origin of a box is its index D//2, which needs an even D."""

from hypermol.errors import DataError


def require_even_box(box: int, what: str = "box") -> int:
    """Return ``box`` when it is an even, positive number of pixels.

    Raises DataError, naming ``what``, the box found and how to crop it, otherwise.
    """
    if box >= 2 and box % 2 == 0:
        return box
    smaller = max(2, box - 1)
    raise DataError(
        f"{what}: expected an even, positive box size, found {box} px. Crop by one pixel at the far end, "
        f"x[..., :{smaller}, :{smaller}], or in RELION: "
        f"relion_image_handler --i IN --o OUT --new_box {smaller}"
    )
