"""The base class of all sections of the configuration file, and types that several sections share."""

from typing import Annotated, Literal

from msgspec import Struct

from dnsbridge.config.values import whole

Auto = Literal["auto"]
Port = Annotated[int, whole(1, 65535)]


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A mapping of the configuration file; every setting in it has a default."""
