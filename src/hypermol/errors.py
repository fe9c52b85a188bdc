"""The errors of hypermol: one small tree. Each message says which file, which field, what was expected,
what was found, and what to do."""


class HypermolError(Exception):
    """Base of every error that hypermol raises on purpose. The command line turns it into one message."""

    exit_status = 1


class DataError(HypermolError):
    """Input data (star, cs, mrcs, pdb, npz) is missing, malformed or physically impossible."""

    exit_status = 2


class ConventionError(DataError):
    """Input is well-formed but follows a convention that would be misread (unknown units, premultiplied CTF)."""


class ConfigError(HypermolError):
    """A setting, argument or composition of parts is not possible."""

    exit_status = 2


class ConvergenceError(HypermolError):
    """A computation could not go on; the last good state has been kept."""
