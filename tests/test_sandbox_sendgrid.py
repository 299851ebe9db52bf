"""The sandbox's SendGrid over its socket: strict about keys, bodies and limits."""

from __future__ import annotations

import time
from typing import Any

import pytest
import requests
from sandbox_client import Sandbox
from sendgrid_client import SENDER, WELCOME, Post, errors_of, mail_to, new_key
from sendgrid_description import check_answer, check_request

DAY = 86_400


@pytest.fixture
def post(sandbox: Sandbox) -> Post:
    return Post(sandbox.url)


def test_judge_refuses_what_is_not_described() -> None:
    check_request("POST", "/v3/mail/send", {}, mail_to("a@example.org"))
    for wrong in (mail_to("a@example.org", bogus=1), {"from": {"email": SENDER}}):
        with pytest.raises(AssertionError):
            check_request("POST", "/v3/mail/send", {}, wrong)
    with pytest.raises(AssertionError, match="not described"):
        check_request("GET", "/v3/suppression/bounces", {"page": "1"}, None)
    with pytest.raises(AssertionError):
        check_answer("GET", "/v3/scopes", 200, b'{"scopes":"mail.send"}')
    with pytest.raises(AssertionError):
        check_answer("POST", "/v3/mail/send", 202, b"{}")


def test_mail_is_accepted_and_arrives(post: Post) -> None:
    answer = post.send("Ada@example.org", "ben@example.org", custom_args={"row": "7"})
    assert (answer.status_code, answer.content) == (202, b"")
    assert len(answer.headers["X-Message-Id"]) == 22
    got = post.ask("received", to="ada@example.org")[0]
    assert (got["subject"], got["text"], got["to"]) == (
        "Doors at eight",
        "See you.",
        ["Ada@example.org"],
    )
    assert got["message_id"].startswith(answer.headers["X-Message-Id"] + ".")
    assert got["custom_args"] == {"row": "7"}
    assert post.ask("counts") == {"ada@example.org": 1, "ben@example.org": 1}


def test_one_personalization_shows_its_recipients_to_each_other(post: Post) -> None:
    both = [{"email": "a@example.org"}, {"email": "b@example.org"}]
    post.send(personalizations=[{"to": both, "bcc": [{"email": "c@example.org"}]}])
    seen = {each["recipient"]: each["to"] for each in post.ask("received")}
    assert seen == {f"{who}@example.org": ["a@example.org", "b@example.org"] for who in "abc"}


def test_dynamic_template_is_rendered_and_what_is_missing_is_empty(post: Post) -> None:
    template = post.sow(templates=[WELCOME])["templates"]["Welcome"]
    assert template.startswith("d-")
    data = {"name": "Ada & Co", "vip": True}
    to = [{"to": [{"email": "a@example.org"}], "dynamic_template_data": data}]
    sent = post.send(personalizations=to, template_id=template, subject=None, content=None)
    assert sent.status_code == 202
    got = post.ask("received")[0]
    assert (got["subject"], got["html"]) == ("Hi Ada &amp; Co", "<p>VIP ")


def test_unknown_template_is_accepted_and_dropped(post: Post) -> None:
    template = "d-" + "0" * 32
    assert post.send("a@example.org", template_id=template).status_code == 202
    assert post.ask("messages")[0]["state"] == "dropped"
    assert post.ask("received") == []


def test_sandbox_mode_sends_nothing(post: Post) -> None:
    mode: Any = {"sandbox_mode": {"enable": True}}
    assert post.send("a@example.org", mail_settings=mode).status_code == 200
    assert post.ask("count")["messages"] == 0
    mode["sandbox_mode"]["enable"] = "true"
    refused = post.send("a@example.org", mail_settings=mode)
    message = "The sandbox mode enable param should be a boolean value."
    assert errors_of(refused) == [(400, "mail_settings.sandbox_mode.enable", message)]


