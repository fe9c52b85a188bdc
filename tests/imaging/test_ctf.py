"""The CTF against RELION's CTF images and torch-ctf, and its sign and damping in words."""

import mrcfile
import numpy as np
import pytest
import starfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hypermol.imaging.ctf import CTF, wavelength
from hypermol.imaging.fourier import images_to_packed
from hypermol.imaging.lattice import Lattice


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_ctf_is_that_of_relion(shared_data, dtype):
    """Twelve CTFs (astigmatism, phase plate, B-factor, scale, overfocus, three voltages): ≤ 1e-6."""
    folder = shared_data / "relion313_reference"
    blocks = starfile.read(folder / "ctf12_psf.star")
    table = blocks["particles"].merge(blocks["optics"], on="rlnOpticsGroup")
    points = torch.from_numpy(np.array(mrcfile.read(folder / "ctf12_psf.mrcs"), dtype=np.float64))
    lattice = Lattice.disc(128, dtype=dtype)
    theirs = images_to_packed(points, lattice)  # a point at the origin becomes the CTF itself
    ctf = CTF.create(
        table["rlnDefocusU"],
        table["rlnDefocusV"],
        np.deg2rad(table["rlnDefocusAngle"]),
        table["rlnVoltage"],
        table["rlnSphericalAberration"],
        table["rlnAmplitudeContrast"],
        np.deg2rad(table["rlnPhaseShift"]),
        table["rlnCtfBfactor"],
        table["rlnCtfScalefactor"],
    )
    ours = ctf.evaluate(lattice.k, 1.5)
    assert ours.shape == (12, lattice.size)
    assert ours.dtype == dtype
    assert float((ours - theirs).abs().max()) <= 1e-6


@settings(max_examples=20, deadline=None)
@given(
    defocus=st.floats(-5000, 40000),
    astigmatism=st.floats(0, 2000),
    angle=st.floats(-180, 180),
    voltage=st.sampled_from([80, 100, 120, 200, 300]),
    cs=st.floats(0, 4),
    contrast=st.floats(0, 0.3),
    phase=st.floats(0, 150),
)
def test_ctf_is_that_of_torch_ctf(defocus, astigmatism, angle, voltage, cs, contrast, phase):
    """Theirs takes micrometres and degrees, and the wavelength from newer constants of nature (5e-6 shorter
    than RELION's): ours is given defocus and Cs for which the two wavelengths make the same phases."""
    from torch_ctf import calculate_ctf_2d, calculate_relativistic_electron_wavelength

    box, pixel_size = 32, 2.0
    theirs = calculate_ctf_2d(
        defocus=torch.tensor(defocus * 1e-4, dtype=torch.float64),
        astigmatism=torch.tensor(astigmatism * 1e-4, dtype=torch.float64),
        astigmatism_angle=torch.tensor(angle, dtype=torch.float64),
        voltage=voltage,
        spherical_aberration=cs,
        amplitude_contrast=contrast,
        phase_shift=phase,
        pixel_size=pixel_size,
        image_shape=(box, box),
        rfft=False,
        fftshift=True,
    )
    lattice = Lattice.disc(box, dtype=torch.float64)
    their_length = calculate_relativistic_electron_wavelength(torch.tensor(voltage * 1e3).double()) * 1e10
    ratio = float(their_length / wavelength(torch.tensor(float(voltage)).double()))
    assert ratio == pytest.approx(1, abs=1e-5)
    ctf = CTF.create(
        (defocus + astigmatism) * ratio,
        (defocus - astigmatism) * ratio,
        np.deg2rad(angle),
        voltage,
        cs * ratio**3,
        contrast,
        np.deg2rad(phase),
    )
    ours = ctf.evaluate(lattice.k, pixel_size)
    theirs = theirs.reshape(box, box).flatten()[lattice.pixels]
    assert float((ours - theirs).abs().max()) <= 1e-4  # their angles are float32


def test_signs_and_extremes():
    k = torch.tensor([[0.0, 0.0], [0.02, 0.0]], dtype=torch.float64)
    under = CTF.create(10_000.0).evaluate(k, 1.0)
    assert float(under[0]) == pytest.approx(0.1)  # positive: bright particles
    assert float(under[1]) > 0.1
    assert float(CTF.create(-10_000.0).evaluate(k, 1.0)[1]) < 0.1
    plate = CTF.create(0.0, phase_shift=np.pi / 2, amplitude_contrast=0.0).evaluate(k, 1.0)
    assert float(plate[0]) == pytest.approx(1.0)
    damped = CTF.create(10_000.0, b_factor=100.0, scale=0.5).evaluate(k, 1.0)
    assert float(damped[1] / under[1]) == pytest.approx(0.5 * np.exp(-25 * 0.02**2))
    # U lies along the astigmatism axis: at 0° along x
    x, y = CTF.create(12_000.0, 8_000.0).evaluate(torch.tensor([[0.02, 0], [0, 0.02]]).double(), 1.0)
    assert float(x) == pytest.approx(float(CTF.create(12_000.0).evaluate(k, 1.0)[1]))
    assert float(y) == pytest.approx(float(CTF.create(8_000.0).evaluate(k, 1.0)[1]))


def test_wavelength():
    """Textbook values, Å (Reimer & Kohl 2008, table 2.1)."""
    found = wavelength(torch.tensor([100.0, 200.0, 300.0], dtype=torch.float64))
    np.testing.assert_allclose(found.numpy(), [0.0370144, 0.0250793, 0.0196875], rtol=1e-5)


def test_batches():
    ctf = CTF.create(torch.linspace(5000, 20000, 6), astigmatism_angle=0.3)
    lattice = Lattice.disc(16)
    whole = ctf.evaluate(lattice.k, 3.0)
    assert whole.shape == (6, lattice.size)
    torch.testing.assert_close(ctf[2].evaluate(lattice.k, 3.0), whole[2])
    torch.testing.assert_close(ctf[torch.tensor([4, 1])].evaluate(lattice.k, 3.0), whole[[4, 1]])
    assert torch.equal(ctf.reshape(2, 3).evaluate(lattice.k, 3.0), whole.reshape(2, 3, -1))
    assert ctf[:0].evaluate(lattice.k, 3.0).shape == (0, lattice.size)
    assert ctf.to("cpu").shape == (6,)
    assert ctf.defocus_u.dtype == torch.float64
