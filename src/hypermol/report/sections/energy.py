"""Free energies: how often each conformation is, once the blur of the estimates has been taken off."""

from __future__ import annotations

from hypermol.landscape import BENT_ENERGY, EnergyLandscape, energy_picture
from hypermol.report.data import ReportData
from hypermol.report.markup import Section, data_table, paragraph, percent, picture, text


def energy_section(data: ReportData) -> Section | None:
    """The free energy over the first components of z, and the populations of its states."""
    if data.landscape is None or data.landscape.energy is None:
        return None
    found = data.landscape.energy
    caution = paragraph(BENT_ENERGY) if BENT_ENERGY in data.landscape.notes else ""
    image = picture(energy_picture(found), "Free energy over the first principal components of z")
    body = (
        f"{caution}"
        f'<figure class="plain">{image}<figcaption>{text(_caption(found))}</figcaption></figure>'
        f"{data_table(('State', 'Particles in it', 'Standard error'), _rows(found)) if found.states.count > 1 else ''}"
        '<p class="note">Numbers with their error bars: landscape/free-energy.csv and landscape/states.csv.</p>'
    )
    return Section("energy", "Free energy", body)


def _caption(found: EnergyLandscape) -> str:
    return (
        f"Low where many particles are: -ln of their density, in kT at {found.temperature:g} K "
        f"(1 kT = {found.kcal_per_mol:.3f} kcal/mol). Each particle's own uncertainty has been taken off. Blank: next "
        "to nothing was seen there. Islands of a few particles are not states."
    )


def _rows(found: EnergyLandscape) -> list[tuple[int, str, str]]:
    pairs = zip(found.states.population, found.states.error, strict=True)
    return [(number, percent(share, 1), percent(error, 1)) for number, (share, error) in enumerate(pairs)]
