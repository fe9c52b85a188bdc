"""The sections of the page, each one function: ReportData → Section, or None where there is nothing to show."""

from hypermol.report.sections.conformations import conformations_section
from hypermol.report.sections.coverage import coverage_section
from hypermol.report.sections.energy import energy_section
from hypermol.report.sections.galleries import maps_section, states_section
from hypermol.report.sections.latent import landscape_section
from hypermol.report.sections.leakage import leakage_section
from hypermol.report.sections.learning import learning_section
from hypermol.report.sections.local_resolution import local_resolution_section
from hypermol.report.sections.motion import motion_section
from hypermol.report.sections.overview import overview_section
from hypermol.report.sections.resolution import resolution_section
from hypermol.report.sections.settings import settings_section
from hypermol.report.sections.validation import validation_section

SECTIONS = (
    overview_section,
    motion_section,
    conformations_section,
    landscape_section,
    energy_section,
    states_section,
    validation_section,
    leakage_section,
    maps_section,
    resolution_section,
    local_resolution_section,
    coverage_section,
    learning_section,
    settings_section,
)
