"""Answers that are none, or too much of one: by what is to become of the post."""

import asyncio
import gzip

from hostile_target import OK, Caller, Talk, saying

HEAD = b"HTTP/1.1 200 OK\r\n"
BOMB = gzip.compress(bytes(50_000_000))


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
