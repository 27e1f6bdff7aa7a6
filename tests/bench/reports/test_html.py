"""Documents as HTML: what is shown is the text itself, whatever it holds; pages hold all that they need."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from types import MappingProxyType

import pytest

from bench.reports.document import Bullets, Figure, Group, Heading, Item, Paragraph, Table, code, prose, strong
from bench.reports.html import as_data, filled, render
from bench.visible import visible

NASTY = "<script>alert(1)</script> & \"quoted\" 'too' </td> `a` *b*"


class Outline(HTMLParser):
    """The elements of a text, and the text in them."""

    VOID = ("img", "meta", "link", "br", "hr", "input")

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.seen, self.texts = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip():
            self.texts.append((self.open[-1] if self.open else "", data.strip()))


@pytest.mark.parametrize(
    ("block", "tags"),
    [
        (Heading(3, NASTY), ["h3"]),
        (Paragraph(NASTY), ["p"]),
        (Paragraph(code(NASTY)), ["p", "code"]),
        (Paragraph(prose("{}", NASTY)), ["p"]),
        (Bullets(NASTY, (Item(NASTY, (NASTY,)),)), ["p", "ul", "li", "ul", "li"]),
        (Table((NASTY, NASTY), (Group(NASTY, ((NASTY, NASTY),)),), caption=NASTY),
         ["div", "table", "caption", "thead", "tr", "th", "th", "tbody", "tr", "th", "tr", "th", "td"]),
    ],
)  # fmt: skip
def test_text_is_text_wherever_it_stands(block, tags):
    found = Outline(render([block]))
    assert [tag for tag, _ in found.seen] == tags
    assert {text for _, text in found.texts} == {NASTY}


def test_a_figure_has_its_caption_as_text_and_as_what_is_read_aloud():
    found = Outline(render([Figure(NASTY, 'figures/a"b.png')]))
    assert found.seen[1] == ("img", {"src": 'figures/a"b.png', "alt": NASTY})
    assert found.texts == [("figcaption", NASTY)]


def test_styles_headings_of_groups_and_numbers_keep_their_meaning():
    table = Table(("model", "score ↓"), (Group("", (("a", strong("1.0")),)), Group("Controls", (("b", "2.0"),))))
    text = str(render([table]))
    assert '<th scope="row">a</th><td class="number"><strong>1.0</strong></td>' in text
    assert '<th scope="rowgroup" colspan="2">Controls</th>' in text
    assert text.count('<th scope="col"') == 2
    assert text.count('<th scope="col">') == 1  # the other one is of numbers


def test_what_a_page_would_obey_is_seen():
    assert "<p>a␛b&lt;U+202E&gt;</p>" in str(render([Paragraph("a\x1bb\u202e")]))


def test_no_text_ends_the_data_and_all_of_it_comes_back():
    given = {"a": ["</script><!--", 1, None, 0.5, "\u202e"], "b": ("é",)}
    text = str(as_data(given))
    assert "<" not in text
    assert json.loads(text) == {"a": ["</script><!--", 1, None, 0.5, "<U+202E>"], "b": ["é"]}
    with pytest.raises(ValueError, match="not JSON compliant"):
        as_data({"a": float("nan")})


def test_no_character_that_a_page_would_obey_is_missed_in_data():
    """The quick look at the whole JSON must see what the slow one at each text does."""
    for number in range(0x2100):
        text = f"a{chr(number)}b"
        expected = {"text": visible(text), visible(text): 1}
        assert json.loads(str(as_data({"text": text, text: 1}))) == expected, hex(number)


def test_data_may_be_of_any_mapping_and_of_nothing_else():
    assert json.loads(str(as_data({"a": MappingProxyType({"b": 1, "c\u202e": MappingProxyType({})})}))) == {
        "a": {"b": 1, "c<U+202E>": {}}
    }
    with pytest.raises(TypeError, match="set is no type of JSON"):
        as_data({"a": {1}})


def test_a_page_obeys_its_own_style_and_script_alone():
    page = filled(
        "index.html.j2", ["index.css"], ["nodes.js", "page.js"],
        tasks=[], general=[(NASTY, render([Paragraph("x")]))], figures=[(NASTY, NASTY)], data=as_data({"tasks": []}),
        live=None, kernels=None,
    )  # fmt: skip
    found = Outline(page)
    (policy,) = [a["content"] for tag, a in found.seen if tag == "meta" and "http-equiv" in a]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    for tag, name in (("style", "style-src"), ("script", "script-src")):
        inside = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        (digest,) = re.findall(rf"{name} 'sha256-(.*?)'", policy)
        assert [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in inside] == [digest]
    assert [text for tag, text in found.texts if tag in ("summary", "a")][1:3] == [
        NASTY,
        "Figures, in files beside this page",
    ]
    assert not [a for _, a in found.seen if "src" in a or str(a.get("href", "")).startswith(("http", "//"))]
