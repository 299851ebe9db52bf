"""Our own contents: every type becomes a mail that can be read, whatever is in its variables."""

from __future__ import annotations

from html.parser import HTMLParser
from time import perf_counter
from typing import Any

import pytest
from sendgrid_deliveries import SAMPLE

from atlvs.errors import Rejected
from atlvs.notices import TYPES, NoticeType
from tasks.sendgrid.handlebars import Unrenderable, rendered, rendered_apart
from tasks.sendgrid.letters import Letter, every_name, letter, source
from tasks.sendgrid.mail import MOST_SUBSTITUTED, attachment, fits, merged
from tasks.sendgrid.variables import is_link, money, variables

Json = dict[str, Any]
HOSTILE = {
    "markup": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "quotes": '"\' onmouseover=alert(1) x="',
    "handlebars": "{{reset_url}} {{{html}}} {{#each xs}}",
    "newlines": "one\r\nBcc: everybody@example.org\r\n\r\ntwo",
    "direction": "invoice\u202egpj.exe\u2066 \u2069",
    "emoji": "🎪" * 40,
    "long": "word " * 400,
    "controls": "a\x00b\x1ec\x07d\u2028e",
    "substitution": "-name- %name% -0-text-0- <%body%>",
}
VOID = {"meta", "br", "img", "link", "hr", "input"}


