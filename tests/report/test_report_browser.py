"""The page in a real browser, offline: it opens, the molecule moves with the slider, and no error is reported."""

import dataclasses
import re
import shlex
import shutil

import numpy as np
import pytest

from hypermol.cli.numbers import interval
from hypermol.landscape import LandscapeSettings, analyze
from hypermol.report import MapSeries, ReportData, write_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine (Debian: apt-get install chromium)"),
    pytest.mark.xdist_group("browser"),
]
# no GPU here: Chromium draws WebGL with its software renderer
FLAGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]


@pytest.fixture(scope="module")
def driver():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="module")
def browser(driver):
    chromium = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
    yield chromium
    chromium.close()


@pytest.fixture(scope="module")
def opened(browser):
    """A function that opens a file with the network off, and the problems that pages have reported."""
    context = browser.new_context(offline=True, viewport={"width": 1280, "height": 900})
    problems = []

    def asked(request):
        if not request.url.startswith(("file:", "data:", "blob:")):
            problems.append(f"the page asked for {request.url}")

    def open_page(path):
        page = context.new_page()
        page.on("console", lambda message: problems.append(message.text) if message.type != "log" else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", asked)
        page.goto(path.as_uri())
        page.wait_for_selector("body[data-ready]")
        return page

    yield open_page, problems
    context.close()


@pytest.fixture(scope="module")
def page(report_data, opened, tmp_path_factory):
    """The whole report; tests leave it usable for the next."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    return opened[0](write_report(report_data, path))


@pytest.fixture(autouse=True)
def no_problems(opened):
    """After each test: nothing on the console, no exception, no request."""
    yield
    assert not opened[1]


def test_the_molecule_moves_with_the_slider(page):
    first = page.evaluate("hypermol.view.signature()")
    assert first["triangles"] > 1000
    before = page.locator("[data-stage]").screenshot()
    page.locator("[data-frame]").evaluate("e => { e.value = 7; e.dispatchEvent(new Event('input')); }")
    moved = page.evaluate("hypermol.view.signature()")
    assert moved["position"] == 7
    assert moved["sum"] != first["sum"]
    assert "map 7" in page.locator("[data-frame-words]").inner_text()
    page.wait_for_timeout(200)
    after = page.locator("[data-stage]").screenshot()
    assert changed_share(before, after) > 0.02
    page.locator("[data-level]").evaluate("e => { e.value = 150; e.dispatchEvent(new Event('input')); }")
    assert page.evaluate("hypermol.view.signature()")["triangles"] < moved["triangles"]
    page.get_by_role("button", name="Principal component 2").click()
    assert page.evaluate("hypermol.view.signature()")["path"] == "pc2"
    page.get_by_role("button", name="Play").click()
    page.wait_for_timeout(700)
    page.get_by_role("button", name="Pause").click()
    position = page.evaluate("hypermol.view.signature()")["position"]
    assert position == int(position)


def changed_share(before, after):
    """Share of pixels that differ visibly between two PNG pictures."""
    import io

    from PIL import Image

    pixels = [np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), dtype=int) for png in (before, after)]
    return float((np.abs(pixels[0] - pixels[1]).max(axis=2) > 25).mean())


def test_the_landscape_is_coloured_and_hovered(page):
    plot = page.locator("[data-scatter]")
    assert page.evaluate("document.querySelector('[data-scatter]').data[0].x.length") == 3000
    colours = set()
    for name in ("Defocus", "In-plane angle: psi", "Viewing direction: rot", "True hinge angle", "Cluster"):
        page.get_by_role("button", name=name, exact=True).click()
        colours.add(
            str(page.evaluate("Array.from(document.querySelector('[data-scatter]').data[0].marker.color).slice(0, 9)"))
        )
    assert len(colours) == 5
    words = page.evaluate("document.querySelector('[data-scatter]').data[0].text[5]")
    assert words.startswith("<b>particle 5</b>")
    assert "FoilHole_001000.mrc" in words
    assert "µm" in words
    page.get_by_role("button", name="PC 2 and 3").click()
    assert "component 3" in plot.inner_text()
    for anchor in ("resolution", "learning"):
        assert page.locator(f"#{anchor} .js-plotly-plot .plot-container").count() >= 1


def test_a_box_in_the_landscape_gives_the_command_that_selects_it(page, report_data):
    """Its ranges are those of the particles inside, in the words of `hypermol select`; a new view forgets it."""
    said = page.locator("[data-selected]")
    page.get_by_role("button", name="PC 1 and 3").click()
    assert not said.is_visible()
    page.evaluate("Plotly.relayout(document.querySelector('[data-scatter]'), { dragmode: 'select' })")
    drawn = page.locator("[data-scatter] .nsewdrag").first.bounding_box()
    page.mouse.move(drawn["x"] + 0.3 * drawn["width"], drawn["y"] + 0.2 * drawn["height"])
    page.mouse.down()
    page.mouse.move(drawn["x"] + 0.6 * drawn["width"], drawn["y"] + 0.7 * drawn["height"], steps=4)
    page.mouse.up()
    said.wait_for()
    count, of, command = re.fullmatch(r"([\d,]+) of the ([\d,]+) points: (.*)", said.inner_text()).groups()
    words = shlex.split(command)
    assert words[:3] == ["hypermol", "select", report_data.run]
    ranges = {name: (low, high) for name, low, high in (interval(word) for word in words if "=" in word)}
    assert list(ranges) == ["pc1", "pc3"]
    columns = dict(zip(("pc1", "pc2", "pc3"), report_data.landscape.coordinates.T))
    inside = [(columns[name] >= low) & (columns[name] <= high) for name, (low, high) in ranges.items()]
    assert int(count.replace(",", "")) == np.logical_and(*inside).sum() > 10
    assert of == "3,000"
    page.get_by_role("button", name="PC 2 and 3").click()
    assert not said.is_visible()


def test_sheets_change_between_projections_and_slices(page):
    states = page.locator("#states")
    assert states.locator(".sheet:visible img").count() == 8
    states.get_by_role("button", name="Central slices").click()
    states.get_by_role("button", name="along x").click()
    shown = states.locator(".sheet:visible")
    assert shown.count() == 1
    assert shown.get_attribute("data-kind") == "slice"
    assert shown.get_attribute("data-axis") == "x"


@pytest.mark.parametrize("width", [360, 820, 1600])
def test_nothing_overflows(page, width):
    page.set_viewport_size({"width": width, "height": 900})
    page.wait_for_function(f"document.documentElement.scrollWidth <= {width}", timeout=10_000)
    page.wait_for_timeout(300)  # and it stays so
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_surfaces_lie_where_the_density_has_the_level(page):
    """A ball whose density is exp(1 - r²/R²) at one byte per voxel: all vertices at radius R, normals outward."""
    found = page.evaluate("""() => {
        const size = 25, centre = 12.21, radius = 7.3, f = new Float32Array(size ** 3);
        for (let i = 0; i < f.length; i++) {
            const at = [i % size, Math.floor(i / size) % size, Math.floor(i / size / size)];
            const square = at.reduce((sum, c) => sum + (c - centre) ** 2, 0);
            f[i] = Math.min(255, Math.round(94 * Math.exp(1 - square / radius ** 2)));
        }
        const mesh = hypermol.surface.mesh(f, [size, size, size], 94);
        const p = mesh.positions, out = { radius: [], outward: [], indices: Array.from(mesh.indices), volume: 0 };
        for (let v = 0; v < p.length; v += 3) {
            const r = [p[v] - centre, p[v + 1] - centre, p[v + 2] - centre], length = Math.hypot(...r);
            out.radius.push(length / radius);
            out.outward.push(r.reduce((sum, c, k) => sum + c * mesh.normals[v + k], 0) / length);
        }
        for (let t = 0; t < mesh.indices.length; t += 3) {
            const [a, b, c] = [0, 1, 2].map((k) => p.slice(3 * mesh.indices[t + k], 3 * mesh.indices[t + k] + 3));
            for (let k = 0; k < 3; k++) {
                const [l, m] = [(k + 1) % 3, (k + 2) % 3];
                out.volume += (a[k] * (b[l] * c[m] - b[m] * c[l])) / 6;
            }
        }
        out.volume /= (4 / 3) * Math.PI * radius ** 3;
        return out;
    }""")
    np.testing.assert_allclose(found["radius"], 1, atol=0.01)
    np.testing.assert_allclose(found["outward"], 1, atol=0.01)
    # closed, with the inside on the inside: every edge is used once in each direction, and the volume is positive
    triangles = np.array(found["indices"]).reshape(-1, 3)
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    forward, backward = ({tuple(edge) for edge in part.tolist()} for part in (edges, edges[:, ::-1]))
    assert len(forward) == len(edges)
    assert forward == backward
    assert found["volume"] == pytest.approx(1, abs=0.02)


def test_pages_with_little_or_odd_content_open(opened, tmp_path):
    odd = "</script><script>window.broken = true</script> & <b>"
    one = MapSeries("m", odd, [np.random.default_rng(0).normal(size=(16, 16, 16)).astype("f4")], 2.0, (odd,))
    for number, data in enumerate(
        (
            ReportData(odd, warnings=(odd,), settings=odd, facts=((odd, odd),), micrograph=np.array([odd])),
            ReportData("one map", maps=(one,)),
            ReportData("empty map", maps=(MapSeries("zero", "Zero", [np.zeros((16, 16, 16), "f4")], 2.0),)),
        )
    ):
        page = opened[0](write_report(data, tmp_path / f"{number}.html"))
        assert page.evaluate("window.broken") is None
        assert page.locator("h1").inner_text() == data.title


def test_many_particles_are_drawn_under_the_centres(opened, tmp_path):
    z = np.random.default_rng(0).normal(size=(4000, 2))
    data = ReportData("many", landscape=analyze(z, settings=LandscapeSettings(clusters=3)))
    page = opened[0](write_report(data, tmp_path / "many.html"))
    assert page.evaluate("document.querySelector('[data-scatter]').data[0].type") == "scattergl"
    assert page.locator("[data-scatter] .annotation").count() == 3


def test_without_graphics_the_pictures_remain(driver, report_data, tmp_path):
    chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-3d-apis"])
    page = chromium.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    data = dataclasses.replace(report_data, maps=(), states=None, motions=report_data.motions[:1])
    page.goto(write_report(data, tmp_path / "report.html").as_uri())
    page.wait_for_selector("body[data-ready]")
    assert "shows no 3-D graphics" in page.locator("[data-viewer-note]").inner_text()
    assert not page.locator("[data-viewer]").is_visible()
    assert page.locator("#motion .sheet:visible img").count() == 10
    assert page.locator("[data-scatter] .annotation").count() == 8
    chromium.close()
    assert not errors
