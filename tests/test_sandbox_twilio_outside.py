"""The simulated Twilio and the outside: callbacks, replies, calls, lists, faults."""

from __future__ import annotations

import threading
import time
from collections import Counter
from pathlib import Path

import pytest
import requests
from published import vectors
from sandbox_client import Sandbox
from twilio_client import (
    NUMBER,
    PHONE,
    POOL,
    TwilioAccount,
    code_of,
    is_signed,
    params_of,
    until,
)
from webhook_listener import Listener

from deployments.sandbox.twilio.callbacks import signature

SAY = "<Response><Say>Evacuate hall 4</Say><Pause/><Say>Repeat</Say></Response>"


@pytest.fixture
def account(sandbox: Sandbox) -> TwilioAccount:
    return TwilioAccount(sandbox)


def test_signatures_agree_with_the_published_ones() -> None:
    cases = vectors("twilio")
    assert len(cases) == 9
    for case in cases:
        made = signature(case["secret"], case["url"], map(tuple, case.get("params", [])))
        without_port = signature(
            case["secret"], case["url"].replace(":1234", ""), map(tuple, case.get("params", []))
        )
        own = case["headers"]["X-Twilio-Signature"]
        if case["id"].endswith("-added") or case["id"] == "twilio-json-body-tampered":
            continue  # the receiver's side: another port, a body that does not fit its hash
        assert (own in (made, without_port)) is case["expect"], case["id"]


def test_status_callbacks_are_signed_over_the_url_as_called(
    account: TwilioAccount, listener: Listener
) -> None:
    url = f"{listener.url}?m=1&name=J%C3%BCrgen+x&blank="
    made = account.sent(StatusCallback=url + "#rc=2")
    came = listener.wait(3)
    assert Counter(params_of(body)["MessageStatus"] for body, _ in came) == Counter(
        ["queued", "sent", "delivered"]
    )
    for body, headers in came:
        params = params_of(body)
        assert params["MessageSid"] == params["SmsSid"] == made["sid"]
        assert headers["content-type"].startswith("application/x-www-form-urlencoded")
        assert is_signed(account.token, url, body, headers)
        assert not is_signed(account.token, listener.url, body, headers)
    assert len({headers["i-twilio-idempotency-token"] for _, headers in came}) == 3


def test_failed_callbacks_are_repeated_with_one_token(
    sandbox: Sandbox, account: TwilioAccount, listener: Listener
) -> None:
    sandbox.webhooks(backoff=0.02, drop_types=["message.queued", "message.sent"])
    listener.answer_with(500)
    account.act("phone", PHONE, fate="blocked")
    account.sent(StatusCallback=listener.url)
    (first, headers), (second, again) = listener.wait(2)
    assert first == second
    assert params_of(first)["ErrorCode"] == "30004"
    assert headers["i-twilio-idempotency-token"] == again["i-twilio-idempotency-token"]


def test_callbacks_come_twice_and_out_of_order(
    sandbox: Sandbox, account: TwilioAccount, listener: Listener
) -> None:
    sandbox.webhooks(paused=True)
    sids = [account.sent(StatusCallback=listener.url)["sid"] for _ in range(4)]
    account.final(sids[-1])
    sandbox.flush(account=account.sid, duplicate=1, shuffle=True)
    told = [params_of(body) for body, _ in listener.wait(24)]
    seen = Counter((each["MessageSid"], each["MessageStatus"]) for each in told)
    assert set(seen.values()) == {2}
    assert [each["MessageStatus"] for each in told if each["MessageSid"] == sids[0]] != sorted(
        [each["MessageStatus"] for each in told if each["MessageSid"] == sids[0]],
        key=["queued", "sent", "delivered"].index,
    )


def test_stop_covers_the_whole_messaging_service(
    account: TwilioAccount, listener: Listener
) -> None:
    wanted = [{"name": "hooked", "numbers": ["+14155552675"], "inbound_request_url": listener.url}]
    service = account.control("POST", "seed", services=wanted)["services"]["hooked"]
    account.act("reply", **{"from": PHONE, "to": "+14155552675", "body": " stop. "})
    ((body, headers),) = listener.wait(1)
    params = params_of(body)
    assert (params["Body"], params["FromCity"]) == (" stop. ", "")
    assert is_signed(account.token, listener.url, body, headers)
    assert code_of(account.send(MessagingServiceSid=service))[1] == 21610
    assert code_of(account.send(From="+14155552675"))[1] == 21610
    assert account.send().status_code == 201, "another number"
    assert account.control("GET", "opted_out") == {service: [PHONE]}
    assert [each["direction"] for each in account.messages()][1:] == ["outbound-reply", "inbound"]
    account.settings(advanced_opt_out=True)
    account.act("reply", **{"from": PHONE, "to": "+14155552675", "body": "START"})
    assert params_of(listener.wait(2)[1][0])["OptOutType"] == "START"
    assert account.send(MessagingServiceSid=service).status_code == 201


