"""Every command on a small set, as a user would call it."""

import json
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import NEURAL, TINY, done, hypermol, refused, settings

from hypermol.cli.main import COMMANDS
from hypermol.maps import read_map
from hypermol.methods import METHODS, rebuild
from hypermol.particles import read_particles
from hypermol.runs import Run


@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_80_columns_and_holds_an_example(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    out = done(command, "--help").out
    assert f"Example: hypermol {command}" in out
    assert max(map(len, out.splitlines())) <= 80
    assert "--no-states" not in out
    assert "[default: ()]" not in out


def test_help_of_simulate_lists_the_recipes() -> None:
    from hypermol.simulation import MOTIONS

    out = done("simulate", "--help").out
    for name in MOTIONS:
        assert name in out


def test_overview_and_version() -> None:
    out = done("--help").out
    assert all(command in out for command in COMMANDS)
    assert done("--version").out.strip()
    assert done().out  # without arguments: the same overview


def test_methods_is_a_table_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    out = done("methods").out
    table = out.split(f"{next(iter(METHODS))}: ")[0]
    assert max(map(len, table.splitlines())) <= 80
    for name, method in METHODS.items():
        assert name in table
        assert f"{name}: {method.source}" in out


def test_methods_lists_settings_that_can_be_set() -> None:
    out = " ".join(done("methods", "cryodrgn").out.split())
    for words in ("epochs", "volume.hidden", "phases.0.march_start", "geometric, gaussian", "box", "seed"):
        assert words in out
    assert "z_dim" not in done("methods", "backprojection").out
    refused("methods", "cryodragon", words=["unknown method 'cryodragon'", "cryodrgn"])


def test_simulate(tmp_path: Path) -> None:
    out = tmp_path / "pairs"
    said = done("simulate", "hinge", "-o", out, "-n", 12, "--box", 16, *settings("tilts_deg=[0,45]", "shift_px=1"))
    assert said.out.strip() == f"12 particles of 16 px, SNR 0.1: {out / 'particles.star'}"
    assert read_particles(out / "particles.star").images == 24
    refused("simulate", "hinge", "-o", out, words=["already exists"])
    done("simulate", out / "simulation.toml", "-o", tmp_path / "again", "-n", 6)
    assert read_particles(tmp_path / "again" / "particles.star").images == 12
    own = ("simulate", out / "simulation.toml", "-o", tmp_path / "paper")
    refused(*own, "--preset", "paper", words=["--preset paper", "simulation.toml states its own sizes"])
    assert not (tmp_path / "paper").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("hing",), ["unknown recipe 'hing'", "did you mean 'hinge'", "linear1d"]),
        (("absent.toml",), ["absent.toml", "no such recipe file"]),
        (("hinge", "--box", 15), ["box = 15: boxes must be even"]),
        (("hinge", "--snr", 0), ["snr = 0", "inf means no noise"]),
        (("hinge", "-n", 0, "--seed", -1), ["n = 0", "seed"]),
        (("hinge", "-n", "many"), ["many", "-n"]),
        (("hinge", "--set", "tilt_deg=3"), ["no setting 'tilt_deg'", "did you mean 'tilts_deg'"]),
        (("hinge", "--set", "tilts_deg=up"), ["tilts_deg", "a list, for example [0, 45]"]),
        (("hinge", "--preset", "big"), ["unknown preset 'big'", "paper"]),
        (("hinge", "--set", "shift_px"), ["--set shift_px", "expected key=value"]),
    ],
)
def test_simulate_refuses(tmp_path: Path, arguments: tuple, words: list[str]) -> None:
    refused("simulate", *arguments, "-o", tmp_path / "out", words=words)
    assert not (tmp_path / "out").exists()


def test_numbers_may_be_a_list_without_brackets(tmp_path: Path) -> None:
    done("simulate", "hinge", "-o", tmp_path / "a", "-n", 4, "--box", 16, *settings("tilts_deg=0,45", "snr=inf"))
    assert read_particles(tmp_path / "a" / "particles.star").images == 8


