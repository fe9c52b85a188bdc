"""Seven small programs through the real loop: each finds a known answer, however it is run."""

from pathlib import Path

import harness
import pytest
import torch

from hypermol.engine import Loop, MemoryStore, State, generator

FOLDER = Path(harness.__file__).parent / "probes"


@pytest.fixture(scope="session")
def straight() -> dict[str, State]:
    """The final state of each probe that ran in one go; made when first asked for."""

    class Straight(dict):
        def __missing__(self, name: str) -> State:
            probe = harness.load(name)
            self[name] = Loop(probe.program(), probe.source(), MemoryStore(), harness.SEED).run()
            return self[name]

    return Straight()


def test_there_are_seven_and_each_is_short() -> None:
    lines = {path.stem: len(path.read_text().splitlines()) for path in FOLDER.glob("*.py")}
    assert set(lines) == set(harness.PROBES)
    assert len(lines) == 7
    assert max(lines.values()) <= 60


@pytest.mark.parametrize("name", harness.PROBES)
def test_recovers_the_known_answer(name: str, straight: dict[str, State]) -> None:
    harness.load(name).check(straight[name])


@pytest.mark.parametrize("name", harness.PROBES)
def test_killed_and_resumed_is_bit_equal(
    name: str, straight: dict[str, State], server: harness.Server, tmp_path: Path
) -> None:
    status, said = server.run(name, tmp_path / "whole", kind="step")
    assert status == 0, said
    events = int(said)
    at = 1 + int(torch.randint(events // 4, events, (), generator=generator(harness.SEED, "kill", name)))
    assert server.run(name, tmp_path / "run", kind="step", at=at)[0] == -9
    status, said = server.run(name, tmp_path / "run")
    assert status == 0, said
    assert harness.equal(harness.final(tmp_path / "run"), harness.final(tmp_path / "whole"))
    assert harness.equal(harness.final(tmp_path / "run"), straight[name].to_checkpoint())


@pytest.mark.parametrize("name", harness.PROBES)
def test_two_processes_equal_one(name: str, straight: dict[str, State], doubled: Path) -> None:
    tensors, content = harness.final(doubled / name)
    alone, alone_content = straight[name].to_checkpoint()
    assert content["clock"] == alone_content["clock"]
    assert tensors.keys() == alone.keys()
    for key, value in alone.items():
        torch.testing.assert_close(
            tensors[key], value, rtol=1e-6, atol=1e-6, msg=lambda text, key=key: f"{key}: {text}"
        )


@pytest.mark.parametrize("name", harness.PROBES)
def test_microbatches_change_nothing(name: str, straight: dict[str, State]) -> None:
    probe = harness.load(name)
    program = probe.program()
    microbatch = 1 + min(phase.batch_size for phase in program.phases) * 2 // 3
    tensors, _ = Loop(program, probe.source(), MemoryStore(), harness.SEED, microbatch=microbatch).run().to_checkpoint()
    for key, value in straight[name].to_checkpoint()[0].items():
        torch.testing.assert_close(tensors[key], value, rtol=1e-6, atol=1e-6)
