"""Addresses from outside: which we take, and that nothing of ours is ever connected to."""

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from time import monotonic
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from aiohttp.resolver import AsyncResolver
from hostile_target import Target, listening, well
from hypothesis import example, given
from hypothesis import settings as effort
from hypothesis import strategies as st
from target_names import Names, connections_tried
from yarl import URL

from atlvs.errors import IntegrationError, Misconfigured, Rejected, Unavailable
from atlvs.settings import settings
from atlvs.targets import LONGEST, PRIVATE, checked_target, is_public
from blocks import targets
from tasks.triggers.subscribing import subscribe

PUBLIC = "93.184.216.34"  # somebody's: it is never connected to here
CLOSED = {
    "private": "10.0.0.5",
    "private, 172": "172.16.31.9",
    "private, 192": "192.168.1.1",
    "loopback": "127.0.0.1",
    "loopback, elsewhere": "127.99.1.2",
    "loopback, IPv6": "::1",
    "nowhere": "0.0.0.0",  # noqa: S104  # connects to this machine
    "nowhere, IPv6": "::",
    "link-local: a cloud's metadata": "169.254.169.254",
    "link-local, IPv6": "fe80::1",
    "metadata, IPv6": "fd00:ec2::254",
    "unique local": "fc00::1",
    "site-local": "fec0::1",
    "carrier's": "100.64.1.1",
    "Alibaba's metadata": "100.100.100.200",
    "Oracle's metadata": "192.0.0.192",
    "documentation": "192.0.2.1",
    "documentation, 2": "198.51.100.7",
    "documentation, 3": "203.0.113.7",
    "documentation, IPv6": "2001:db8::1",
    "benchmarks": "198.18.0.1",
    "multicast": "224.0.0.1",
    "multicast, IPv6": "ff02::1",
    "reserved": "240.0.0.1",
    "broadcast": "255.255.255.255",
    "IPv4-mapped": "::ffff:127.0.0.1",
    "IPv4-mapped metadata": "::ffff:169.254.169.254",
    "IPv4-compatible": "::7f00:1",
    "IPv4-translated": "::ffff:0:7f00:1",
    "NAT64": "64:ff9b::7f00:1",
    "NAT64 of a private": "64:ff9b::a00:5",
    "NAT64 of a network's own": "64:ff9b:1::a00:5",
    "6to4": "2002:7f00:1::1",
    "6to4 of a private": "2002:c0a8:101::1",
    "Teredo": "2001:0:4136:e378:8000:63bf:80ff:fffe",
    "discard": "100::1",
    "segment routing": "5f00::1",
}
OPEN = [PUBLIC, "1.1.1.1", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]