def test_check_of_tilt_pairs_counts_both(tmp_path: Path) -> None:
    done("simulate", "hinge", "-o", tmp_path / "a", "-n", 5, "--box", 16, *settings("tilts_deg=0,45"))
    assert "10 images of 5 particles" in done("check", tmp_path / "a" / "particles.star").out


def test_train_says_what_it_works_on_before_it_begins(made: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    said = done(*NEURAL, made / "particles.star", "-o", run, *settings("epochs=1", "box=12", *TINY))
    before, after = said.out.split("train 1/1")
    for words in (
        "80 particles, 16 px, 12 Å per pixel",
        "poses: yes",
        "half-sets: 40 + 40",
        "Fourier-cropped to 12 px, 16 Å per pixel",
        "bright particles",
        "kept in memory",
        "device: CPU",
    ):
        assert words in before
    assert f"done in {after.split('done in ')[1].split(':')[0]}: {run}" in after
    assert f"next: hypermol analyze {run}; hypermol report {run}" in after
    assert said.err == ""
    assert read_map(run / "volumes" / "consensus.mrc")[1] == pytest.approx(16.0)


NOT_INFERRED = ("hyper-molecule", "known-z", "moments")
HOMOGENEOUS = (
    "backprojection",
    "neural-homogeneous",
    "refine",
    "abinitio",
    "moments",
    "cryoai",
    "cryoposenet",
    "cryogan",
    "multi-cryogan",
)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains_and_its_run_can_be_reported(made: Path, tmp_path: Path, method: str) -> None:
    run = tmp_path / "run"
    given = {"cryodrgn": ("epochs=1", *TINY), "autodecoder": ("epochs=1", "z_dim=1", *TINY[:2])}
    given["neural-homogeneous"] = ("epochs=1", *TINY[:2])
    np.save(tmp_path / "z.npy", np.random.default_rng(0).normal(size=(80, 1)))
    given["known-z"] = ("epochs=1", f"conformation.file={tmp_path / 'z.npy'}", *TINY[:1])
    given["ppca"] = ("z_dim=2", "choose=false", "passes=4", "march_passes=3")
    given["auto"] = given["ppca"]
    given["covariance"] = ("z_dim=2", "choose=false", "columns=6", "subspace=4")
    given["classify"] = ("classes=2", "choose=false", "start_passes=3", "passes=3")
    searched = ("phases.1.turns=1", "phases.2.turns=1", "pose.first_order=1", "pose.last_order=1", *TINY[:1])
    for name in ("cryodrgn2", "cryodrgn-bnb", "drgnai"):
        given[name] = ("epochs=1", "z_dim=1", *searched)
    given["cryodrgn-bnb"] += ("phases.3.hidden=16",)
    given["refine"] = ("search_passes=1", "local_passes=1", "kept=2")
    given["classify-abinitio"] = (*given["refine"], "classes=2", "starts=1", "images=80", "apart_images=40")
    given["classify-abinitio"] += ("first_shells=4", "last_shells=5", "consensus_passes=1")
    given["classify-abinitio"] += ("start_passes=3", "passes=2")
    given["abinitio"] = (*given["refine"], "starts=1", "images=80", "first_shells=4", "last_shells=5")
    given["moments"] = ("starts=1", "shells=2", "degree=2", "iterations=5")
    given["ppca-abinitio"] = (
        *(f"poses.{setting}" for setting in given["abinitio"]),
        *("conformations=2", "volumes.z_dim=2", "volumes.choose=false", "volumes.passes=3", "volumes.march_passes=2"),
    )
    for name in ("cryogan", "multi-cryogan"):
        given[name] = ("turns=2", "critic.channels=2", "critic.most=4", "restarts=0")
    given["multi-cryogan"] += ("volume.channels=1",)
    short = ("find_passes=2", "settle_passes=1", "samples=4")
    given["hyper-molecule"] = (*short, "volume.shells=3", "sampler.moves=1", "sampler.jumps=4")
    narrow = ("epochs=1", "pose.channels=2", "pose.hidden=16")
    given |= {"cryoai": (*narrow, *TINY[:1]), "cryoposenet": narrow}
    given["cryofire"] = (*narrow, *TINY[:2], "z_dim=2", "phases.0.images=80")
    given["hybrid"] = (*given["cryofire"], "phases.1.passes=1", "phases.2.clusters=2", "pose.step_deg=30")
    said = done("train", made / "particles.star", "-m", method, "-o", run, *settings(*given.get(method, ())))
    assert ("hypermol analyze" in said.out) == (method not in HOMOGENEOUS)
    if method == "backprojection":
        assert "resolution masked:" in said.out
        refused("analyze", run, words=["infers nothing per particle", "hypermol methods"])
        refused("volumes", run, "--particles", "0", "-o", tmp_path / "maps", words=["no estimates.npz"])
        refused("select", run, "--cluster", "0", "-o", tmp_path / "x.star", words=["landscape.json is missing"])
    if method == "neural-homogeneous":
        refused("analyze", run, words=["no latent z"])
        refused("volumes", run, "--particles", "0", "-o", tmp_path / "maps", words=["has no z per particle"])
    if method in ("cryogan", "multi-cryogan"):
        refused("analyze", run, words=["infers nothing per particle", "hypermol methods"])
        assert (run / "volumes" / "map.mrc").exists()
        assert done("report", run)
        return
    assert "consensus.mrc" in [path.name for path in (run / "volumes").iterdir()]
    again = ("infer", run, made / "particles.star", "-o", tmp_path / "inferred", "--reference", "20")
    if method in NOT_INFERRED:
        refused(*again, words=[method, "train"])
    else:
        assert "unlike 20 of the run's own" in done(*again).out
        assert len(Run.open(tmp_path / "inferred").estimates()["outlier"]) == 80


def test_an_inference_is_a_run(trained: Path, made: Path, tmp_path: Path) -> None:
    """Analysed, reported, selected from, and continued like any other."""
    out = tmp_path / "inferred"
    said = done("infer", trained, made / "particles.star", "-o", out, "--reference", "30").out
    for words in ("80 particles", "device:", "infer 1/1", "by chance", "done in", f"hypermol analyze {out}"):
        assert words in said
    assert "nothing was done" in done("infer", "--resume", out).out
    done("analyze", out, "-k", "3")
    done("report", out)
    done("volumes", out, "--particles", "0", "-o", tmp_path / "maps")
    some = Run.open(out).estimates()["outlier"] > 0
    chosen = done("select", out, "--outliers", "--invert", "-o", made / "kept.star").out
    assert chosen.startswith(f"{int((~some).sum())} of 80 particles")
    refused("select", trained, "--outliers", "-o", made / "none.star", words=["hypermol infer"])
    refused("infer", trained, words=["which run, and which particles"])
    refused("infer", trained, made / "particles.star", words=["-o OUT"])
    refused("infer", "--resume", trained, words=["was not made by"])


def test_report(trained: Path) -> None:
    said = done("report", trained)
    assert said.out.strip() == f"report: {(trained / 'report.html').resolve()}"
    assert (trained / "report.html").stat().st_size > 10_000


def test_damaged_results_can_be_made_again_as_the_message_says(trained: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    known = Run.open(run).estimates()["z"]
    (run / "estimates.npz").write_bytes(b"")
    said = refused("report", run, words=["estimates.npz cannot be read", 'row "finished"', f"train --resume {run}"])
    assert "fault" not in said
    rows = (run / "log.jsonl").read_text().splitlines(keepends=True)
    (run / "log.jsonl").write_text("".join(row for row in rows if '"finished"' not in row))
    done("train", "--resume", run)
    assert np.array_equal(Run.open(run).estimates()["z"], known)


def test_analyze(made: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done(*NEURAL, made / "particles.star", "-o", run, *settings("epochs=1", *TINY))
    said = done("analyze", run, "-k", 4, "--no-maps")
    for words in ("principal components hold", "clusters 0 to 3", f"landscape: {run / 'landscape'}", "select"):
        assert words in said.out
    assert not (run / "landscape" / "clusters").exists()
    refused("volumes", run, "--path", "graph2", "-o", tmp_path, words=["no such path", "graph, pc1, pc2, straight"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("-k", 0), ["clusters"]), (("--points", 0), ["points"]), (("--points", 1), ["points"]), (("-k", "few"), ["few"])],
)
def test_analyze_refuses(trained: Path, arguments: tuple, words: list[str]) -> None:
    refused("analyze", trained, *arguments, words=words)


def test_volumes_of_particles(trained: Path, tmp_path: Path) -> None:
    said = done("volumes", trained, "--particles", "0,7", "-o", tmp_path / "maps")
    assert sorted(path.name for path in (tmp_path / "maps").iterdir()) == ["particle-000000.mrc", "particle-000007.mrc"]
    assert "2 maps of 16 px at 12 Å per pixel" in said.out
    found, pixel_size = read_map(tmp_path / "maps" / "particle-000007.mrc")
    assert pixel_size == pytest.approx(12.0)
    torch.testing.assert_close(found, rebuild(Run.open(trained)).map_of(7))


def test_volumes_at_rows_of_a_file(trained: Path, tmp_path: Path) -> None:
    z = Run.open(trained).estimates()["z"][:2]
    np.save(tmp_path / "z.npy", z)
    np.savetxt(tmp_path / "z.txt", z)
    for name in ("z.npy", "z.txt"):
        done("volumes", trained, "--z", tmp_path / name, "-o", tmp_path / name[2:])
        names = sorted(path.name for path in (tmp_path / name[2:]).iterdir())
        assert names == ["z-000.mrc", "z-001.mrc"]
        found, _ = read_map(tmp_path / name[2:] / "z-001.mrc")
        torch.testing.assert_close(found, rebuild(Run.open(trained)).map_of(1), rtol=1e-4, atol=1e-4)


def test_volumes_of_states_and_paths(trained: Path, tmp_path: Path) -> None:
    done("volumes", trained, "--states", "-o", tmp_path / "states")
    assert sorted(path.name for path in (tmp_path / "states").iterdir()) == [f"state-{i:03d}.mrc" for i in range(3)]
    done("volumes", trained, "--path", "pc1", "-o", tmp_path / "path")
    assert sorted(path.name for path in (tmp_path / "path").iterdir()) == [f"pc1-{i:03d}.mrc" for i in range(4)]
    ours, _ = read_map(tmp_path / "states" / "state-001.mrc")
    torch.testing.assert_close(ours, read_map(trained / "landscape" / "clusters" / "map-001.mrc")[0])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), ["exactly one of --particles, --z, --states, --path"]),
        (("--particles", "0", "--states"), ["exactly one of"]),
        (("--particles", "80"), ["no particle 80", "0 to 79"]),
        (("--particles", "7-3"), ["'7-3'", "3-7"]),
        (("--particles", "-1"), ["'-1'", "such as 0,2,5-7"]),
        (("--particles", "one"), ["'one'", "such as 0,2,5-7"]),
        (("--z", "absent.txt"), ["absent.txt", "2 numbers per row"]),
        (("--path", "pc9"), ["no such path", "graph, pc1"]),
        (("--particles", "0", "--device", "tpu"), ["device", "tpu"]),
    ],
)
def test_volumes_refuses(trained: Path, tmp_path: Path, arguments: tuple, words: list[str]) -> None:
    refused("volumes", trained, *arguments, "-o", tmp_path / "maps", words=words)
    assert not (tmp_path / "maps").exists()