DUPLICATE = [{"to": [{"email": "a@example.org"}], "cc": [{"email": "A@example.org"}]}]
CAN_NOT_BE: list[tuple[dict[str, Any], str | None, str]] = [
    ({"from": None}, "from.email", "The from object must be provided"),
    ({"from": {"email": "x"}}, "from.email", "The from email does not contain"),
    ({"personalizations": []}, "personalizations", "The personalizations field is required"),
    ({"personalizations": [{"to": []}]}, "personalizations.0.to", "The to array is required"),
    ({"personalizations": DUPLICATE}, "personalizations.0", "Each email address in the pers"),
    ({"subject": None}, "subject", "The subject is required"),
    ({"content": None}, "content", "Unless a valid template_id is provided"),
    ({"content": [{"type": "text/plain", "value": ""}]}, "content.0.value", "The content value"),
    ({"bogus": 1}, "(root)", "Additional property bogus is not allowed"),
    ({"subject": 7}, "subject", "The subject of your email must be a string"),
    ({"custom_args": {"n": 1}}, "custom_args", "All values of custom arguments object must"),
    ({"custom_args": {"n": "x" * 10_000}}, "personalizations.0.custom_args", "The combined size"),
    ({"categories": ["a", "a"]}, "categories", "The categories must be a unique list"),
    ({"categories": list("abcdefghijk")}, "categories", "There is a limit of 10 categories"),
    ({"categories": ["x" * 256]}, "categories", "Each category must not be longer"),
    ({"headers": {"Reply-To": "x"}}, "headers.Reply-To", "Header cannot be one of the reserved"),
    ({"send_at": int(time.time()) + 4 * DAY}, "send_at", "Scheduling more than 72 hours"),
    ({"batch_id": "nope"}, "batch_id", "The batch_id nope is not"),
    ({"asm": {"group_id": 5}}, "asm.group_id", "The ASM group ID must be a valid Group ID"),
    ({"template_id": "x"}, "template_id", "The template_id must be a valid GUID"),
    ({"ip_pool_name": "none"}, "ip_pool_name", "The IP Pool name must be a valid"),
    (
        {"attachments": [{"content": "!", "filename": "a.pdf"}]},
        "attachments.0.content",
        "The attachment content must be base64 encoded.",
    ),
    (
        {"content": [{"type": "text/html", "value": "x"}, {"type": "text/plain", "value": "x"}]},
        "content",
        "Following RFC 1341",
    ),
    (
        {"reply_to": {"email": SENDER}, "reply_to_list": [{"email": SENDER}]},
        "reply_to",
        "Only one of reply_to",
    ),
    (
        {"mail_settings": {"bypass_list_management": {"enable": True},
                           "bypass_spam_management": {"enable": True}}},
        "mail_settings.bypass_list_management",
        "bypass_list_management cannot be used",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "field", "message"), CAN_NOT_BE)
def test_mail_is_refused_in_the_service_words(
    post: Post, fields: dict[str, Any], field: str | None, message: str
) -> None:
    ((status, at, told), *_) = errors_of(post.send("a@example.org", **fields))
    assert (status, at, told[: len(message)]) == (400, field, message)
    assert post.ask("count")["messages"] == 0


def test_one_bad_address_refuses_the_whole_request_and_names_it(post: Post) -> None:
    refused = post.send("a@example.org", "no-address", "b@example.org", "c@d")
    assert errors_of(refused) == [
        (400, f"personalizations.{number}.to.0.email", "Does not contain a valid address.")
        for number in (1, 3)
    ]
    assert refused.json()["errors"][0]["help"].endswith("#message.personalizations.to")


def test_a_thousand_and_no_more(post: Post) -> None:
    people = [f"p{number}@example.org" for number in range(1_001)]
    assert post.send(*people[:1_000]).status_code == 202
    told = [message for _, _, message in errors_of(post.send(*people))]
    assert told[0].startswith("The personalization block is limited to 1000 personalizations")
    assert told[1].startswith("There is a limit of 1000 total recipients")
    (twice,) = errors_of(post.send("a@example.org", "A@example.org"))
    assert twice[2].startswith("Each unique email address in the personalizations array")


def test_substitutions_and_dynamic_data_do_not_mix(post: Post) -> None:
    to = {"to": [{"email": "a@example.org"}]}
    data = post.send(personalizations=[to | {"dynamic_template_data": {"a": 1}}])
    message = "The template_id is required when using dynamic templates"
    assert errors_of(data) == [(400, "template_id", message)]
    mixed = post.send(
        personalizations=[to | {"substitutions": {"-a-": "1"}}], template_id="d-" + "a" * 32
    )
    assert errors_of(mixed)[0][2] == "Substitutions may not be used with dynamic templating"
    plain = [to | {"substitutions": {"-who-": "Ada"}}]
    post.send(personalizations=plain, subject="Hi -who-")
    assert post.ask("received")[0]["subject"] == "Hi Ada"


def test_keys_rights_and_senders(post: Post) -> None:
    base = post.base("sendgrid") + "/v3/scopes"
    assert requests.get(base, timeout=30).json()["errors"][0]["message"] == "authorization required"
    wrong = "The provided authorization grant is invalid, expired, or revoked"
    unknown = post("GET", "scopes", key="SG.short.key")
    assert errors_of(unknown) == [(401, None, "authorization required")]
    assert errors_of(post("POST", "mail/send", {}, key="SG.short.key")) == [(401, None, wrong)]
    reader = new_key()
    post.tell("keys", new=reader, scopes=["templates.read"])
    assert post("GET", "scopes", key=reader).json() == {"scopes": ["templates.read"]}
    assert "mail.send" in post("GET", "scopes").json()["scopes"]
    refused = post("POST", "mail/send", mail_to("a@example.org"), key=reader)
    assert errors_of(refused) == [(403, None, "access forbidden")]
    stranger = post.send("a@example.org", **{"from": {"email": "me@example.net"}})
    assert errors_of(stranger)[0][:2] == (403, "from")
    assert post("GET", "scopes", on_behalf_of="east").status_code == 403
    post.sow(subusers=["east"])
    assert post("GET", "scopes", on_behalf_of="east").status_code == 200
    post.tell("act", action="revoke_key")
    assert errors_of(post.send("a@example.org")) == [(401, None, wrong)]


