"""hypermol: from cryo-EM particle images to a moving molecule.

The rooms of the package, lowest floor first: kernels, imaging, networks, posteriors, maps, particles,
volumes, metrics, poses, conformations, objectives, reconstruction, simulation, runs, engine, methods,
landscape, validation, report, cli. A room imports only from itself and from lower floors.
"""

__version__ = "0.1.0"
