"""Addresses that somebody outside gave us to post to: which we take, and where they may lead.

A name is checked again for each connection (`blocks/targets.py`): what it resolves to can change.
"""

import html
import ipaddress
import re
from collections.abc import Sequence
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from yarl import URL

from atlvs.errors import Rejected

LONGEST = 2_000
PRINTABLE = re.compile(r"[\x21-\x7e]+")
# In brackets an IPv6 address, without a zone, and nothing beside it: `urlsplit` drops what is there.
PLACE = re.compile(r"\[[0-9A-Fa-f:.]+\](:[0-9]*)?|[^\[\]%]*")
LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
NUMBER = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")  # 2130706433 and 0x7f.1 are addresses to some
TELLING = re.compile(r"(?=.*[0-9]).{6,}")  # a part of a path that may be what is secret in it
PRIVATE = ("localhost", "local", "internal", "home.arpa", "lan", "intranet", "corp", "onion")
# Networks that are not somebody else's server, beyond what every Python's `is_global` knows:
# https://www.iana.org/assignments/iana-ipv4-special-registry
CLOSED = [
    ipaddress.ip_network(text)
    for text in (
        *(
            "0.0.0.0/8",
            "100.64.0.0/10",
            "192.0.0.0/24",
            "192.88.99.0/24",
            "198.18.0.0/15",
            "240.0.0.0/4",
        ),
        *(
            "64:ff9b:1::/48",
            "100::/64",
            "2001::/23",
            "2001:db8::/32",
            "3fff::/20",
            "5f00::/16",
            "fec0::/10",
        ),
    )
]
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def checked_target(url: str, *, loopback: bool = False) -> str:
    """What people may see of the address. Rejected, with the reason and without the address, when we
    do not post there. `loopback`: this machine is allowed, and http to it (the demo and tests)."""
    parts = _parts(url)
    host = (parts.hostname or "").rstrip(".")
    local = loopback and is_loopback(host)
    if parts.scheme != "https" and not (local and parts.scheme == "http"):
        raise _refused("must begin with https://.")
    if "@" in parts.netloc:
        raise _refused("must hold no user name or password.")
    if not local:
        _check_host(host)
    port = f":{parts.port}" if parts.port else ""
    return f"[{host}]{port}/…" if ":" in host else f"{host}{port}/…"


def plainest(url: str) -> str:
    """The address as it is sent, of whose spellings there are many: with another one it would be another
    subscription, and have a limit of its own."""
    address = URL(url).with_fragment(None)
    return str(address.with_host((address.host or "").rstrip(".")))


def is_loopback(host: str) -> bool:
    """Whether it is this machine by its own word."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def is_public(address: str) -> bool:
    """Whether an IP address may be somebody else's server."""
    try:
        found: Address = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    inner = _embedded(found)
    if inner is not None:
        return is_public(str(inner))
    closed = any(found.version == network.version and found in network for network in CLOSED)
    return found.is_global and not (closed or found.is_multicast or found.is_reserved)


def without_address(text: str | None, url: str) -> str | None:
    """An answer from which nobody learns the address, nor the secret part of it."""
    if not text:
        return text
    parts = urlsplit(url)
    whole = [url, f"{parts.path}?{parts.query}" if parts.query else "", parts.path.rstrip("/")]
    inner = [*parts.path.split("/"), *(value for _, value in parse_qsl(parts.query))]
    found = {one for one in whole if len(one) > 3} | set(filter(TELLING.fullmatch, inner))
    found |= {unquote(one) for one in found}
    found |= {html.escape(one) for one in found}
    pieces = sorted(found, key=len, reverse=True)
    if not pieces:
        return text
    hidden = re.sub("|".join(map(re.escape, pieces)), "…", text, flags=re.IGNORECASE)
    return _without_beginning(hidden, pieces)


def _embedded(address: Address) -> Address | None:
    """The IPv4 address that an IPv6 address leads to."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo and address.teredo[1])


def _parts(url: str) -> SplitResult:
    if not 0 < len(url) <= LONGEST or not PRINTABLE.fullmatch(url) or "\\" in url:
        raise _refused(f"is no address: 1 to {LONGEST} printable characters without spaces.")
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  # raises when it is none
    except ValueError:
        raise _refused("is no address.") from None
    if not (parts.hostname and PLACE.fullmatch(parts.netloc)) or parts.port == 0:
        raise _refused("has no host.")
    return parts


def _check_host(host: str) -> None:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        _check_name(host)
        return
    if not is_public(host):
        raise _refused("is not on the public internet.")


def _check_name(host: str) -> None:
    labels = host.lower().split(".")
    if len(host) > 253 or not all(LABEL.fullmatch(label) for label in labels):
        raise _refused("has no host name.")
    if NUMBER.fullmatch(labels[-1]):
        raise _refused("has a host that is neither a name nor an IP address.")
    private = any(host.lower() == name or host.lower().endswith(f".{name}") for name in PRIVATE)
    if private or len(labels) < 2:
        raise _refused("is not on the public internet.")


def _refused(why: str) -> Rejected:
    return Rejected("hooks", f"the target {why}", code="target_refused", field="target_url")


def _without_beginning(text: str, pieces: Sequence[str]) -> str:
    """What is kept of an answer may end in the middle of the address."""
    for piece in pieces:
        for length in range(len(piece) - 1, 3, -1):
            if text.casefold().endswith(piece[:length].casefold()):
                return f"{text[:-length]}…"
    return text