def test_standing_of_the_account(post: Post) -> None:
    assert [each["from_email"] for each in post("GET", "verified_senders").json()["results"]] == [
        SENDER
    ]
    steps = post("GET", "verified_senders/steps_completed").json()["results"]
    assert steps == {"sender_verified": True, "domain_verified": False}
    post.sow(domains=["example.net"])
    assert post("GET", "whitelabel/domains").json()[0]["domain"] == "example.net"
    mail = post.send("a@example.org", **{"from": {"email": "any@mail.example.net"}})
    assert mail.status_code == 202
    post.tell("settings", credits=1)
    told = errors_of(post.send("a@example.org", "b@example.org"))
    assert told == [(401, None, "Maximum credits exceeded")]
    post.act("suspend_account")
    assert post.send("a@example.org").status_code == 403


def test_other_paths_methods_and_contents(post: Post) -> None:
    assert errors_of(post("GET", "nothing")) == [(404, None, "not found")]
    assert errors_of(post("GET", "mail/send")) == [(405, None, "method not allowed")]
    url, headers = post.base("sendgrid") + "/v3/mail/send", {"Authorization": f"Bearer {post.key}"}
    form = requests.post(url, data={"a": "b"}, headers=headers, timeout=30)
    assert errors_of(form) == [(415, None, "Content-Type should be application/json.")]
    headers["Content-Type"] = "application/json"
    assert errors_of(requests.post(url, data=b"{", headers=headers, timeout=30)) == [
        (400, None, "Bad Request")
    ]
    huge = b'{"x":"' + b"x" * (30 * 1024 * 1024) + b'"}'
    assert requests.post(url, data=huge, headers=headers, timeout=20).status_code == 413


def test_limits_count_down_and_say_when_they_end(post: Post) -> None:
    headers = post("GET", "scopes").headers
    assert headers["X-RateLimit-Limit"] == "600"
    assert int(headers["X-RateLimit-Remaining"]) < 600
    post.limits("sendgrid", sends=2, caller=post.account)
    while (refused := post.send("a@example.org")).status_code == 202:
        pass
    assert errors_of(refused) == [(429, None, "too many requests")]
    assert refused.headers["X-RateLimit-Remaining"] == "0"
    time.sleep(max(0.0, int(refused.headers["X-RateLimit-Reset"]) - time.time()))
    assert post.send("a@example.org").status_code == 202
    post.limits("sendgrid", default=True)


def test_lists_of_suppressions_in_pages(post: Post) -> None:
    made = post.sow(bounces=1_203, spam_reports=["s@example.net"], days=10)
    assert (made["bounces"], made["spam_reports"]) == (1_203, 1)
    read: list[Any] = []
    while page := post("GET", "suppression/bounces", query={"offset": len(read)}).json():
        read += page
    assert (len(read), len({each["email"] for each in read})) == (1_203, 1_203)
    assert [each["created"] for each in read] == sorted(
        (each["created"] for each in read), reverse=True
    )
    since = read[99]["created"]
    window = {"start_time": since, "end_time": since + 20 * DAY, "limit": 500}
    assert len(post("GET", "suppression/bounces", query=window).json()) in range(100, 105)
    named = post("GET", "suppression/bounces", query={"email": "%25e120".replace("%25", "%")})
    assert {each["email"] for each in named.json()} == {
        f"bounce{number}@example.net" for number in (120, *range(1_200, 1_204))
    }
    assert errors_of(post("GET", "suppression/bounces", query={"limit": 501}))[0][:2] == (
        400,
        "limit",
    )
    assert post("DELETE", "suppression/bounces/bounce7@example.net").status_code == 204
    assert post("GET", "suppression/bounces/bounce7@example.net").json() == []
    assert post("DELETE", "suppression/bounces", {"delete_all": True}).status_code == 204
    assert post("GET", "suppression/bounces").json() == []
    assert post("GET", "suppression/spam_reports/s@example.net").json()[0]["ip"]


def test_templates_in_pages_and_legacy_by_default(post: Post) -> None:
    post.sow(templates=[WELCOME | {"name": f"T{number}"} for number in range(5)])
    assert post("GET", "templates", query={"page_size": 2}).json()["result"] == []
    asked, names = {"generations": "dynamic", "page_size": 2}, []
    while True:
        page = post("GET", "templates", query=asked).json()
        names += [each["name"] for each in page["result"]]
        if "next" not in page["_metadata"]:
            break
        asked["page_token"] = page["_metadata"]["next"].partition("page_token=")[2]
    assert names == [f"T{number}" for number in range(5)]
    assert errors_of(post("GET", "templates"))[0][0] == 400
    made = post("POST", "templates", {"name": "Own", "generation": "dynamic"}).json()
    version = post("POST", f"templates/{made['id']}/versions", {"name": "v1", "subject": "Yo"})
    assert version.json()["active"] == 1
    assert post("GET", f"templates/{made['id']}").json()["versions"][0]["subject"] == "Yo"
    assert post("PATCH", f"templates/{made['id']}", {"name": "New"}).json()["name"] == "New"
    assert post("DELETE", f"templates/{made['id']}").status_code == 204
    assert post("GET", f"templates/{made['id']}").status_code == 404