@pytest.fixture(autouse=True)
def public_targets_only(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The switch is off."""
    monkeypatch.delenv("ATLVS_HOOKS_LOOPBACK", raising=False)
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.fixture(scope="module")
def name_server() -> Iterator[Names]:
    found = Names()
    yield found
    found.close()


@pytest.fixture
async def names(name_server: Names) -> AsyncIterator[Names]:
    """The session of hooks asks this name server."""
    name_server.forget()
    loop = asyncio.get_running_loop()
    targets._sessions[loop] = targets.open_session(resolver=name_server.resolver())
    yield name_server
    await targets.close_targets()


@pytest.fixture
async def inside() -> AsyncIterator[Target]:
    """A server of ours that nobody outside may reach."""
    async with listening(well) as target:
        yield target
        assert target.callers == []


@pytest.fixture
def tried() -> Iterator[list[tuple[Any, ...]]]:
    """What was connected to."""
    with connections_tried() as found:
        yield found


async def post(url: str) -> targets.Answered:
    return await targets.send("POST", url, b"{}", {"content-type": "application/json"})


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


@pytest.mark.parametrize("address", CLOSED.values(), ids=CLOSED)
async def test_a_name_that_leads_inside_is_refused_and_never_connected_to(
    names: Names, tried: list[tuple[Any, ...]], address: str
):
    name = names.leads("inside.example.com", [address])
    with pytest.raises(Rejected, match="not on the public internet"):
        await targets.resolved(name)
    with pytest.raises(Rejected, match="not on the public internet"):
        await post(f"https://{name}:8443/x")
    assert tried == []


@pytest.mark.parametrize("answers", [[PUBLIC, "10.0.0.5"], ["127.0.0.1", PUBLIC], [PUBLIC, "::1"]])
async def test_of_several_addresses_one_inside_is_enough_to_refuse(
    names: Names, answers: list[str]
):
    with pytest.raises(Rejected):
        await targets.resolved(names.leads("mixed.example.com", answers))


async def test_of_several_addresses_those_inside_are_not_connected_to(
    names: Names,
    inside: Target,
    tried: list[tuple[Any, ...]],
):
    closed = list(CLOSED.values())
    name = names.leads("many.example.com", closed)
    with pytest.raises(IntegrationError) as refused:
        await post(f"https://{name}:{inside.port}/x")
    assert refused.value.code == "target_refused"
    assert tried == []


async def test_an_allowed_address_among_others_is_the_only_one_connected_to(
    names: Names, monkeypatch: pytest.MonkeyPatch, tried: list[tuple[Any, ...]]
):
    monkeypatch.setenv("ATLVS_HOOKS_LOOPBACK", "1")
    settings.cache_clear()
    name = names.leads("mixed.example.com", ["10.0.0.5", "127.0.0.1", "169.254.169.254"])
    async with listening(lambda caller: caller.say(b"no TLS")) as target:
        with pytest.raises(IntegrationError):
            await post(f"https://{name}:{target.port}/x")
        assert [address[:2] for address in tried] == [("127.0.0.1", target.port)]


@pytest.mark.parametrize("later", ["127.0.0.1", "::ffff:127.0.0.1", "169.254.169.254"])
async def test_a_name_that_moves_inside_after_the_check_is_not_followed(
    names: Names, inside: Target, tried: list[tuple[Any, ...]], later: str
):
    name = names.leads("moves.example.com", OPEN[:3], [later])
    await targets.resolved(name)
    with pytest.raises(Rejected, match="not on the public internet"):
        await post(f"https://{name}:{inside.port}/x")
    assert set(names.asked.values()) == {2}  # for A and AAAA: once to check, once to connect
    assert tried == []


async def test_an_answer_over_tcp_counts_too(names: Names, tried: list[tuple[Any, ...]]):
    name = names.leads("long.example.com", ["10.0.0.5"])
    names.over_tcp.add(name)
    with pytest.raises(Rejected):
        await targets.resolved(name)
    with pytest.raises(Rejected):
        await post(f"https://{name}/")
    assert tried == []


async def test_an_unknown_name_may_become_known_later(names: Names, tried: list[tuple[Any, ...]]):
    await targets.resolved("nobody.example.com")
    with pytest.raises(Unavailable, match="not known") as refused:
        await post("https://nobody.example.com/secret")
    assert "secret" not in str(refused.value)
    assert "nobody" not in str(refused.value)
    assert tried == []


async def test_a_silent_name_server_does_not_hold_up_the_check(
    names: Names, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(targets, "RESOLVING", 0.5)
    names.silent.add(names.leads("silent.example.com", ["10.0.0.5"]))
    began = monotonic()
    await targets.resolved("silent.example.com")
    assert monotonic() - began < 1.5


@pytest.mark.parametrize("close", ["10.0.0.5", "127.0.0.1", "[::1]", "[fd00:ec2::254]"])
async def test_a_closed_address_is_not_connected_to_whoever_checked_it(
    monkeypatch: pytest.MonkeyPatch, tried: list[tuple[Any, ...]], close: str
):
    """The connection itself refuses: the check of the address before it is only the kinder word."""
    monkeypatch.setattr(targets, "checked_target", lambda *_, **__: "")
    try:
        with pytest.raises(Rejected, match="not on the public internet"):
            await post(f"https://{close}:8443/x")
        with pytest.raises(Rejected, match="not on the public internet"):
            await post(f"http://{close}:8443/x")
    finally:
        await targets.close_targets()
    assert tried == []


async def test_no_proxy_is_taken_from_the_environment(
    names: Names,
    inside: Target,
    monkeypatch: pytest.MonkeyPatch,
):
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, inside.url)
        monkeypatch.setenv(name.upper(), inside.url)
    with pytest.raises(Rejected):
        await post(f"https://{names.leads('inside.example.com', ['10.0.0.5'])}/")


def test_the_product_asks_the_machines_own_name_servers():
    async def resolver() -> Any:
        session = targets._session()
        try:
            return session.connector._resolver  # pyright: ignore
        finally:
            await targets.close_targets()

    assert isinstance(asyncio.run(resolver()), AsyncResolver)


SPELLINGS = [
    "127.0.0.1", "127.0.0.1.", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7F.0.0.1",
    "0177.0.0.1", "017700000001", "00127.0.0.1", "127.0.0.0x1", "0x7f.1", "127.0.0.1..",
    "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[0:0:0:0:0:0:0:1]",
    "[::1%25lo]", "[2606:4700:4700::1111%25lo]", "[2606:4700:4700::1111%lo]", "[127.0.0.1]", "[1.1.1.1]",
    "[::1%lo]", "[fe80::1%25eth0]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]",
    "localhost", "LOCALHOST", "localhost.", "a.localhost", "localhost.localdomain.local",
    "１２７.０.０.１", "127。0。0。1", "①②⑦.⓪.⓪.①", "%31%32%37.0.0.1", "loc%61lhost",
    "169.254.169.254", "2852039166", "metadata.google.internal", "db", "db.corp", "printer.local",
    "0", CLOSED["nowhere"], "[::]", "router.lan", "x.home.arpa", "a.onion", "intranet", "1.2.3", "1.2.3.4.5",
    "256.1.1.1", "0x", "a..example.com", ".example.com", "-a.example.com", "a-.example.com",
    "a" * 64 + ".example.com", ".".join(["a" * 49] * 6), "", "[", "[]", "[::1", "[v1.x]", "exa mple.com",
    "bücher.example", "münchen.de", "ex\u00adample.com", "example.com\u200b", "example。com",
]  # fmt: skip


@pytest.mark.parametrize("host", SPELLINGS)
async def test_a_host_that_is_ours_is_refused_however_it_is_spelt(
    names: Names, tried: list[tuple[Any, ...]], host: str
):
    for url in (f"https://{host}/x", f"https://{host}:8443/x", f"HTTPS://{host}?a#b"):
        with pytest.raises(Rejected) as refused:
            checked_target(url)
        assert refused.value.field == "target_url"
        with pytest.raises(Rejected):
            await subscribe(uuid4(), None, "contact.created", url)
        with pytest.raises(Rejected):
            await post(url)
    assert tried == []


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


def test_the_switch_is_refused_beside_a_public_address(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ATLVS_HOOKS_LOOPBACK", "1")
    for public in ("https://atlvs.example.com", "http://10.0.0.5:8080", "https://127.0.0.1.nip.io"):
        monkeypatch.setenv("PUBLIC_BASE_URL", public)
        settings.cache_clear()
        with pytest.raises(Misconfigured, match="ATLVS_HOOKS_LOOPBACK"):
            settings()
    monkeypatch.setenv("PUBLIC_BASE_URL", "http://127.0.0.1:8080")
    settings.cache_clear()
    assert settings().hooks_loopback
