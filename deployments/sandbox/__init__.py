"""The outside world, simulated: strict, stateful services on loopback, with faults on demand.

It knows the services' public descriptions and nothing of this project; the project reaches it
through base URLs alone. `python -m deployments.sandbox stripe --port 4010`, then
`STRIPE_API_BASE=http://127.0.0.1:4010/stripe`.
"""

PROVIDERS = {
    "stripe": "deployments.sandbox.stripe.provider:StripeSandbox",
    "slack": "deployments.sandbox.slack.provider:SlackSandbox",
    "sendgrid": "deployments.sandbox.sendgrid.provider:SendGridSandbox",
    "twilio": "deployments.sandbox.twilio.provider:TwilioSandbox",
    "zapier": "deployments.sandbox.zapier.provider:ZapierSandbox",
}
