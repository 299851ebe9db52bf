"""The simulated Twilio: who may send what to whom, and what becomes of it."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from published import vectors_in
from sandbox_client import Sandbox
from twilio_client import NUMBER, PHONE, POOL, VERSION, TwilioAccount, code_of, until

from deployments.sandbox.twilio.segments import segments_of


@pytest.fixture
def account(sandbox: Sandbox) -> TwilioAccount:
    return TwilioAccount(sandbox)


def test_message_is_queued_then_delivered(account: TwilioAccount) -> None:
    made = account.sent(body="Türen offen")
    assert (made["status"], made["from"], made["num_segments"]) == ("queued", NUMBER, "1")
    assert made["price"] is made["date_sent"] is None
    seen = account.final(made["sid"])
    assert (seen["price"], seen["price_unit"]) == ("-0.00830", "USD")
    (got,) = account.received(to=PHONE)
    assert (got["body"], got["from"], got["sid"]) == ("Türen offen", NUMBER, made["sid"])


def test_messaging_service_chooses_later_and_stays_with_it(account: TwilioAccount) -> None:
    made = account.sent(MessagingServiceSid=account.service)
    assert (made["status"], made["from"], made["num_segments"]) == ("accepted", None, "0")
    chosen = account.final(made["sid"])["from"]
    assert chosen in POOL
    again = account.sent(MessagingServiceSid=account.service)
    assert account.final(again["sid"])["from"] == chosen
    asked = account.sent(MessagingServiceSid=account.service, From=POOL[1])
    assert account.final(asked["sid"])["from"] == POOL[1]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"to": ""}, 21604),
        ({"to": "4155550123"}, 21211),
        ({"to": "+1415555012"}, 21211),
        ({"to": "whatsapp:+14155550123"}, 21910),
        ({"to": NUMBER}, 21266),
        ({"body": ""}, 21602),
        ({"body": "x" * 1601}, 21617),
        ({"From": ""}, 21603),
        ({"From": "?"}, 21212),
        ({"From": "+14155559999"}, 21659),
        ({"From": "ACME"}, 21612),
        ({"MessagingServiceSid": "MG1"}, 21705),
        ({"MessagingServiceSid": "MG" + "0" * 32}, 21701),
        ({"StatusCallback": "nowhere"}, 21609),
        ({"StatusCallback": "https://my_host.example.com/"}, 21609),
        ({"ValidityPeriod": "36001"}, 21624),
        ({"MediaUrl": ["https://example.com/a.png"] * 11}, 21623),
        ({"ContentSid": "HX" + "0" * 32}, 21655),
        ({"ScheduleType": "fixed", "SendAt": "2030-01-01T00:00:00Z"}, 35118),
    ],
)
def test_messages_are_refused_with_the_services_codes(
    account: TwilioAccount, change: dict[str, Any], code: int
) -> None:
    answer = account.send(**change)
    assert code_of(answer) == (400, code)
    assert str(code) in answer.json()["more_info"]
    assert account.control("GET", "count")["messages"] == 0


def test_senders_have_to_fit(sandbox: Sandbox, account: TwilioAccount) -> None:
    other = TwilioAccount(sandbox, numbers=["+12125550000"])
    assert code_of(account.send(From="+12125550000"))[1] == 21660
    account.act("add_number", number="+12125550001", sms=False)
    assert code_of(account.send(From="+12125550001"))[1] == 21606
    by_service = {"MessagingServiceSid": account.service}
    assert code_of(account.send(From=NUMBER, **by_service))[1] == 21711
    for number in POOL:
        account.act("release_number", number)
    assert code_of(account.send(**by_service))[1] == 21704
    named = account.sent(to="+4915112345678", From="ACME")
    assert account.final(named["sid"])["from"] == "ACME"
    assert other.control("GET", "count")["messages"] == 0


def test_magic_numbers_of_test_credentials(sandbox: Sandbox) -> None:
    account = TwilioAccount(sandbox, test=True, services=[], numbers=[])
    base, valid = "+1500555000", "+15005550006"
    by_to = {"1": 21211, "2": 21612, "3": 21408, "4": 21610, "9": 21614}
    for last, code in by_to.items():
        assert code_of(account.send(base + last, From=valid))[1] == code
    for last, code in {"1": 21212, "7": 21606, "8": 21611, "5": 21606}.items():
        assert code_of(account.send(From=base + last))[1] == code
    for last, code in {"1": 21217, "2": 21214, "3": 21215, "4": 21216}.items():
        given = {"To": base + last, "From": valid, "Url": "https://example.com/twiml"}
        assert code_of(account("POST", "/Calls.json", given))[1] == code
    assert account.sent(From=valid)["status"] == "queued"
    assert account.control("GET", "count")["messages"] == 0
    assert code_of(account("GET", "/Messages.json")) == (403, 20008)


def test_who_may_call(sandbox: Sandbox, account: TwilioAccount) -> None:
    url = f"{sandbox.base('twilio')}{account.path('.json')}"
    refused = requests.get(url, timeout=30)
    assert code_of(refused) == (401, 20003)
    assert refused.headers["WWW-Authenticate"] == 'Basic realm="Twilio API"'
    assert code_of(account("GET", ".json", auth=(account.sid, "wrong"))) == (401, 20003)
    other = TwilioAccount(sandbox)
    assert code_of(account("GET", f"{VERSION}/{other.sid}.json")) == (401, 20003)
    seen = account("GET", ".json").json()
    assert (seen["status"], seen["type"], seen["auth_token"]) == ("active", "Full", account.token)


def test_standard_api_keys_do_not_see_the_account(account: TwilioAccount) -> None:
    wanted = [{"kind": "standard"}, {"kind": "main"}]
    made = account.control("POST", "seed", api_keys=wanted)["api_keys"]
    standard, main = ((each["sid"], each["secret"]) for each in made)
    assert code_of(account("GET", ".json", auth=standard)) == (401, 20003)
    assert account("GET", "/IncomingPhoneNumbers.json", auth=standard).status_code == 200
    assert account("GET", ".json", auth=main).status_code == 200
    account.act("revoke_key", standard[0])
    assert account("GET", "/Messages.json", auth=standard).status_code == 401


def test_tokens_are_rotated_and_accounts_suspended(account: TwilioAccount) -> None:
    new = account.act("new_token")["secondary_token"]
    assert account("GET", ".json", auth=(account.sid, new)).status_code == 200
    assert account("GET", ".json").status_code == 200
    account.act("promote_token")
    assert account("GET", ".json").status_code == 401
    account.token = new
    account.act("status", status="suspended")
    assert account("GET", ".json").json()["status"] == "suspended"
    assert code_of(account.send()) == (403, 20403)
    account.act("status", status="closed")
    assert account("GET", ".json").status_code == 401


def test_paths_methods_and_bodies(sandbox: Sandbox, account: TwilioAccount) -> None:
    missing = account("GET", "/Messages/SM" + "0" * 32 + ".json")
    assert code_of(missing) == (404, 20404)
    assert missing.headers["Twilio-Request-Id"].startswith("RQ")
    url, auth = sandbox.base("twilio") + account.path("/Messages"), (account.sid, account.token)
    assert requests.put(url + ".json", auth=auth, timeout=30).json()["code"] == 20004
    given = {"To": PHONE, "From": NUMBER, "Body": "x"}
    as_json = requests.post(url + ".json", json=given, auth=auth, timeout=30)
    assert code_of(as_json) == (400, 21604), "only forms have parameters"
    as_xml = requests.get(url, auth=auth, timeout=30)
    assert as_xml.headers["content-type"] == "application/xml"
    assert b"<Code>20404</Code>" in as_xml.content


def test_trials_regions_and_phones_that_are_refused(sandbox: Sandbox) -> None:
    account = TwilioAccount(sandbox, type="Trial", verified=[PHONE])
    assert code_of(account.send("+14155550199"))[1] == 21608
    assert account.sent()["body"].startswith("Sent from your Twilio trial account - ")
    account.settings(geo=["+1"])
    assert code_of(account.send("+4915112345678"))[1] == 21408
    account.act("phone", PHONE, refuse=21614)
    assert code_of(account.send())[1] == 21614


@pytest.mark.parametrize(
    ("phone", "status", "error"),
    [
        ({"fate": "landline"}, "undelivered", 30006),
        ({"fate": "unreachable"}, "undelivered", 30003),
        ({"fate": "filtered"}, "undelivered", 30007),
        ({"fate": "no_receipt"}, "sent", None),
    ],
)
def test_carriers_have_the_last_word(
    account: TwilioAccount, phone: dict[str, Any], status: str, error: int | None
) -> None:
    account.act("phone", PHONE, **phone)
    seen = account.final(account.sent()["sid"], status)
    assert (seen["status"], seen["error_code"]) == (status, error)
    assert until(account.counts, lambda each: each == ({} if error else {PHONE: 1})) is not None
    late = account.act("report", seen["sid"], status="undelivered", error=30008)
    assert late["error_message"] == "Unknown error"


def test_unregistered_senders_are_blocked(account: TwilioAccount) -> None:
    for number, error in (("+14155552679", 30034), ("+18335550100", 30032)):
        account.act("add_number", number=number, registered=False)
        made = account.sent(From=number)
        assert account.final(made["sid"], "undelivered")["error_code"] == error


def test_segments_agree_with_twilios_calculator(account: TwilioAccount) -> None:
    cases = [each for each in vectors_in("sms_segments.json")["cases"] if each["text"]]
    assert [segments_of(each["text"]) for each in cases] == [each["segments"] for each in cases]
    plain = account.sent(body="“quoted”" + "x" * 100)
    smart = account.sent(body="“quoted”" + "x" * 100, SmartEncoded="true")
    assert (plain["num_segments"], smart["num_segments"]) == ("2", "1")
    assert smart["body"].startswith('"quoted"')


def test_templates_are_filled(account: TwilioAccount) -> None:
    sid = "HX" + "a" * 32
    account.control("POST", "seed", templates={sid: "Hello {{1}}, {{2}}"})
    given = {"ContentSid": sid, "ContentVariables": '{"1": "Ada"}'}
    assert account.sent(body="", **given)["body"] == "Hello Ada, {{2}}"
    assert code_of(account.send(ContentSid=sid, ContentVariables="[]"))[1] == 21656


def test_queues_drain_at_the_pace_of_the_sender(sandbox: Sandbox, account: TwilioAccount) -> None:
    account.settings(scale=1)
    sandbox.clock(now="2027-03-01T12:00:00Z", frozen=True)
    made = [account.sent(f"+1415555{n:04}", body="x" * 161)["sid"] for n in range(3)]
    for passed, delivered in ((0, 1), (2, 2), (2, 3)):
        sandbox.clock(advance=passed)
        assert account.control("GET", "count").get("delivered") == delivered
    assert account.message(made[2])["date_sent"] == "Mon, 01 Mar 2027 12:00:04 +0000"


def test_full_queues_and_expired_messages(sandbox: Sandbox, account: TwilioAccount) -> None:
    account.settings(scale=1, queue_seconds=2)
    sandbox.clock(now="2027-03-02T12:00:00Z", frozen=True)
    answers = [account.send() for _ in range(4)]
    assert [each.status_code for each in answers] == [201, 201, 201, 400]
    assert code_of(answers[3])[1] == 21611
    by_service = {"MessagingServiceSid": account.service, "From": POOL[0]}
    late = [account.sent(**by_service) for _ in range(4)]
    sandbox.clock(advance=0)
    assert account.message(late[3]["sid"])["error_code"] == 30001
    hasty = account.sent(MessagingServiceSid=account.service, From=POOL[1], ValidityPeriod="1")
    account.settings(queue_seconds=60)
    impatient = account.sent(**by_service, ValidityPeriod="1")
    sandbox.clock(advance=5)
    assert account.message(hasty["sid"])["status"] == "delivered"
    assert account.message(impatient["sid"])["error_code"] == 30036


def test_scheduled_messages_wait_and_can_be_canceled(
    sandbox: Sandbox, account: TwilioAccount
) -> None:
    sandbox.clock(now="2027-03-03T12:00:00Z", frozen=True)
    given = {"MessagingServiceSid": account.service, "ScheduleType": "fixed"}
    for send_at in ("2027-03-03T12:04:59Z", "2027-04-08T12:00:00Z", "soon"):
        assert code_of(account.send(**given, SendAt=send_at))[1] == 35115
    first, second = (account.sent(**given, SendAt="2027-03-03T13:00:00Z") for _ in range(2))
    assert first["status"] == "scheduled"
    path = f"/Messages/{first['sid']}.json"
    assert account("POST", path, {"Status": "canceled"}).json()["status"] == "canceled"
    assert code_of(account("POST", path, {"Status": "canceled"})) == (409, 30410)
    sandbox.clock(advance=3600)
    assert account.message(second["sid"])["status"] == "delivered"
    assert account.counts() == {PHONE: 1}


def test_messages_can_be_blanked_and_deleted(account: TwilioAccount) -> None:
    sid = account.sent()["sid"]
    account.final(sid)
    assert account("POST", f"/Messages/{sid}.json", {"Body": ""}).json()["body"] == ""
    assert account("DELETE", f"/Messages/{sid}.json").status_code == 204
    assert account("GET", f"/Messages/{sid}.json").status_code == 404
    assert account.received()[0]["body"] == "Doors open", "it lies on the phone all the same"
