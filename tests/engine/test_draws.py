"""Draws are a function of their key alone, however a batch is cut."""

import pytest
import torch

from hypermol.engine import Draws, Processes, generator

CPU = torch.device("cpu")


def whole(total: int = 11, seed: int = 3, key: tuple[int, ...] = (0, 1, 2)) -> Draws:
    return Draws(seed, key, total, 0, total, CPU)


@pytest.mark.parametrize("kind", ["normal", "uniform"])
@pytest.mark.parametrize("world", [1, 2, 3, 20])
@pytest.mark.parametrize("microbatch", [1, 4, 100])
def test_any_split_gives_the_same_numbers(kind: str, world: int, microbatch: int) -> None:
    expected = getattr(whole(), kind)("z", 2, 3)
    found = []
    for rank in range(world):
        start, stop = Processes(rank, world).share(11)
        mine = Draws(3, (0, 1, 2), 11, start, stop, CPU)
        for a in range(0, stop - start, microbatch):
            found.append(getattr(mine.part(a, min(a + microbatch, stop - start)), kind)("z", 2, 3))
    assert torch.equal(torch.cat(found), expected)


def test_each_part_of_the_key_matters() -> None:
    others = [whole(seed=4), whole(key=(1, 1, 2)), whole(key=(0, 2, 2)), whole(key=(0, 1, 3))]
    mine = whole().normal("z")
    assert all(not torch.equal(mine, other.normal("z")) for other in others)
    assert not torch.equal(mine, whole().normal("w"))
    assert torch.equal(mine, whole().normal("z"))


def test_kinds_of_draw_under_one_purpose_are_independent() -> None:
    many = whole(20_000)
    normal, uniform = many.normal("a"), many.uniform("a")
    shared = many.shared_normal("a", 20_000)
    pairs = torch.corrcoef(torch.stack([normal, uniform, shared])) - torch.eye(3)
    assert pairs.abs().max() < 0.03


def test_shared_draws_do_not_depend_on_the_share() -> None:
    a, b = Draws(3, (0,), 10, 0, 5, CPU), Draws(3, (0,), 10, 5, 10, CPU)
    assert torch.equal(a.shared_normal("noise", 4), b.shared_normal("noise", 4))


def test_distributions() -> None:
    many = whole(50_000)
    normal, uniform = many.normal("n", dtype=torch.float64), many.uniform("u", dtype=torch.float64)
    assert normal.dtype == uniform.dtype == torch.float64
    assert abs(float(normal.mean())) < 0.02
    assert abs(float(normal.std()) - 1) < 0.02
    assert float(uniform.min()) >= 0
    assert float(uniform.max()) < 1
    assert abs(float(uniform.mean()) - 0.5) < 0.01


def test_generators_are_keyed_by_value_and_type() -> None:
    first = [
        torch.rand((), generator=generator(*key)).item() for key in [(1, "a"), (1, "a", 0), (2, "a"), (1, 0), (1, "0")]
    ]
    assert len(set(first)) == 5
    assert torch.rand((), generator=generator(1, "a")).item() == first[0]
