"""What targets answer: endless, slow, garbled, lying. Nothing of it costs more than its own post."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext
from time import monotonic

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hostile_answers import ACCEPTED, EITHER, HEAD, UNKNOWN, early, endless_continue
from hostile_target import OK, Caller, Talk, Target, listening, saying, well

from atlvs.errors import IntegrationError, OutcomeUnknown, Unavailable
from atlvs.settings import settings
from blocks import targets

PATIENCE = 2.0  # seconds, in place of 40
READING = 0.3  # in place of 5


@pytest.fixture(autouse=True)
async def hostile_targets_here(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """This machine may be posted to, and is not waited for as long as others."""
    monkeypatch.setenv("ATLVS_HOOKS_LOOPBACK", "1")
    monkeypatch.setattr(targets, "TIMEOUT", PATIENCE)
    monkeypatch.setattr(targets, "READING", READING)
    settings.cache_clear()
    yield
    await targets.close_targets()
    settings.cache_clear()


async def post(target: Target, body: bytes = b"{}", **headers: str) -> targets.Answered:
    return await targets.send("POST", target.url, body, headers)


@pytest.mark.parametrize("talk", ACCEPTED.values(), ids=ACCEPTED)
async def test_a_status_counts_and_of_the_rest_little_is_read(talk: Talk):
    async with listening(talk) as target:
        began = monotonic()
        answer = await post(target)
        assert answer.status in (200, 204)
        assert len(answer.text) <= targets.READ
        assert "\x00" not in answer.text
        assert monotonic() - began < READING + 1.5
        assert target.sent < 20_000_000  # what a socket holds, not what they would send


@pytest.mark.parametrize("talk", UNKNOWN.values(), ids=UNKNOWN)
async def test_what_is_no_answer_leaves_the_outcome_unknown(talk: Talk):
    async with listening(talk) as target:
        began = monotonic()
        with pytest.raises(OutcomeUnknown) as unknown:
            await post(target)
        assert monotonic() - began < PATIENCE + 2
        assert target.sent < 20_000_000
        assert "secret" not in str(unknown.value)
        assert "127.0.0.1" not in str(unknown.value)


@pytest.mark.parametrize("talk", EITHER.values(), ids=EITHER)
async def test_a_garbled_answer_is_an_answer_or_none(talk: Talk):
    async with listening(talk) as target:
        began = monotonic()
        with suppress(OutcomeUnknown):
            assert (await post(target)).status in (99, 101, 199, 200, 204, 600, 999)
        assert monotonic() - began < PATIENCE + 2


async def test_interim_answers_hold_nobody_up():
    """They cost time of the process in which all others' posts are."""
    async with listening(endless_continue) as target:
        began = monotonic()
        with pytest.raises(OutcomeUnknown):
            await post(target)
        assert monotonic() - began < PATIENCE


async def test_an_archive_is_never_unpacked():
    async with listening(ACCEPTED["gzip bomb"]) as target:
        await post(target)  # what is loaded once is not counted
        tracemalloc.start()
        answer = await post(target)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert most < 5_000_000
    assert answer.text.startswith("\x1f")
    assert b"accept-encoding: identity" in target.callers[0].head.lower()


async def test_an_answer_before_the_request_was_read_ends_the_post():
    async with listening(early) as target:
        began = monotonic()
        answer = await post(target, bytes(30_000_000))
        assert answer.status == 200
        assert monotonic() - began < PATIENCE


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_answer_and_not_a_way(status: int):
    async with listening(well) as inside:
        head = f"HTTP/1.1 {status} Go\r\nlocation: {inside.url}\r\nrefresh: 0; url={inside.url}\r\n"
        async with listening(saying(f"{head}content-length: 0\r\n\r\n".encode())) as target:
            answer = await post(target)
        assert answer.status == status
        assert inside.callers == []


async def test_an_answer_too_many_is_not_taken_for_the_next_posts():
    gone = b"HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n"
    async with listening(saying(OK + gone, stay=True)) as target:
        assert [(await post(target)).status for _ in range(4)] == [200] * 4


async def test_a_late_answer_is_not_taken_for_the_next_posts():
    async def late(caller: Caller) -> None:
        await caller.request()
        if len(target.callers) == 1:
            await asyncio.sleep(PATIENCE + 0.2)
            await caller.say(b"HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n")
        await caller.say(OK)

    async with listening(late) as target:
        with pytest.raises(OutcomeUnknown):
            await post(target)
        await asyncio.sleep(0.3)
        assert (await post(target)).status == 200


async def test_cookies_are_not_carried():
    head = HEAD + b"set-cookie: a=secret\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
    async with listening(saying(head)) as target:
        await post(target)
        await post(target)
        assert b"cookie" not in target.callers[1].head.lower()


async def test_a_header_with_a_line_break_never_leaves():
    async with listening(well) as target:
        with pytest.raises(IntegrationError):
            await post(target, evil="a\r\nx-injected: 1")
        assert all(b"x-injected" not in caller.head for caller in target.callers)


async def test_nobody_there_is_no_connection():
    async with listening(well) as target:
        pass
    with pytest.raises(Unavailable):
        await post(target)


def certificate(folder: Path, name: str, days: int = 1) -> SSLContext:
    """What a server shows that nobody vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    until = datetime.now(UTC) + timedelta(days=days)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(until - timedelta(days=30))
        .not_valid_after(until)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "server.pem").write_bytes(key.private_bytes(pem, *plain) + made.public_bytes(pem))
    context = SSLContext(PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return context


@pytest.mark.parametrize(("name", "days"), [("localhost", 1), ("localhost", -1), ("other", 1)])
async def test_a_certificate_that_nobody_vouches_for_gets_no_post(
    tmp_path: Path, name: str, days: int
):
    async with listening(well, certificate(tmp_path, name, days)) as target:
        with pytest.raises(Unavailable, match="certificate"):
            await targets.send("POST", f"https://localhost:{target.port}/x", b"{}", {})
        assert all(caller.head == b"" for caller in target.callers)
