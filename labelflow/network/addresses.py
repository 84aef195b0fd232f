"""Which IP addresses are public: reachable from the internet, and so by Scale.

A private address reaches something else from each machine, such as a metadata service that gives out credentials.
"""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import unquote, urlsplit

# What `is_global` of some Python versions does not know: protocol assignments (a metadata service of Oracle's cloud),
# the former relays of 6to4, and the platform service of each virtual machine in Azure.
_NOT_PUBLIC = [ip_network(name) for name in ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32", "3fff::/20")]
_GLOBAL_UNICAST = IPv6Network("2000::/3")  # all that is assigned to networks on the internet
_NAT64 = IPv6Network("64:ff9b::/96")  # a gateway to the IPv4 address in the last 32 bits


class AddressRefused(Exception):
    """A host has an address that is not public."""

    def __init__(self, address: str) -> None:
        super().__init__(f"{address} is not a public address")
        self.address = address


def is_public(address: str) -> bool:
    """Whether an IP address is reachable from the internet. An IPv6 address that stands for an IPv4 one is as that.

    >>> is_public("8.8.8.8"), is_public("169.254.169.254"), is_public("::ffff:127.0.0.1")
    (True, False, False)
    """
    parsed = ip_address(address.partition("%")[0])  # without the name of the interface
    if isinstance(parsed, IPv6Address):
        embedded = _embedded_ipv4(parsed)
        return all(map(_is_public, embedded)) if embedded else parsed in _GLOBAL_UNICAST and _is_public(parsed)
    return _is_public(parsed)


def resolve(host: str, port: int) -> list[str]:
    """Return all IP addresses of a host, in the order of preference. Raises OSError if it has none."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError:  # a label that is empty, or has more than 63 characters
        raise socket.gaierror(socket.EAI_NONAME, "the name is not valid") from None
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def resolve_public(host: str, port: int) -> list[str]:
    """Return all IP addresses of a host. Raises AddressRefused if one of them is not public; OSError as `resolve`.

    All of them: whoever fetches from this host later may choose any.
    """
    addresses = resolve(host, port)
    for address in addresses:
        if not is_public(address):
            raise AddressRefused(address)
    return addresses


def check_literal(url: str) -> None:
    """Raise AddressRefused if the host of a URL is a private IP address in any notation, or this machine by name.

    For requests through a proxy, which resolves all other names itself.
    """
    host = unquote(urlsplit(url).hostname or "").rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        raise AddressRefused(host)
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return
    for *_, address in found:
        if not is_public(str(address[0])):
            raise AddressRefused(str(address[0]))


def is_private_host(url: str) -> bool:
    """Whether the host of a URL has an address that is not public. A host that cannot be resolved has none."""
    try:
        parts = urlsplit(url)
        return not all(map(is_public, resolve(parts.hostname or "", parts.port or 0)))
    except (OSError, ValueError):
        return False


def is_loopback(url: str) -> bool:
    """Whether the host of a URL is this machine.

    >>> is_loopback("http://127.0.0.1:4020/v1")
    True
    """
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def has_credentials(url: str) -> bool:
    """Whether a URL has a user name or a password before its host."""
    try:
        return "@" in url and "@" in urlsplit(url).netloc
    except ValueError:  # no client can fetch it
        return False


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if not address.is_global or address.is_multicast:
        return False
    return not any(address in network for network in _NOT_PUBLIC if network.version == address.version)


def _embedded_ipv4(address: IPv6Address) -> tuple[IPv4Address, ...]:
    """The IPv4 addresses to which packets for an IPv6 address are sent; none for most addresses."""
    if address.ipv4_mapped:
        return (address.ipv4_mapped,)
    if address.sixtofour:
        return (address.sixtofour,)
    if address.teredo:
        return address.teredo
    return (IPv4Address(address.packed[-4:]),) if address in _NAT64 else ()
