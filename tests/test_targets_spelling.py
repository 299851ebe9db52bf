"""Addresses as they are given: what is taken leads to a public host, whoever reads it."""

import ipaddress
import socket
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import settings as effort
from hypothesis import strategies as st
from target_spellings import CLOSED, OPEN, SPELLINGS
from yarl import URL

from atlvs.errors import Rejected
from atlvs.targets import LONGEST, PRIVATE, checked_target, is_public


@pytest.mark.parametrize("address", CLOSED.values(), ids=CLOSED)
def test_an_address_that_is_nobodys_server_is_not_public(address: str):
    assert not is_public(address)


@pytest.mark.parametrize("address", OPEN)
def test_somebodys_server_is_public(address: str):
    assert is_public(address)


@effort(max_examples=2000)
@given(st.ip_addresses(v=4))
def test_an_address_inside_another_counts(inner: ipaddress.IPv4Address):
    packed = int(inner)
    expected = is_public(str(inner))
    for around in (
        ipaddress.IPv6Address(0xFFFF << 32 | packed),
        ipaddress.IPv6Address((0x64FF9B << 96) | packed),
        ipaddress.IPv6Address((0x2002 << 112) | packed << 80 | 1),
    ):
        assert is_public(str(around)) == expected
    assert inner.is_global or not expected


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/", "ftp://example.com/", "file:///etc/passwd", "javascript:alert(1)",
        "gopher://example.com/", "//example.com/", "example.com", "https:example.com",
        "https:/example.com", "https://", "https:///x", "http+unix://%2Frun%2Fdocker.sock/x",
        "https://user@example.com/", "https://user:secret@example.com/", "https://:@example.com/",
        "https://example.com:secret@127.0.0.1/", "https://127.0.0.1#@example.com/",
        "https://example.com\\@127.0.0.1/", "https://example.com\\.127.0.0.1/",
        "https://example.com/a b", "https://example.com/\n", "https://example.com/\r\nX-Evil: 1",
        "https://exam\tple.com/", "https://example.com/\x00", "https://example.com/\x7f", "\x01https://a.b/",
        " https://example.com/", "https://example.com/ü", "https://example.com:0/", "https://example.com:65536/",
        "https://example.com:-1/", "https://example.com:x/", "https://example.com:８０/", "",
        "https://example.com/" + "a" * LONGEST,
    ],
)  # fmt: skip
def test_what_is_no_address_of_a_hook_is_refused_without_repeating_it(url: str):
    with pytest.raises(Rejected) as refused:
        checked_target(url)
    for word in ("example", "127", "secret", "Evil", "passwd"):
        assert word not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://hooks.zapier.com/hooks/standard/1/secret", "hooks.zapier.com/…"),
        ("https://hooks.example.com:8443/?key=secret#secret", "hooks.example.com:8443/…"),
        ("HTTPS://Hooks.Example.COM/secret", "hooks.example.com/…"),
        ("https://a_b.example.com/", "a_b.example.com/…"),
        ("https://xn--bcher-kva.example/", "xn--bcher-kva.example/…"),
        ("https://example.com.", "example.com/…"),
        ("https://1.1.1.1/secret", "1.1.1.1/…"),
        ("https://[2606:4700:4700::1111]:8443/secret", "[2606:4700:4700::1111]:8443/…"),
        ("https://example.com/" + "a" * (LONGEST - 20), "example.com/…"),
    ],
)
def test_of_an_address_people_see_the_host(url: str, shown: str):
    assert checked_target(url) == shown


HOSTS = st.one_of(
    st.sampled_from(SPELLINGS + [f"[{one}]" for one in CLOSED.values() if ":" in one]),
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(lambda one: f"[{one}]"),
    st.ip_addresses(v=4).map(lambda one: str(int(one))),
    st.ip_addresses(v=4).map(lambda one: hex(int(one))),
    st.ip_addresses(v=4).map(lambda one: ".".join(f"0{part:o}" for part in one.packed)),
    st.ip_addresses(v=4).map(lambda one: f"[::ffff:{one}]"),
    st.from_regex(r"[0-9xXa-fA-F.]{1,20}", fullmatch=True),
    st.from_regex(r"[a-zA-Z0-9_.-]{1,30}", fullmatch=True),
    st.text(max_size=20),
)
ADDRESSES = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(["https://", "http://", "HTTPS://", "https:/", "https:\\\\", "//", ""]),
        st.sampled_from(["", "", "", "a@", "a:b@", "example.com#@", "example.com\\@", "x/@"]),
        HOSTS,
        st.sampled_from(["", ":443", ":8443", ":", ":0", ":99999", "%2e", ".", "\t", "?"]),
        st.one_of(st.just("/hook"), st.text(max_size=10)),
    ),
)


@effort(max_examples=5000, deadline=None)
@given(ADDRESSES | st.text(max_size=60))
@example("https://example.com:443/hook")
def test_nothing_that_is_taken_leads_to_an_address_that_is_closed(url: str):
    try:
        checked_target(url)
    except Rejected:
        return
    host = URL(url).host or ""  # as the client that posts reads it
    assert URL(url).scheme == "https"
    assert (URL(url).user, URL(url).password) == (None, None)
    assert same(host) == same(urlsplit(url).hostname or "")
    assert not host.rstrip(".").endswith(PRIVATE)
    for literal in literals(host):
        assert is_public(literal)


def same(host: str) -> str:
    """Without a choice of spelling."""
    host = host.rstrip(".")
    return str(ipaddress.IPv6Address(host)) if ":" in host else host


def literals(host: str) -> Iterator[str]:
    """The addresses that somebody reads this host as, without asking a name server."""
    with suppress(OSError):
        yield socket.inet_ntoa(socket.inet_aton(host.rstrip(".")))
    with suppress(OSError, UnicodeError):
        for *_, address in socket.getaddrinfo(host, 443, flags=socket.AI_NUMERICHOST):
            yield str(address[0])
