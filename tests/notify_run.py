"""A program that runs the flow `notify` in its own process, as a worker's would; tests end it."""

import asyncio
import os
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from flows.notify import notify

    asyncio.run(
        notify(
            type="task_due_soon",
            audience={"kind": "everyone"},  # pyright: ignore[reportArgumentType]
            data={"task_title": "Doors", "due_at": "2030-01-01T08:00:00+00:00"},
            channels=["sms", "email"],
            mode="first",
            dry_run=os.environ.get("DRY_RUN") == "1",
        )
    )
