"""How we reach a provider. The registry: a new provider adds one line here."""

from blocks.base import Connector
from blocks.stripe import Stripe
from blocks.twilio import Twilio

CONNECTORS: dict[str, type[Connector]] = {"stripe": Stripe, "twilio": Twilio}
