"""Addresses from outside: which we take, and that nothing of ours is ever connected to."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from time import monotonic
from typing import Any
from uuid import uuid4

import pytest
from aiohttp.resolver import AsyncResolver
from hostile_target import Target, listening, well
from target_names import Names, connections_tried
from target_spellings import CLOSED, OPEN, PUBLIC, SPELLINGS

from atlvs.errors import IntegrationError, Misconfigured, Rejected, Unavailable
from atlvs.settings import settings
from atlvs.targets import checked_target
from blocks import targets
from tasks.triggers.subscribing import subscribe


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
    assert monotonic() - began < 4


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