@pytest.mark.parametrize("content", ["1 2 3\n", "one two\n", "1 nan\n", "", "1 2\n3\n"])
def test_volumes_refuses_a_file_of_something_else(trained: Path, tmp_path: Path, content: str) -> None:
    (tmp_path / "z.txt").write_text(content)
    np.save(tmp_path / "z.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    for name in ("z.txt", "z.npy"):
        words = [name, "expected one z of 2 numbers per row, found"]
        refused("volumes", trained, "--z", tmp_path / name, "-o", tmp_path / "maps", words=words)


def test_select(trained: Path, made: Path, tmp_path: Path) -> None:
    from hypermol.landscape import load_landscape

    out = tmp_path / "one.star"
    said = done("select", trained, "--cluster", 1, "-o", out)
    label = load_landscape(trained / "landscape").clusters.label
    assert f"{(label == 1).sum()} of 80 particles: {out}" in said.out
    assert f"--datadir {made}" in said.out
    again, whole = read_particles(out, datadir=made), read_particles(made / "particles.star")
    np.testing.assert_array_equal(again.image_index, whole.image_index[label == 1])
    lines = iter((made / "particles.star").read_text().split("\n"))
    assert all(line in lines for line in out.read_text().split("\n"))  # the same lines in the same order
    done("select", trained, "--cluster", 1, "--invert", "-o", tmp_path / "others.star")
    assert read_particles(tmp_path / "others.star", datadir=made).count == (label != 1).sum()
    done("select", trained, "--particles", "0-9, 20", "-o", tmp_path / "some.star")
    some = read_particles(tmp_path / "some.star", datadir=made)
    np.testing.assert_array_equal(some.image_index, [*range(10), 20])


def test_select_within(trained: Path, made: Path, tmp_path: Path) -> None:
    """Ranges of what is known of each particle; several conditions at once."""
    from hypermol.landscape import load_landscape

    landscape, z = load_landscape(trained / "landscape"), Run.open(trained).estimates()["z"]
    whole, first = read_particles(made / "particles.star"), landscape.coordinates[:, 0]
    asked = {
        ("--within", "pc1=-0.2:0.5"): (first >= -0.2) & (first <= 0.5),
        ("--within", "pc1=:0", "--within", "z2=0:"): (first <= 0) & (z[:, 1] >= 0),
        ("--within", "pc1=:0", "--particles", "0-39"): (first <= 0) & (np.arange(80) < 40),
    }
    for number, (conditions, wanted) in enumerate(asked.items()):
        assert 0 < wanted.sum() < 80
        done("select", trained, *conditions, "-o", tmp_path / f"{number}.star")
        found = read_particles(tmp_path / f"{number}.star", datadir=made)
        np.testing.assert_array_equal(found.image_index, whole.image_index[wanted])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), ["one of --cluster, --class, --particles"]),
        (("--within", "pc7=0:1"), ["no 'pc7'", "z1, z2", "pc1, pc2"]),
        (("--within", "pc1=1:0"), ["NAME=LOW:HIGH"]),
        (("--within", "pc1=a:0"), ["NAME=LOW:HIGH"]),
        (("--within", "pc1"), ["NAME=LOW:HIGH"]),
        (("--within", "pc1=0:", "--within", "pc1=:-1e-9"), ["keeps no particle at all"]),
        (("--cluster", "3"), ["no cluster 3", "0 to 2"]),
        (("--class", "1"), ["has no classes", "--cluster"]),
        (("--cluster", "0-2", "--invert"), ["keeps no particle at all"]),
        (("--particles", "0", "--density"), ["--density goes with --cluster"]),
    ],
)
def test_select_refuses(trained: Path, tmp_path: Path, arguments: tuple, words: list[str]) -> None:
    refused("select", trained, *arguments, "-o", tmp_path / "x.star", words=words)
    assert list(tmp_path.iterdir()) == []


