"""The sandbox against SendGrid's own SDK and signature vectors."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import nullcontext
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from cryptography.exceptions import InvalidSignature
from published import vectors
from sandbox_client import Sandbox
from sendgrid_client import SENDER, WELCOME, Post, mail_to, new_key, verify
from sendgrid_description import check_answer, check_request
from webhook_listener import Listener

sendgrid = pytest.importorskip("sendgrid")
python_http_client = pytest.importorskip("python_http_client")
from python_http_client import exceptions  # noqa: E402
from sendgrid.helpers import mail as helpers  # noqa: E402
from sendgrid.helpers.eventwebhook import EventWebhook  # noqa: E402


@pytest.fixture
def post(sandbox: Sandbox) -> Post:
    return Post(sandbox.url)


class Answered:
    """What the SDK reads of an answer that was read already."""

    def __init__(self, status: int, body: bytes, headers: Any) -> None:
        self.status, self.body, self.headers = status, body, headers

    def getcode(self) -> int:
        return self.status

    def read(self) -> bytes:
        return self.body

    def info(self) -> Any:
        return self.headers


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every request and answer of the SDK is held against the description."""
    plain = python_http_client.Client._make_request

    def make_request(self: Any, opener: Any, request: Any, timeout: Any = None) -> Answered:
        parts = urlsplit(request.full_url)
        path, method = parts.path.removeprefix("/sendgrid"), request.get_method()
        try:
            answer = plain(self, opener, request, timeout=timeout)
        except exceptions.HTTPError as error:
            check_answer(method, path, error.status_code, error.body)
            raise
        body = answer.read()
        sent = json.loads(request.data) if request.data else None
        check_request(method, path, dict(parse_qsl(parts.query)), sent)
        check_answer(method, path, answer.getcode(), body)
        return Answered(answer.getcode(), body, answer.info())

    monkeypatch.setattr(python_http_client.Client, "_make_request", make_request)


@pytest.fixture
def client(post: Post, judged: None) -> Any:
    return client_for(post, post.key)


def client_for(post: Post, key: str) -> Any:
    made = sendgrid.SendGridAPIClient(key, host=post.base("sendgrid"))
    made.client.timeout = 10
    return made


def test_mails_of_the_sdk_arrive(client: Any, post: Post) -> None:
    template = post.sow(templates=[WELCOME])["templates"]["Welcome"]
    mail = helpers.Mail(from_email=(SENDER, "Doors"))
    mail.template_id = template
    for name in ("Ada", "Ben"):
        own = helpers.Personalization()
        own.add_to(helpers.To(f"{name.lower()}@example.org", name))
        own.dynamic_template_data = {"name": name, "seat": "A1"}
        own.add_custom_arg(helpers.CustomArg("atlvs_message_id", name))
        mail.add_personalization(own)
    answer = client.send(mail)
    assert (answer.status_code, answer.body) == (202, b"")
    assert answer.headers["X-Message-Id"]
    got = {each["recipient"]: each for each in post.ask("received")}
    assert got["ben@example.org"]["subject"] == "Hi Ben"
    assert got["ada@example.org"]["custom_args"] == {"atlvs_message_id": "Ada"}
    together = helpers.Mail(SENDER, ["a@example.org", "b@example.org"], "Hi", "text", "<b>html</b>")
    together.add_category(helpers.Category("door"))
    together.attachment = helpers.Attachment(
        helpers.FileContent("JVBERg=="), helpers.FileName("a.pdf"), helpers.FileType("pdf")
    )
    assert client.send(together).status_code == 202
    seen = post.ask("received", to="a@example.org")[0]
    assert (seen["to"], seen["attachments"]) == (["a@example.org", "b@example.org"], ["a.pdf"])
    assert client.send(mail_to("plain@example.org")).status_code == 202


@pytest.mark.parametrize(
    ("status", "raised"),
    [
        (400, exceptions.BadRequestsError),
        (401, exceptions.UnauthorizedError),
        (403, exceptions.ForbiddenError),
        (413, exceptions.PayloadTooLargeError),
        (415, exceptions.UnsupportedMediaTypeError),
        (429, exceptions.TooManyRequestsError),
        (500, exceptions.InternalServerError),
        (503, exceptions.ServiceUnavailableError),
        (504, exceptions.GatewayTimeoutError),
    ],
)
def test_faults_are_the_errors_of_the_sdk(
    client: Any, post: Post, status: int, raised: type[Exception]
) -> None:
    post.fault("status", provider="sendgrid", times=1, status=status)
    with pytest.raises(raised) as caught:
        client.send(mail_to("a@example.org"))
    error: Any = caught.value
    assert error.to_dict["errors"][0]["message"]
    if status == 429:
        assert error.headers["X-RateLimit-Reset"].isdigit()


