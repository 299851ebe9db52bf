"""Slack's paces, and its wire: an incoming webhook's address is a secret that the audit must not show.

https://docs.slack.dev/apis/web-api/rate-limits
"""

from datetime import datetime
from urllib.parse import urlsplit

from blocks.wire import Answer, Pacer, Wire

POST = "post"  # the bucket of all messages of a workspace
# Calls a minute and method.
TIERS = {
    "auth.test": 300,
    "auth.revoke": 50,
    "chat.update": 50,
    "conversations.create": 20,
    "conversations.history": 50,
    "conversations.info": 50,
    "conversations.invite": 50,
    "conversations.list": 20,
    "conversations.open": 50,
    "conversations.replies": 50,
    "oauth.v2.access": 20,
    "users.list": 20,
    "users.lookupByEmail": 50,
}


class SlackWire(Wire):
    """The calls of one connection; each channel has a pace of its own."""

    def pace(self, bucket: str, per_second: float) -> str:
        """The same bucket, made with this rate if it is new."""
        if bucket not in self._pacers:
            self._pacers[bucket] = Pacer(self.connection, bucket, per_second)
        return bucket

    def _note(
        self,
        method: str,
        url: str,
        answer: Answer | None,
        outcome: str,
        started: datetime,
        took: float,
        waited: float,
    ) -> None:
        shown = without_secret(url)
        super()._note(method, shown, answer, outcome, started, took, waited)


def without_secret(url: str) -> str:
    """An address for the audit: the Web API's, or none of an incoming webhook's path."""
    at = urlsplit(url)
    return url if "/api/" in at.path else f"{at.scheme}://{at.netloc}/services"
