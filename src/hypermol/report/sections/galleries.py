"""Maps as projections and slices: the consensus, the half maps, and the states of the landscape."""

from __future__ import annotations

from hypermol.report.data import ReportData
from hypermol.report.density import telling_axis
from hypermol.report.markup import Section
from hypermol.report.pictures import contact_sheet


def maps_section(data: ReportData) -> Section | None:
    """Consensus and half maps."""
    if not data.maps:
        return None
    return Section("maps", "Maps", "".join(contact_sheet(series) for series in data.maps))


def states_section(data: ReportData) -> Section | None:
    """Maps at the centres of the clusters, or of the classes."""
    if data.states is None:
        return None
    lead = (
        "<p>The model's map at the centre of each cluster. Each centre is the z of a real particle, "
        "the one nearest to the mean of its cluster.</p>"
    )
    if data.landscape is not None and data.landscape.clusters.of_classes:
        lead = "<p>The map of each class. A particle counts for its most probable class.</p>"
    return Section("states", "States", lead + contact_sheet(data.states, telling_axis(data.states.maps)))
