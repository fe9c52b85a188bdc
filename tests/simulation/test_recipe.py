import math
import tomllib

import pytest
import tomli_w

from hypermol import specs
from hypermol.errors import ConfigError, DataError
from hypermol.simulation import MOTIONS, Recipe, build_molecule, check_recipe


def test_defaults():
    recipe = Recipe.named("hinge")
    assert (recipe.n, recipe.box, recipe.snr, recipe.ctf, recipe.voltage_kv) == (10_000, 64, 0.1, True, 300.0)
    assert build_molecule(recipe).pixel_size == 3.0
    assert build_molecule(Recipe.named("hinge", box=32)).pixel_size == 6.0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"box": 33}, ["box = 33", "even", "32 or 34"]),
        ({"box": 4}, ["box = 4", "at least 8"]),
        ({"n": 0}, ["n = 0", "at least 1"]),
        ({"snr": 0.0}, ["snr = 0.0", "above 0"]),
        ({"snr": -1.0}, ["snr"]),
        ({"snr": math.nan}, ["snr"]),
        ({"pixel_size": 0.0}, ["pixel_size"]),
        ({"shift_px": -1.0}, ["shift_px"]),
        ({"defocus_um": (2.0, 1.0)}, ["defocus_um", "low <= high"]),
        ({"voltage_kv": 0.0}, ["voltage_kv"]),
        ({"tilts_deg": ()}, ["tilts_deg"]),
        ({"levels": 1}, ["levels"]),
        ({"range_deg": (10.0, -10.0)}, ["range_deg"]),
        ({"sigma": 0.0}, ["sigma"]),
        ({"bond": ("A/1/CA", "A/2/CA")}, ["bond", "your own model"]),
        ({"models": ("a.pdb", "b.pdb")}, ["models", "'states'"]),
        ({"snrr": 0.1}, ["snrr", "did you mean 'snr'"]),
        ({"defocus": "gaussian"}, ["defocus", "uniform", "log-normal"]),
        ({"box": "big"}, ["box", "whole number"]),
    ],
)
def test_impossible_settings_are_refused_in_words(settings, words):
    with pytest.raises(ConfigError) as error:
        Recipe.named("hinge", **settings)
    for word in words:
        assert word in str(error.value)


def test_all_problems_are_listed_at_once():
    with pytest.raises(ConfigError) as error:
        Recipe.named("hinge", n=0, box=33, snr=-1.0, voltage_kv=0.0)
    assert str(error.value).count("\n  - ") == 4


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'linear1d'"):
        Recipe.named("linear1")
    with pytest.raises(ConfigError, match="unknown preset"):
        Recipe.named("linear1d", preset="papers")
    with pytest.raises(ConfigError, match="no preset 'paper'"):
        Recipe.named("hinge", preset="paper")


def test_settings_that_do_not_belong_together():
    for settings in (
        {"name": "linear2d", "model": "x.pdb"},
        {"name": "linear1d", "model": "x.pdb"},
        {"name": "states", "models": ("one.pdb",)},
        {"name": "discrete10", "levels": 5},
        {"name": "linear2d", "range_deg": (0.0, 5.0)},
    ):
        with pytest.raises(ConfigError):
            Recipe.named(**settings)


@pytest.mark.parametrize(
    ("name", "images", "box", "states"),
    [
        ("homogeneous", 50_000, 128, 1),
        ("linear1d", 50_000, 64, 50),
        ("linear2d", 50_000, 64, 100),
        ("circular1d", 50_000, 64, 100),
        ("discrete10", 50_000, 64, 10),
    ],
)
def test_paper_preset_has_the_sizes_of_the_paper(name, images, box, states):
    recipe = Recipe.named(name, preset="paper")
    molecule = build_molecule(recipe)
    assert (recipe.n, recipe.box, len(molecule.motion.states())) == (images, box, states)
    if box == 64:
        assert molecule.pixel_size * 64 == pytest.approx(720.0)
        assert recipe.shift_px == 5.0
        assert 0.5 < 2 * molecule.radius / 720.0 < 0.8
    assert Recipe.named(name, preset="paper", n=7).n == 7


def test_every_built_in_motion_fits_its_box():
    for name in MOTIONS:
        if name not in ("states", "transition"):
            build_molecule(Recipe.named(name, box=32))


def test_a_molecule_too_large_for_the_box_says_what_would_fit():
    with pytest.raises(ConfigError, match=r"pixel_size >= 2\.\d+ or box >= 1\d\d"):
        build_molecule(Recipe.named("hinge", pixel_size=1.0))


def test_toml_round_trip(tmp_path):
    recipe = Recipe.named("linear1d", n=12, snr=math.inf, tilts_deg=(0.0, 45.0), defocus="log-normal")
    (tmp_path / "recipe.toml").write_text(tomli_w.dumps({"recipe": specs.to_dict(recipe)}))
    assert Recipe.from_toml(tmp_path / "recipe.toml") == recipe
    assert Recipe.from_toml(tmp_path / "recipe.toml", n=5).n == 5
    flat = {key: value for key, value in specs.to_dict(recipe).items() if key != "kind"}
    (tmp_path / "flat.toml").write_text(tomli_w.dumps(flat))
    assert Recipe.from_toml(tmp_path / "flat.toml") == recipe


def test_model_files_are_looked_for_beside_the_recipe(tmp_path):
    (tmp_path / "r.toml").write_text('name = "states"\nmodels = ["a.pdb", "sub/b.cif"]\n')
    recipe = Recipe.from_toml(tmp_path / "r.toml")
    assert recipe.models == (str(tmp_path / "a.pdb"), str(tmp_path / "sub" / "b.cif"))
    with pytest.raises(DataError, match=r"a\.pdb: no such model file"):
        build_molecule(recipe)


@pytest.mark.parametrize("text", ["n = = 3", "recipe = 3", "\x00"])
def test_bad_recipe_files(tmp_path, text):
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(ConfigError, match=r"r\.toml"):
        Recipe.from_toml(tmp_path / "r.toml")
    with pytest.raises(ConfigError, match="no such recipe file"):
        Recipe.from_toml(tmp_path / "other.toml")


def test_recipes_are_data():
    recipe = Recipe.named("hinge", n=3)
    again = specs.from_dict("recipe", tomllib.loads(tomli_w.dumps(specs.to_dict(recipe))))
    assert again == recipe
    check_recipe(again)