def test_refusals_are_the_errors_of_the_sdk(client: Any, post: Post) -> None:
    with pytest.raises(exceptions.BadRequestsError) as caught:
        client.send(mail_to("no-address"))
    assert caught.value.to_dict["errors"][0]["field"] == "personalizations.0.to.0.email"
    with pytest.raises(exceptions.ForbiddenError):
        client.send(mail_to("a@example.org", **{"from": {"email": "me@example.net"}}))
    with pytest.raises(exceptions.UnauthorizedError):
        client_for(post, "None").client.scopes.get()
    with pytest.raises(exceptions.NotFoundError):
        client.client.templates._("d-nothing").get()
    with pytest.raises(exceptions.MethodNotAllowedError):
        client.client.mail.send.get()
    reader = new_key()
    post.tell("keys", new=reader, scopes=["templates.read"])
    with pytest.raises(exceptions.ForbiddenError):
        client_for(post, reader).send(mail_to("a@example.org"))


def test_lists_are_read_with_the_sdk(client: Any, post: Post) -> None:
    api = client.client
    post.sow(bounces=3, unsubscribes=["u@example.net"], templates=[WELCOME])
    assert "mail.send" in api.scopes.get().to_dict["scopes"]
    bounces = api.suppression.bounces.get(query_params={"limit": 2, "offset": 2}).to_dict
    assert len(bounces) == 1
    assert api.suppression.bounces._(bounces[0]["email"]).delete().status_code == 204
    assert len(api.suppression.bounces.get().to_dict) == 2
    assert api.suppression.unsubscribes.get().to_dict[0]["email"] == "u@example.net"
    found = api.templates.get(query_params={"generations": "dynamic", "page_size": 10}).to_dict
    assert [each["name"] for each in found["result"]] == ["Welcome"]
    group = api.asm.groups.post(request_body={"name": "News", "description": "All of it"}).to_dict
    left = api.asm.groups._(group["id"]).suppressions
    assert left.post(request_body={"recipient_emails": ["a@example.org"]}).status_code == 201
    assert left.get().to_dict == ["a@example.org"]
    assert api.asm.suppressions._("global").post(
        request_body={"recipient_emails": ["b@example.org"]}
    ).to_dict == {"recipient_emails": ["b@example.org"]}


def test_scheduled_mail_is_cancelled_with_the_sdk(client: Any, post: Post) -> None:
    batch = client.client.mail.batch.post().to_dict["batch_id"]
    later = int(post.clock(real=True)) + 3_600
    mail = mail_to("a@example.org", send_at=later, batch_id=batch)
    assert client.send(mail).status_code == 202
    stop = {"batch_id": batch, "status": "cancel"}
    assert client.client.user.scheduled_sends.post(request_body=stop).to_dict == stop
    assert post.ask("counts") == {}


def test_signatures_are_verified_by_the_sdk(client: Any, post: Post, listener: Listener) -> None:
    settings = client.client.user.webhooks.event.settings
    wanted = {"url": listener.url, "enabled": True, "processed": True, "delivered": True}
    made = settings.post(request_body=wanted).to_dict
    public_key = (
        settings.signed._(made["id"]).patch(request_body={"enabled": True}).to_dict["public_key"]
    )
    client.send(mail_to("a@example.org", "b@example.org"))
    ((body, headers),) = listener.wait(1)
    verifier = EventWebhook(public_key)
    signed = [
        headers[f"x-twilio-email-event-webhook-{name}"] for name in ("signature", "timestamp")
    ]
    assert verifier.verify_signature(body.decode(), *signed)
    assert not verifier.verify_signature(body.decode().replace("\r\n", "\n"), *signed)
    assert verifier.verify_signature(body.decode(), signed[0], "1") is False


def test_what_verifies_the_sandbox_agrees_with_the_vectors() -> None:
    known = vectors("sendgrid")
    assert Counter(vector["expect"] for vector in known) == {True: 2, False: 5}
    for vector in known:
        headers = {name.lower(): value for name, value in vector["headers"].items()}
        expected = nullcontext() if vector["expect"] else pytest.raises(InvalidSignature)
        with expected:
            verify(vector["public_key"], vector["body"].encode(), headers)
