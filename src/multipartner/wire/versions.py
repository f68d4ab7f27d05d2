"""Which Graph API version answers (facts: graph-wire 6).

Served versions answer as themselves; released ones that expired are served as the oldest usable; anything else is unknown.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

RELEASED = (
    "v1.0",
    *(f"v2.{minor}" for minor in range(13)),
    *(f"v3.{minor}" for minor in range(4)),
    *(f"v{major}.0" for major in range(4, 27)),
)
"""Every version that was ever released, oldest first."""


def answering(served: Sequence[str]) -> Mapping[str, str]:
    """Map each acceptable version, as asked for, to the one that answers. `served` is oldest first."""
    expired = {version: served[0] for version in RELEASED if _key(version) < _key(served[0])}
    return MappingProxyType(expired | {version: version for version in served})


def _key(version: str) -> tuple[int, int]:
    major, minor = version[1:].split(".")
    return int(major), int(minor)