def test_select_never_overwrites_the_original(trained: Path, made: Path, tmp_path: Path) -> None:
    before = (made / "particles.star").read_bytes()
    refused("select", trained, "--cluster", 0, "-o", made / "particles.star", words=["this is the original file"])
    refused("select", trained, "--cluster", 0, "-o", tmp_path / "x.cs", words=["give it that ending"])
    assert (made / "particles.star").read_bytes() == before


def test_evaluate(trained: Path, made: Path) -> None:
    said = done("evaluate", trained, "--truth", made, "--particles", 5)
    assert "|Spearman| of best direction" in said.out
    metrics = json.loads((trained / "metrics.json").read_text())
    for figure in metrics.values():
        assert set(figure) == {"value", "unit", "how"}
    refused("evaluate", trained, "--truth", made.parent, words=["found no truth.npz"])
    refused("evaluate", trained, "--truth", made, "--particles", 0, words=["at least 1"])


def test_commands_on_what_is_no_run(made: Path, tmp_path: Path) -> None:
    for command in (
        ("analyze", made),
        ("report", made),
        ("volumes", made, "--states", "-o", tmp_path / "x"),
        ("select", made, "--cluster", 0, "-o", tmp_path / "x.star"),
        ("evaluate", made, "--truth", made),
        ("train", "--resume", made),
    ):
        refused(*command, words=["is not a run folder", "config.toml"])
    (tmp_path / "config.toml").write_text("format = 99\n")
    refused("report", tmp_path, words=["format 99 is newer"])
    (tmp_path / "config.toml").write_text("a poem")
    refused("report", tmp_path, words=["not a TOML file"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), ["which particles?", "--resume RUN"]),
        (("STAR",), ["where to?", "-o RUN"]),
        (("STAR", "-o", "RUN", "-m", "cryodragon"), ["unknown method 'cryodragon'", "cryodrgn", "hypermol methods"]),
        (("STAR", "-o", "RUN", "--set", "epoch=3"), ["no setting 'epoch'", "did you mean 'epochs'?"]),
        (("STAR", "-o", "RUN", "--set", "hidden=3"), ["did you mean 'volume.hidden' or 'conformation.hidden'?"]),
        (("STAR", "-o", "RUN", "--set", "bocks=32"), ["no setting 'bocks'", "hypermol methods cryodrgn"]),
        (("STAR", "-o", "RUN", "--set", "volume.hiden=3"), ["no setting 'hiden'", "did you mean 'hidden'?"]),
        (("STAR", "-o", "RUN", "--set", "volume=3"), ["volume is a part", "volume.hidden"]),
        (("STAR", "-o", "RUN", "--set", "phases.0=3"), ["no setting 'phases.0'", "phases.0.passes"]),
        (("STAR", "-o", "RUN", "--set", "phases.4.passes=3"), ["no setting 'phases.4.passes'"]),
        (("STAR", "-o", "RUN", "--set", "epochs=0"), ["epochs = 0: expected 1 or more"]),
        (("STAR", "-o", "RUN", "--set", "epochs=few"), ["epochs = few: expected a whole number"]),
        (("STAR", "-o", "RUN", "--set", "learning_rate=nan"), ["learning_rate = nan: expected above 0"]),
        (("STAR", "-o", "RUN", "--set", "z_dim=-1"), ["z_dim = -1: expected"]),
        (("STAR", "-o", "RUN", "--set", "volume.z_dim=3"), ["z_dim = 3", "conformation", "z_dim alone sets both"]),
        (("STAR", "-o", "RUN", "--set", "volume.output=real"), ["expected 'fourier' or 'hartley'"]),
        (("STAR", "-o", "RUN", "--set", "seed=-1"), ["seed = -1: expected a whole number of at least 0"]),
        (("STAR", "-o", "RUN", "--set", "box=15"), ["box: expected an even number from 8 to 16", "found 15"]),
        (("STAR", "-o", "RUN", "--set", "box=64"), ["box: expected an even number from 8 to 16", "found 64"]),
        (("STAR", "-o", "RUN", "--set", "box=big"), ["box = big: expected a whole number"]),
        (("STAR", "-o", "RUN", "--set", "sign=dark"), ["sign: expected", "'dark'"]),
        (("STAR", "-o", "RUN", "--set", "window=-2"), ["window: expected a radius"]),
        (("STAR", "-o", "RUN", "--set", "epochs"), ["--set epochs: expected key=value"]),
        (("STAR", "-o", "RUN", "--set", "epochs=1", "--set", "epochs=2"), ["--set epochs is given twice"]),
        (("STAR", "-o", "RUN", "--memory-gb", "0"), ["--memory-gb 0: expected more than 0 GiB"]),
        (("STAR", "-o", "RUN", "--memory-gb", "inf"), ["--memory-gb inf: expected more than 0 GiB"]),
        (("STAR", "-o", "RUN", "--device", "gpu"), ["unknown device 'gpu'", "cuda"]),
        (("STAR", "-o", "RUN", "--pixel-size", "0"), ["pixel size given: expected Å above 0"]),
        (("STAR", "-o", "RUN", "--poses", "absent.pkl"), ["absent.pkl"]),
        (("STAR", "-o", "RUN", "--colour", "red"), ["--colour"]),
        (("STAR", "-o", "RUN", "--set", "epochs=1", "z_dim=2"), ["z_dim=2: not expected here", "a --set of its own"]),
        (("STAR", "OTHER", "-o", "RUN"), ["OTHER: not expected here", "hypermol train --help"]),
        (("STAR", "--resume", "RUN"), ["--resume RUN goes alone"]),
        (("--resume", "RUN", "-m", "cryodrgn"), ["--resume RUN goes alone", "the method"]),
        (("--resume", "RUN"), ["is not a run folder"]),
    ],
)
def test_train_refuses(made: Path, tmp_path: Path, arguments: tuple[str, ...], words: list[str]) -> None:
    places = {"STAR": made / "particles.star", "RUN": tmp_path / "run"}
    method = () if {"-m", "--resume"} & set(arguments) else ("-m", "cryodrgn")
    refused("train", *method, *(places.get(word, word) for word in arguments), words=words)
    assert list(tmp_path.iterdir()) == []


