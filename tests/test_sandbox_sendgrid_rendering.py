"""How the sandbox shows a dynamic template in the inbox."""

from __future__ import annotations

import pytest

from deployments.sandbox.sendgrid.rendering import render

DATA = {
    "name": "Ada & Co",
    "show": {"city": "Austin"},
    "vip": False,
    "seats": [{"row": "A"}, {"row": "B"}],
    "tags": ["x", "y"],
    "status": "paid",
}


@pytest.mark.parametrize(
    ("template", "shown"),
    [
        ("Hi {{name}}", "Hi Ada &amp; Co"),
        ("Hi {{{ name }}}", "Hi Ada & Co"),
        ("{{show.city}}{{show.zip}}{{nothing.at.all}}", "Austin"),
        ("{{#if vip}}VIP{{else}}all{{/if}}", "all"),
        ("{{#unless vip}}{{#if name}}yes{{/if}}{{/unless}}", "yes"),
        ("{{#each seats}}{{@index}}{{row}} {{/each}}", "0A 1B "),
        ("{{#each tags}}{{this}}{{/each}}{{#each none}}{{else}}-{{/each}}", "xy-"),
        ("{{#with show}}{{city}} {{@root.status}}{{/with}}", "Austin paid"),
        ('{{#equals status "paid"}}thanks{{else}}please{{/equals}}', "thanks"),
        ('{{insert nick "default=friend"}}', "friend"),
        ("{{! a remark }}{{vip}}", "false"),
        ("{{#if open", "{{#if open"),
    ],
)
def test_template(template: str, shown: str) -> None:
    assert render(template, DATA) == shown
