"""How we reach a provider. The registry: a new provider adds one line here."""

from blocks.base import Connector
from blocks.sendgrid import SendGrid
from blocks.slack import Slack
from blocks.stripe import Stripe
from blocks.twilio import Twilio
from blocks.zapier import Zapier

CONNECTORS: dict[str, type[Connector]] = {
    "sendgrid": SendGrid,
    "slack": Slack,
    "stripe": Stripe,
    "twilio": Twilio,
    "zapier": Zapier,
}
