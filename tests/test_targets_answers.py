"""What targets answer: endless, slow, garbled, lying. Nothing of it costs more than its own post."""

import asyncio
import gzip
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
from hostile_target import OK, Caller, Talk, Target, listening, saying, well

from atlvs.errors import IntegrationError, OutcomeUnknown, Unavailable
from atlvs.settings import settings
from blocks import targets

HEAD = b"HTTP/1.1 200 OK\r\n"
PATIENCE = 1.0  # seconds, in place of 40
READING = 0.3  # in place of 5
BOMB = gzip.compress(bytes(50_000_000))


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


async def endless_body(caller: Caller) -> None:
    await caller.request()
    await caller.say(HEAD + b"\r\n")
    await caller.endlessly(b"x" * 65_536)


async def endless_chunk(caller: Caller) -> None:
    await caller.request()
    await caller.say(HEAD + b"transfer-encoding: chunked\r\n\r\nffffffff\r\n")
    await caller.endlessly(b"x" * 65_536)


async def dripping_body(caller: Caller) -> None:
    await caller.request()
    await caller.say(HEAD + b"content-length: 1000\r\n\r\n")
    await caller.endlessly(b"x", 0.05)


async def dripping_head(caller: Caller) -> None:
    await caller.request()
    for byte in HEAD * 1000:
        await caller.say(bytes([byte]))
        await asyncio.sleep(0.05)


async def one_huge_header(caller: Caller) -> None:
    await caller.request()
    await caller.say(HEAD + b"x-huge: ")
    await caller.endlessly(b"x" * 65_536)


async def endless_headers(caller: Caller) -> None:
    await caller.request()
    await caller.say(HEAD)
    await caller.endlessly(b"x-more: and more\r\n" * 1000)


async def endless_continue(caller: Caller) -> None:
    await caller.request()
    await caller.endlessly(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)


async def endless_chunk_size(caller: Caller) -> None:
    await caller.request()
    await caller.say(HEAD + b"transfer-encoding: chunked\r\n\r\n")
    await caller.endlessly(b"0" * 65_536)


async def endless_trailers(caller: Caller) -> None:
    await caller.request()
    await caller.say(HEAD + b"transfer-encoding: chunked\r\n\r\n0\r\n")
    await caller.endlessly(b"x-more: and more\r\n" * 1000)


async def never(caller: Caller) -> None:
    await caller.request()
    await asyncio.sleep(60)


async def reset(caller: Caller) -> None:
    await caller.request()
    caller.reset()


async def hung_up(caller: Caller) -> None:
    del caller


async def early(caller: Caller) -> None:
    """An answer to a request that it does not read."""
    await caller.say(OK)
    await asyncio.sleep(60)


# The status counts, whatever follows it.
ACCEPTED: dict[str, Talk] = {
    "endless body": endless_body,
    "endless chunk": endless_chunk,
    "dripping body": dripping_body,
    "shorter than said": saying(HEAD + b"content-length: 1000\r\n\r\nshort"),
    "no reason": saying(b"HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n"),
    "HTTP/1.0": saying(b"HTTP/1.0 200 OK\r\n\r\nold"),
    "informed first": saying(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" + OK),
    "gzip bomb": saying(
        HEAD
        + b"connection: close\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(BOMB)
        + BOMB
    ),
    "says gzip, is none": saying(HEAD + b"content-encoding: gzip\r\ncontent-length: 2\r\n\r\nok"),
    "says br, is none": saying(HEAD + b"content-encoding: br\r\ncontent-length: 2\r\n\r\nok"),
}
UNKNOWN: dict[str, Talk] = {
    "dripping head": dripping_head,
    "one huge header": one_huge_header,
    "endless headers": endless_headers,
    "interim answers without end": endless_continue,
    "no answer": never,
    "reset": reset,
    "hung up": hung_up,
    "nothing": saying(b""),
    "garbage": saying(b"\x16\x03\x01\x00\xa5 no HTTP \r\n\r\n\x00\xff"),
    "another protocol": saying(b"220 mail.example.com ESMTP\r\n"),
    "half a head": saying(HEAD + b"content-type: te"),
    "no number": saying(b"HTTP/1.1 abc OK\r\n\r\n"),
    "a NUL in a header": saying(HEAD + b"x-nul: a\x00b\r\ncontent-length: 0\r\n\r\n"),
    "a negative length": saying(HEAD + b"content-length: -1\r\n\r\n"),
    "two lengths": saying(HEAD + b"content-length: 2\r\ncontent-length: 5\r\n\r\nok"),
}


# A status with nonsense behind it: whether it counts depends on what came together.
EITHER: dict[str, Talk] = {
    "endless size of a chunk": endless_chunk_size,
    "endless trailers": endless_trailers,
    "bad chunks": saying(HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\nxx"),
    "204 with a body": saying(b"HTTP/1.1 204 No Content\r\n\r\nbody"),
    "99": saying(b"HTTP/1.1 99 What\r\ncontent-length: 0\r\n\r\n"),
    "101": saying(b"HTTP/1.1 101 What\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"),
    "199": saying(b"HTTP/1.1 199 What\r\n\r\n"),
    "600": saying(b"HTTP/1.1 600 What\r\ncontent-length: 0\r\n\r\n"),
    "999": saying(b"HTTP/1.1 999 What\r\ncontent-length: 0\r\n\r\n"),
}


@pytest.mark.parametrize("talk", ACCEPTED.values(), ids=ACCEPTED)
async def test_a_status_counts_and_of_the_rest_little_is_read(talk: Talk):
    async with listening(talk) as target:
        began = monotonic()
        answer = await post(target)
        assert answer.status in (200, 204)
        assert len(answer.text) <= targets.READ
        assert "\x00" not in answer.text
        assert monotonic() - began < READING + 0.3
        assert target.sent < 20_000_000  # what a socket holds, not what they would send


@pytest.mark.parametrize("talk", UNKNOWN.values(), ids=UNKNOWN)
async def test_what_is_no_answer_leaves_the_outcome_unknown(talk: Talk):
    async with listening(talk) as target:
        began = monotonic()
        with pytest.raises(OutcomeUnknown) as unknown:
            await post(target)
        assert monotonic() - began < PATIENCE + 0.5
        assert target.sent < 20_000_000
        assert "secret" not in str(unknown.value)
        assert "127.0.0.1" not in str(unknown.value)


@pytest.mark.parametrize("talk", EITHER.values(), ids=EITHER)
async def test_a_garbled_answer_is_an_answer_or_none(talk: Talk):
    async with listening(talk) as target:
        began = monotonic()
        with suppress(OutcomeUnknown):
            assert (await post(target)).status in (99, 101, 199, 200, 204, 600, 999)
        assert monotonic() - began < PATIENCE + 0.5


async def test_interim_answers_hold_nobody_up():
    """They cost time of the process in which all others' posts are."""
    async with listening(endless_continue) as target:
        began = monotonic()
        with pytest.raises(OutcomeUnknown):
            await post(target)
        assert monotonic() - began < PATIENCE / 2


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
