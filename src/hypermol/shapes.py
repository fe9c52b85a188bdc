"""Shape annotations. Enforced under pytest (jaxtyping + beartype); plain names where jaxtyping is absent."""

from __future__ import annotations

from typing import Any

try:
    from jaxtyping import Bool, Complex, Float, Int, Num, Shaped
except ImportError:  # bare machines: the annotations are documentation only

    class _Plain:
        def __class_getitem__(cls, item: Any) -> Any:
            return item[0]

    Bool = Complex = Float = Int = Num = Shaped = _Plain  # type: ignore[assignment, misc]

__all__ = ["Bool", "Complex", "Float", "Int", "Num", "Shaped"]
