"""The verdict in plain words, from the figures of a validation."""

from __future__ import annotations

from typing import Any

from hypermol.validation.reproduction import REAL

NEGLIGIBLE = 0.05
TRUSTED = 0.5
PLACES = (
    " The motion is real, but where a single particle lies on it is not to be trusted: more particles, longer "
    "training or fewer coordinates of z may help."
)


def axis_is_real(axis: dict[str, Any], noise: dict[str, Any] | None) -> bool:
    """Whether the change along an axis reproduces: clearly above chance, clearly above what noise alone gives, and down
    to a resolution."""
    own = noise["significance"] if noise and noise["significance"] is not None else -1e9
    return axis["significance"] >= max(REAL, own) and axis["resolution"] is not None


def verdict(found: dict[str, Any]) -> list[str]:
    """Sentences for people; the first one is the answer."""
    if found["latent"] is False:
        return [_one_map(found)]
    axes, noise = found["axes"], found.get("noise")
    real = [axis for axis in axes if axis["real"]]
    lines = [_headline(axes, real, found)]
    lines += [_axis(axis) for axis in real] if len(real) > 1 else []
    lines += [_not_reproduced(axes)] if real and len(real) < len(axes) else []
    lines += _other_changes(found, real)
    lines += [_noise(noise)] if noise else ["Noise in place of images was not tried."]
    lines += _particles(found, real)
    return [line for line in lines if line]


def _one_map(found: dict[str, Any]) -> str:
    resolution = found["still"]["resolution"]
    reach = f"two independent runs agree to {resolution:.1f} Å" if resolution else "two independent runs do not agree"
    return f"This method makes one map, so there is no motion to validate; {reach}."


def _headline(axes: list[dict[str, Any]], real: list[dict[str, Any]], found: dict[str, Any]) -> str:
    if not axes:
        return "No motion: in at least one half z is the same for all particles, so nothing moves in the model."
    if not real:
        return (
            "No motion is shown: the map does not change along any axis of z in a way that the two halves of the data "
            "agree on."
        )
    best = real[0]
    words = f"Motion along axis {best['axis']} reproduces to {best['resolution']:.1f} Å"
    others = [str(axis["axis"]) for axis in axes if not axis["real"]]
    if len(real) > 1:
        words = f"Motion along {_listed(real)} reproduces between the two halves of the data"
    return f"{words}; {_axes_words(others)}." if others else f"{words}."


def _listed(real: list[dict[str, Any]]) -> str:
    names = [str(axis["axis"]) for axis in real]
    return f"axes {', '.join(names[:-1])} and {names[-1]}"


def _axes_words(others: list[str]) -> str:
    if len(others) == 1:
        return f"axis {others[0]} does not"
    return f"axes {', '.join(others[:-1])} and {others[-1]} do not"


def _axis(axis: dict[str, Any]) -> str:
    return f"Axis {axis['axis']}: to {axis['resolution']:.1f} Å, {axis['significance']:.0f} deviations above chance."


def _not_reproduced(axes: list[dict[str, Any]]) -> str:
    best = max(axis["significance"] for axis in axes if not axis["real"])
    return (
        f"What does not reproduce is at most {max(0.0, best):.1f} deviations above chance ({REAL:.0f} are asked for)."
    )


def _other_changes(found: dict[str, Any], real: list[dict[str, Any]]) -> list[str]:
    lines = []
    anything = found.get("any_change")
    if not real and anything and anything["significance"] >= REAL:
        lines.append(
            "Something does reproduce, but it is no change of shape: the map as a whole grows fainter or stronger, is "
            "turned or shifted, or a round blur changes. Contrast, defocus, ice, junk or errors of the poses do that."
        )
    shares = [axis["pose_and_ctf"] for axis in found["axes"][:1]]
    if shares and shares[0] > NEGLIGIBLE:
        lines.append(
            f"{100 * shares[0]:.0f} % of the variance of z is predicted by pose, shift and defocus; that part was "
            "taken out before anything was compared."
        )
    return lines


def _noise(noise: dict[str, Any]) -> str:
    if noise["significance"] is None or noise["significance"] < REAL:
        return "With noise in place of the images the same pipeline finds nothing, as it should."
    return (
        f"Beware: with noise in place of the images the same pipeline finds a change {noise['significance']:.0f} "
        "deviations above chance; only axes above that are called real."
    )


def _particles(found: dict[str, Any], real: list[dict[str, Any]]) -> list[str]:
    lines = []
    if real and real[0].get("order"):
        order = real[0]["order"]
        lines.append(
            f"Along axis {real[0]['axis']} two models that share no image put the same particles into the same order "
            f"with a rank correlation of {abs(order['spearman']):.2f}; populations of three states differ by at most "
            f"{100 * order['population_difference']:.0f} %." + (PLACES if abs(order["spearman"]) < TRUSTED else "")
        )
    lines += _landscapes(found) if real else []
    gain = (found.get("held_out") or {}).get("still")
    if gain:
        better = gain["gain"] > 2 * gain["error"]
        words = "better" if better else "no better"
        lines.append(
            f"Images never seen are explained {words} with motion than without "
            f"({gain['gain']:+.1f} ± {gain['error']:.1f} nats per particle)."
        )
    width = (found.get("calibration") or {}).get("width")
    if width is not None:
        lines.append(_calibrated(width))
    return lines


def _landscapes(found: dict[str, Any]) -> list[str]:
    """Map by map, where the two landscapes lie between the same and unrelated."""
    by_maps = (found.get("landscape_maps") or {}).get("wasserstein")
    if not by_maps or by_maps["share"] is None:
        return []
    share, beyond = by_maps["share"], by_maps["value"] >= by_maps["chance_5"]
    words = "no closer than landscapes that have nothing to do with each other" if beyond else "closer than by chance"
    return [
        f"Compared by their maps, the landscapes of the two halves lie {100 * min(max(share, 0.0), 1.0):.0f} % of the "
        f"way from the same (0 %) to unrelated (100 %): {words}."
    ]


def _calibrated(width: float) -> str:
    if width > 1.25:
        return f"The stated uncertainty of z is {width:.1f} times too small."
    if width < 0.8:
        return f"The stated uncertainty of z is {1 / width:.1f} times too large."
    return "The stated uncertainty of z is about right."
