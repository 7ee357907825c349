"""Style sheets and templates of the pages."""

from __future__ import annotations

import pytest
from jinja2 import UndefinedError

from benchmark.report.templating import environment, text, weblink


def test_every_template_is_valid():
    found = environment().list_templates()
    assert {"page.html.j2", "check.html.j2"} <= set(found)
    for name in found:
        environment().get_template(name)


def test_a_name_that_a_page_does_not_have_is_an_error():
    with pytest.raises(UndefinedError):
        environment().from_string("{{ nothing }}").render()


def test_texts_are_escaped():
    assert environment().from_string("{{ name }}").render(name="<b>") == "&lt;b&gt;"


def test_style_sheets_are_there():
    assert "--ink" in text("style.css")
    assert ".pictures" in text("style.css")
    assert ".conditions" in text("check.css")


@pytest.mark.parametrize("address", ["javascript:alert(1)", "https://a b", None, 3])
def test_what_is_no_link(address):
    assert not weblink(address)
