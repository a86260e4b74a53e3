"""A registry's address, `host:port`: whether it is this machine, and whether a URL is one of it."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

__all__ = ["is_here", "same_host"]


def same_host(url: str, base: str) -> bool:
    """Whether an address is of the registry itself; which of the two standard ports it has says nothing."""
    one, other = urlsplit(url), urlsplit(base)
    ports = [None if parts.port in {80, 443} else parts.port for parts in (one, other)]
    return one.hostname == other.hostname and ports[0] == ports[1]


def is_here(address: str) -> bool:
    """Whether `host:port` is this machine, by its name alone."""
    host = urlsplit(f"//{address}").hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