def test_ordinary_replies_stop_nothing(account: TwilioAccount) -> None:
    account.act("reply", **{"from": PHONE, "to": NUMBER, "body": "please stop by at eight"})
    assert account.send().status_code == 201
    assert account.control("GET", "opted_out") == {}


def test_pages_stay_put_while_messages_come(account: TwilioAccount) -> None:
    made = [account.sent(body=f"n{n}")["sid"] for n in range(5)]
    first = account("GET", "/Messages.json", {"PageSize": "2"}).json()
    account.sent(body="late")
    second = account("GET", first["next_page_uri"]).json()
    third = account("GET", second["next_page_uri"]).json()
    sids = [each["sid"] for page in (first, second, third) for each in page["messages"]]
    assert sids == made[::-1]
    assert third["next_page_uri"] is None
    assert (second["page"], second["start"], second["end"]) == (1, 2, 3)
    back = account("GET", second["previous_page_uri"]).json()
    assert back["messages"] == [account.message(sid) for sid in made[:2:-1]]
    assert code_of(account("GET", "/Messages.json", {"Page": "1"}))[1] == 21481


def test_lists_are_filtered_by_number_and_date(sandbox: Sandbox, account: TwilioAccount) -> None:
    for day in (1, 2, 3):
        sandbox.clock(now=f"2027-05-0{day}T23:59:59Z", frozen=True)
        account.sent(f"+1415555000{day}", body=f"day {day}")
        sandbox.clock(advance=0)
    account.act("lose", how="stuck")
    account.sent(body="not sent yet")

    def bodies(**filters: str) -> list[str]:
        asked = {name.replace("_", "<").replace("0", ">"): each for name, each in filters.items()}
        return [each["body"] for each in account.messages(**asked)]

    assert bodies() == ["not sent yet", "day 3", "day 2", "day 1"]
    assert bodies(To="+14155550002") == ["day 2"]
    assert bodies(DateSent="2027-05-02") == ["day 2"]
    assert bodies(DateSent0="2027-05-02") == ["day 3", "day 2"]
    assert bodies(DateSent_="2027-05-02") == ["day 2", "day 1"]
    assert bodies(DateSent0="2027-05-02T23:59:59Z", DateSent_="2027-05-03") == ["day 3", "day 2"]
    assert account("GET", "/Messages.json", {"DateSent": "soon"}).status_code == 400


def test_numbers_and_services_are_listed(account: TwilioAccount) -> None:
    numbers = account("GET", "/IncomingPhoneNumbers.json", {"PhoneNumber": NUMBER}).json()
    assert [each["phone_number"] for each in numbers["incoming_phone_numbers"]] == [NUMBER]
    services = account("GET", "/v1/Services").json()
    assert [each["sid"] for each in services["services"]] == [account.service]
    assert services["meta"]["key"] == "services"
    pool = account("GET", f"/v1/Services/{account.service}/PhoneNumbers").json()
    assert {each["phone_number"] for each in pool["phone_numbers"]} == set(POOL)
    assert code_of(account("GET", "/v1/Services/MG" + "0" * 32)) == (404, 20404)


def test_addresses_for_replies_are_set(sandbox: Sandbox, account: TwilioAccount) -> None:
    number, url = account.seeded["numbers"][NUMBER], "https://example.com/replies"
    # one number is not among what the description describes
    where = sandbox.base("twilio") + account.path(f"/IncomingPhoneNumbers/{number}.json")

    def post(**fields: str) -> requests.Response:
        return requests.post(where, fields, auth=(account.sid, account.token), timeout=30)

    assert post(SmsUrl=url).json()["sms_url"] == url
    assert post(FriendlyName="Crew").json()["sms_url"] == url
    assert post(SmsUrl="").json()["sms_url"] == ""
    assert code_of(post(SmsUrl="nowhere")) == (400, 21502)
    service = f"/v1/Services/{account.service}"
    asked = {"InboundRequestUrl": url, "UseInboundWebhookOnNumber": "true"}
    made = account("POST", service, asked).json()
    assert (made["inbound_request_url"], made["use_inbound_webhook_on_number"]) == (url, True)
    assert account("GET", service).json() == made


def test_call_reads_out_twiml_and_tells_of_its_progress(
    account: TwilioAccount, listener: Listener
) -> None:
    events = ["initiated", "ringing", "answered", "completed"]
    made = account.call(Twiml=SAY, StatusCallback=listener.url, StatusCallbackEvent=events)
    assert made["status"] == "queued"
    done = account.over(made["sid"])
    assert (done["duration"], done["price"]) == ("1", "-0.01400")
    assert account.control("GET", "heard")[0]["heard"] == ["Evacuate hall 4", "Repeat"]
    came = listener.wait(4)
    told = {int(params_of(body)["SequenceNumber"]): params_of(body) for body, _ in came}
    assert [told[n]["CallStatus"] for n in range(4)] == [
        "queued",
        "ringing",
        "in-progress",
        "completed",
    ]
    assert all(is_signed(account.token, listener.url, body, headers) for body, headers in came)


