"""What must not be posted where many can read it."""

from atlvs.errors import Rejected
from atlvs.notices import notice_type
from tasks.slack.people import is_channel


def check_private(type: str, address: str) -> None:
    """Rejected when a notification with a secret link would go to a channel."""
    if notice_type(type).secret and is_channel(address):
        text = f"{type} holds a secret: it goes to people only."
        raise Rejected("slack", text, code="private", field="channel")
