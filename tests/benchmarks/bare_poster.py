"""The bare road of a hook: one session, 64 posts on their way, and nothing is remembered.

No queue, order, pace, signature, log, retries or checks of where an address leads.

    python -m tests.benchmarks.bare_poster < task.json
"""

import asyncio
import json
import sys
from time import monotonic, process_time
from typing import Any

import aiohttp

IN_FLIGHT = 64


async def run(task: dict[str, Any]) -> dict[str, Any]:
    """Post each body to each target; what that took, without this program's start."""
    headers = {"content-type": "application/json"}
    posts = [(url, body.encode()) for body in task["bodies"] for url in task["targets"]]
    left = iter(posts)

    async def one_after_another(http: aiohttp.ClientSession) -> None:
        for url, body in left:
            async with http.post(url, data=body, headers=headers) as answer:
                answer.raise_for_status()
                await answer.read()

    began, cpu = monotonic(), process_time()
    jar = aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(cookie_jar=jar) as http:
        await asyncio.gather(*(one_after_another(http) for _ in range(IN_FLIGHT)))
    return {"posts": len(posts), "seconds": monotonic() - began, "cpu": process_time() - cpu}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(run(json.load(sys.stdin)))) + "\n")