def test_a_gpu_that_is_absent(made: Path, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    words = ["device 'cuda' was asked for", "no usable CUDA GPU"]
    refused("train", made / "particles.star", "-o", tmp_path / "run", "--device", "cuda", words=words)
    assert not (tmp_path / "run").exists()


def test_bench_takes_ranges_of_seeds() -> None:
    refused("bench", "nosuch", "--seeds", "0-2,5", words=["nosuch"])
    refused("bench", "hinge", "--seeds", "2-0", words=["'2-0': expected the smaller number first"])


def test_misspelt_commands_and_missing_arguments() -> None:
    refused("trian", words=["trian", 'Did you mean "train"?'])
    refused("check", words=["PARTICLES"])
    refused("volumes", "run", words=["--out"])
    assert hypermol("train", "--help").status == 0


def test_the_whole_story(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`demo` with fewer particles; a second time it goes on and ends where it was."""
    monkeypatch.setattr("hypermol.cli.demo.PARTICLES", 400)
    monkeypatch.setattr("hypermol.cli.demo.BOX", 16)
    said = done("demo", "-o", tmp_path / "demo")
    for words in ("1/5", "2/5", "3/5", "4/5", "5/5", "report:", "open the report", "the images' own limit"):
        assert words in said.out
    assert (tmp_path / "demo" / "run" / "report.html").exists()
    again = done("demo", "-o", tmp_path / "demo")
    assert "already finished" in again.out


def test_a_single_particle(made: Path, trained: Path, tmp_path: Path) -> None:
    """One half-set is then empty: no consensus and no FSC, which only a method that needs them refuses."""
    star, options = tmp_path / "one.star", ("--datadir", made)
    done("select", trained, "--particles", "3", "-o", star)
    assert "1 particle, 16 px" in done("check", star, *options).out
    said = done(*NEURAL, star, *options, "-o", tmp_path / "run", *settings("epochs=1", *TINY))
    assert "no consensus map beside the results" in said.out
    done("report", tmp_path / "run")
    done("analyze", tmp_path / "run")
    needs = settings("epochs=1", "volume.base=consensus", *TINY)
    refused(*NEURAL, star, *options, "-o", tmp_path / "other", *needs, words=["half set", "rlnRandomSubset"])
    for method in ("backprojection", "auto"):
        refused("train", star, *options, "-m", method, "-o", tmp_path / method, words=["half set"])
    assert not (tmp_path / "other").exists()


def test_commands_that_are_proposed_can_be_pasted(made: Path, tmp_path: Path) -> None:
    run = tmp_path / "my run"
    said = done("train", made / "particles.star", "-m", "backprojection", "-o", run).out
    assert shlex.split(said.split("next: ")[1]) == ["hypermol", "report", str(run)]
    again = refused("train", made / "particles.star", "-m", "backprojection", "-o", run)
    assert f"--resume '{run}'" in again