def test_call_asks_for_its_document_signed(account: TwilioAccount, listener: Listener) -> None:
    made = account.call(Url=listener.url + "?alert=7", Twiml=SAY)
    account.over(made["sid"])
    ((body, headers),) = listener.wait(1)
    assert params_of(body)["CallSid"] == made["sid"]
    assert is_signed(account.token, listener.url + "?alert=7", body, headers)
    assert account.control("GET", "heard")[0]["heard"] == [], "the address wins over the document"


def test_calls_that_come_to_nothing(account: TwilioAccount) -> None:
    assert code_of(account("POST", "/Calls.json", {"To": PHONE, "From": NUMBER}))[1] == 21205
    given = {"To": PHONE, "From": "+14155559999", "Twiml": SAY}
    assert code_of(account("POST", "/Calls.json", given))[1] == 21210
    for answers in ("busy", "no-answer"):
        account.act("phone", PHONE, answers=answers)
        done = account.over(account.call(Twiml=SAY)["sid"], answers)
        assert done["duration"] is None
    account.settings(ring=30)
    path = f"/Calls/{account.call(Twiml=SAY)['sid']}.json"
    until(lambda: account("GET", path).json()["status"], lambda each: each == "ringing")
    assert account("POST", path, {"Status": "completed"}).json()["status"] == "canceled"
    assert code_of(account("POST", path, {"Status": "canceled"}))[1] == 21220
    assert [each["status"] for each in account("GET", "/Calls.json").json()["calls"]] == [
        "canceled",
        "no-answer",
        "busy",
    ]


def test_too_many_at_once(sandbox: Sandbox, account: TwilioAccount) -> None:
    account.settings(concurrency=2, answer_seconds=0.3)
    answers: list[requests.Response] = []
    url = sandbox.base("twilio") + account.path("/Messages.json")

    def ask() -> None:
        answers.append(requests.get(url, auth=(account.sid, account.token), timeout=30))

    threads = [threading.Thread(target=ask) for _ in range(5)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    refused = [each for each in answers if each.status_code == 429]
    assert len(refused) == 3
    assert code_of(refused[0]) == (429, 20429)
    assert refused[0].headers["Twilio-Concurrent-Requests"] == "2"
    assert "Retry-After" not in refused[0].headers


def test_faults_in_twilios_own_words(sandbox: Sandbox, account: TwilioAccount) -> None:
    for kind, status, code in (("429", 429, 20429), ("500_before", 500, 20500)):
        sandbox.fault(kind, provider="twilio", method="POST", path="Messages", times=1)
        assert code_of(account.send()) == (status, code)
    assert account.control("GET", "count")["messages"] == 0
    page = "<html>Bad gateway</html>"
    sandbox.fault("status", provider="twilio", status=502, body=page, times=1)
    answer = requests.get(sandbox.base("twilio") + account.path(".json"), timeout=30)
    assert (answer.status_code, answer.text) == (502, page)
    sandbox.fault("500_after", provider="twilio", method="POST", times=1)
    assert code_of(account.send()) == (500, 20500)
    sandbox.fault("reset_after", provider="twilio", method="POST", times=1)
    with pytest.raises(requests.ConnectionError):
        account.send()
    assert until(account.counts, lambda each: each == {PHONE: 2}), "both were sent all the same"
    noted = sandbox.requests(provider="twilio", account=account.sid, fault="reset_after")
    assert noted[0]["params"]["To"] == PHONE


def test_accepted_and_lost(account: TwilioAccount) -> None:
    account.act("lose", how="stuck", times=1)
    account.act("lose", how="vanish", to="0124$")
    stuck, vanished, fine = account.sent(), account.sent("+14155550124"), account.sent()
    account.final(fine["sid"])
    assert account.message(stuck["sid"])["status"] == "queued"
    assert account("GET", f"/Messages/{vanished['sid']}.json").status_code == 404
    assert account.counts() == {PHONE: 1}
    account.act("lose")
    assert account.final(account.sent("+14155550124")["sid"])


def test_thousands_of_recipients_are_counted_cheaply(
    sandbox: Sandbox, account: TwilioAccount, tmp_path: Path
) -> None:
    account.control("POST", "seed", messages=20_000, days=10)
    started = time.monotonic()
    counts = account.counts()
    assert (len(counts), sum(counts.values())) == (980, 19_600)
    by_text = account.counts(by="body", to="+14155550007")
    assert set(by_text["+14155550007"].values()) == {1}
    assert len(account.messages(PageSize="1000")) == 1000
    assert time.monotonic() - started < 3
