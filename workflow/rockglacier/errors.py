"""What can go wrong, by name.

A message says what was found, what is needed and what to do about it; where a file is to
blame it names the file.
"""

from __future__ import annotations


class RockGlacierError(Exception):
    """Base of every error that this project raises on purpose."""


class ConfigurationError(RockGlacierError):
    """A setting is unknown, missing or out of bounds."""


class ManifestError(RockGlacierError):
    """Sources, locks or configuration are not those of a frozen manifest."""


class SceneError(RockGlacierError):
    """One scene, interferogram or raster cannot be used."""


class NetworkError(RockGlacierError):
    """The pairs do not form a network that can be inverted."""


class DisconnectedNetworkError(NetworkError):
    """The network falls into islands that no pair connects."""


class DimensionError(RockGlacierError):
    """An array lacks a dimension, or its grid differs from its partner's."""


class UnitsError(RockGlacierError):
    """An array states a unit other than the one a function needs."""
