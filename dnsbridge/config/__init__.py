"""Settings from the configuration file and the flags: read, checked and explained."""

from dnsbridge.config.check import reaches, upstream_is_self
from dnsbridge.config.flags import Flags
from dnsbridge.config.load import Loaded, load
from dnsbridge.config.log import Log
from dnsbridge.config.problem import ConfigError, Problem
from dnsbridge.config.routes import Gateways, Routes
from dnsbridge.config.schema import Access, Cache, Cluster, Forward, Selector, Selectors, Settings, Source, Tcp
from dnsbridge.config.service_address import ServiceAddress
from dnsbridge.config.show import Effective, effective, schema, settings_table
from dnsbridge.config.values import PRIVATE, Address, StreamAddress, UnixSocket, read_server

__all__ = [
    "PRIVATE",
    "Access",
    "Address",
    "Cache",
    "Cluster",
    "ConfigError",
    "Effective",
    "Flags",
    "Forward",
    "Gateways",
    "Loaded",
    "Log",
    "Problem",
    "Routes",
    "Selector",
    "Selectors",
    "ServiceAddress",
    "Settings",
    "Source",
    "StreamAddress",
    "Tcp",
    "UnixSocket",
    "effective",
    "load",
    "reaches",
    "read_server",
    "schema",
    "settings_table",
    "upstream_is_self",
]