class Page(HTMLParser):
    """Collects text, tags and links, and checks that tags close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        assert not [name for name in given if name.startswith("on")]
        self.tags.append(tag)
        self.links += [given["href"] or ""] if tag == "a" else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def made(notice: NoticeType, subject: str | None = None, **own: Any) -> Letter:
    return letter(notice, variables(notice, SAMPLE | own), subject)


def html_of(one: Letter) -> str:
    return "".join(one.html)


@pytest.mark.parametrize("notice", TYPES.values(), ids=lambda one: str(one.type))
def test_every_type_is_a_mail(notice: NoticeType):
    one = made(notice, preferences_url="https://atlvs.test/preferences/x", first_name="Ada")
    page, text = Page(html_of(one)), "".join(one.text)
    assert one.subject
    assert "\n" not in one.subject
    assert "Hello Ada," in text
    assert "Hello Ada," in page.text
    assert page.tags.count("h1") <= 1
    target = SAMPLE["reset_url" if notice.type == "password_reset" else "url"]
    assert target in page.links
    assert target in text
    # Who is owed a mail is not asked whether they want it.
    linked = "https://atlvs.test/preferences/x" in page.links
    assert linked is not notice.transactional
    assert ("unsubscribe" in text) is not notice.transactional
    for required in notice.required - {"currency", "reset_url", "amount", "spent"}:
        if not required.endswith(("_at", "message")):
            assert str(SAMPLE[required]) in page.text, required


@pytest.mark.parametrize("notice", TYPES.values(), ids=lambda one: str(one.type))
def test_only_what_is_required_is_enough(notice: NoticeType):
    required = notice.required or {"message"}
    needed = {name: SAMPLE[name] for name in required}
    one = letter(notice, variables(notice, needed))
    page = Page(html_of(one))
    assert "None" not in page.text
    assert "Hello," in page.text
    for name in required:
        with pytest.raises(Rejected, match=name) as refused:
            variables(notice, {key: value for key, value in needed.items() if key != name})
        assert refused.value.field == name


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("notice", TYPES.values(), ids=lambda one: str(one.type))
def test_hostile_variables_stay_text(notice: NoticeType, kind: str):
    value = HOSTILE[kind]
    links = {"url", "reset_url"}
    own = dict.fromkeys({*SAMPLE, *notice.optional, "first_name"} - links, value)
    one = letter(notice, variables(notice, SAMPLE | own), value)
    page = Page(html_of(one))
    assert not {"script", "img", "iframe"} & set(page.tags)
    assert all(link.startswith("https://atlvs.test/") for link in page.links)
    assert not set("\r\n\x00\x1e\u202e\u2066\u2028") & set(one.subject)
    assert len(one.subject) <= 250
    whole = "".join([*one.html, *one.text])
    assert not set("\x00\x1e\x07\u202e\u2066\u2069") & set(whole)
    if kind in ("markup", "handlebars"):
        assert value in page.text
        assert value in "".join(one.text)


def test_times_and_amounts_are_for_people():
    notice = TYPES["event_reminder"]  # pyright: ignore[reportArgumentType]
    text = "".join(made(notice).text)
    assert "Friday, 1 May 2026, 19:00 CEST" in text
    invoice = TYPES["invoice_sent"]  # pyright: ignore[reportArgumentType]
    assert made(invoice).subject == "Invoice 2026-7 over 12,500.00 USD"
    assert money("about ten", "eur") == "about ten EUR"
    assert "in May" in "".join(made(notice, starts_at="in May").text)
    assert "17:00 UTC" in "".join(made(notice, time_zone="Nowhere/Else").text)


def test_only_links_lead_somewhere():
    for wrong in ("javascript:alert(1)", "https://a b", "data:text/html,x", "//x", "", None, 7):
        assert not is_link(wrong)
        one = made(TYPES["task_assigned"], url=wrong)  # pyright: ignore[reportArgumentType]
        assert Page(html_of(one)).links == []
    with pytest.raises(Rejected, match="reset_url"):
        made(TYPES["password_reset"], reset_url="javascript:x")  # pyright: ignore[reportArgumentType]


def test_digest_lists_what_it_holds():
    items = [
        {"title": f"Task <{n}>", "text": "x" * 400, "url": "https://atlvs.test/t"}
        for n in range(120)
    ]
    items = [*items, "?", {"title": "z", "url": "javascript:x"}]
    one = made(TYPES["task_assigned"], digest_items=items)  # pyright: ignore[reportArgumentType]
    page = Page(html_of(one))
    assert one.subject == "121 notifications"
    assert "Task <99>" in page.text
    assert "Task <100>" not in page.text
    assert "And 21 more." in page.text
    assert "* Task <0>: " + "x" * 299 + "… https://atlvs.test/t" in "".join(one.text)
    assert len(page.links) == 101
    with pytest.raises(Rejected, match="no items"):
        made(TYPES["task_assigned"], digest_items=[])  # pyright: ignore[reportArgumentType]


def test_letters_to_many_are_one_content_and_what_differs():
    notice = TYPES["task_assigned"]  # pyright: ignore[reportArgumentType]
    people: list[Json] = [
        {"first_name": "Ada", "preferences_url": "https://atlvs.test/p/1"},
        {"first_name": HOSTILE["substitution"], "preferences_url": "https://atlvs.test/p/2"},
        {"task_title": "<b>Another", "url": None},
    ]
    letters = [made(notice, **own) for own in people]
    shared, personal = merged(letters)
    bodies = {part["type"]: part["value"] for part in shared["content"]}
    assert list(bodies) == ["text/plain", "text/html"]
    for one, mine in zip(letters, personal, strict=True):
        text, page = bodies["text/plain"], bodies["text/html"]
        for tag, value in mine["substitutions"].items():
            text, page = text.replace(tag, value), page.replace(tag, value)
        assert (text, page) == ("".join(one.text), html_of(one))
        assert mine["subject"] == one.subject
        assert fits(mine)
    assert "Rig the lights" not in bodies["text/html"]
    assert "color-scheme" in bodies["text/html"]


def test_alike_letters_differ_in_nothing():
    notice = TYPES["announcement"]  # pyright: ignore[reportArgumentType]
    shared, personal = merged([made(notice)] * 3)
    assert personal == [{}, {}, {}]
    assert shared["subject"] == "Doors at eight"


def test_too_much_of_ones_own_does_not_fit():
    notice = TYPES["announcement"]  # pyright: ignore[reportArgumentType]
    _, personal = merged([made(notice), made(notice, message="🎪" * 2_000)])
    assert [fits(one) for one in personal] == [True, False]
    assert MOST_SUBSTITUTED < 10_000


def test_a_thousand_letters_take_a_moment():
    notice = TYPES["event_reminder"]  # pyright: ignore[reportArgumentType]
    people = [
        {"first_name": f"P{n}", "preferences_url": f"https://x.test/{n}"} for n in range(1_000)
    ]
    began = perf_counter()
    merged([made(notice, **own) for own in people])
    assert perf_counter() - began < 1.0


def test_contents_are_handlebars_that_sendgrid_takes():
    for name in every_name():
        parts = source(name).without_marks()
        for text in (parts.subject, parts.text, parts.html):
            assert "\x1e" not in text
            assert "{{!content}}" not in text
            rendered(text, {"digest_items": [{"title": "x"}], "shown": {}})


HELPERS = [
    ("{{#equals a b}}yes{{else}}no{{/equals}}", {"a": 1, "b": 1}, "yes"),
    ("{{#notEquals a b}}yes{{else}}no{{/notEquals}}", {"a": 1, "b": 1}, "no"),
    (
        "{{#greaterThan a 3}}more{{else equals a 3}}same{{else}}less{{/greaterThan}}",
        {"a": 3},
        "same",
    ),
    ("{{#lessThan a b}}yes{{/lessThan}}", {"a": 1, "b": 2}, "yes"),
    ("{{#and a b}}both{{else}}not{{/and}}", {"a": 1}, "not"),
    ("{{#or a b}}one{{/or}}", {"a": 1}, "one"),
    ('{{insert name "default=Guest"}}', {}, "Guest"),
    ('{{insert name "default=Guest"}}', {"name": "<b>"}, "&lt;b&gt;"),
    ("{{length xs}}", {"xs": [1, 2]}, "2"),
    (
        '{{formatDate at "MMMM DD, YYYY h:mm A" "-0800"}}',
        {"at": "2020-01-01T23:00:00Z"},
        "January 01, 2020 3:00 PM",
    ),
    ('{{formatDate at "YYYY"}}', {"at": "soon"}, "soon"),
    ("{{missing}}-{{a.b.c}}", {}, "-"),
    ("{{x}} {{{x}}}", {"x": "<i>"}, "&lt;i&gt; <i>"),
    ("{{#each xs}}{{@index}}{{this}}{{else}}none{{/each}}", {"xs": ["a", "b"]}, "0a1b"),
    ("{{#unless x}}no{{/unless}}", {}, "no"),
]


@pytest.mark.parametrize(("template", "data", "wanted"), HELPERS)
def test_sendgrids_helpers(template: str, data: Json, wanted: str):
    assert rendered(template, data) == wanted


@pytest.mark.parametrize(
    "template",
    [
        "{{#if a}}" * 20_000 + "{{/if}}" * 20_000,
        '{{#*inline "a"}}{{> a}}{{/inline}}{{> a}}',
        "{{#each @root.xs}}" * 8 + "x" + "{{/each}}" * 8,
        "{{#each @root.xs}}" * 3 + "x" * 100 + "{{/each}}" * 3,
        "{{" + "(eq " * 20_000 + "1 1" + ")" * 20_000 + "}}",
        "{{#if",
        "{{unknown x}}",
        "{{> elsewhere}}",
    ],
    ids=["deep", "itself", "loops", "large", "parentheses", "open", "helper", "partial"],
)
async def test_hostile_templates_come_to_an_end(template: str):
    began = perf_counter()
    with pytest.raises(Unrenderable):
        await rendered_apart({"html": template}, {"xs": list(range(100))})
    assert perf_counter() - began < 7


async def test_foreign_templates_see_nothing_of_ours():
    told = await rendered_apart(
        {"html": "{{constructor}}{{__class__}}{{@root.env.PATH}}{{lookup this 'x'}}"}, {"x": "y"}
    )
    assert told == {"html": "y"}


def test_attachments_are_files():
    good = {"filename": "../a\r\n/ticket\u202e.pdf", "content": "aGk=", "type": "application/pdf"}
    assert attachment(good)["filename"] == "ticket.pdf"
    for field, wrong in {
        "attachments.filename": good | {"filename": " "},
        "attachments.content": good | {"content": "no base64!"},
        "attachments.type": good | {"type": "text/html\r\nx: y"},
        "attachments": "file",
    }.items():
        with pytest.raises(Rejected) as refused:
            attachment(wrong)  # pyright: ignore[reportArgumentType]
        assert refused.value.field == field


def test_a_variable_called_items_is_no_digest():
    one = made(TYPES["invoice_sent"], items=[{"title": "Chairs"}, {"title": "Tables"}])  # pyright: ignore[reportArgumentType]
    assert one.subject == "Invoice 2026-7 over 12,500.00 USD"
    assert "Chairs" not in "".join(one.text)
