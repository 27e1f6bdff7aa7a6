"""Pages as data: renderers never let data look like anything else."""

import io
import re
from dataclasses import replace

import pytest
from markdown_it import MarkdownIt
from rich.console import Console
from rich.table import Table as RichTable

from bench.reports import markdown, terminal
from bench.reports.document import (
    Bullets,
    Figure,
    Group,
    Heading,
    Item,
    Paragraph,
    Span,
    Table,
    bullets,
    code,
    joined,
    prose,
    strong,
    table,
    text_of,
)


def test_prose_is_code_emphasis_and_what_it_is_filled_with():
    assert prose("In `{}`, *n* < {few}: {}", "a_b", "x|y", few="5") == (
        Span("In ", "own"), Span("a_b", "code"), Span(", ", "own"), Span("n", "emphasis"), Span(" < ", "own"),
        Span("5"), Span(": ", "own"), Span("x|y"),
    )  # fmt: skip


def test_prose_may_be_wrapped_and_filled_with_lines():
    assert prose("one\ntwo {}.", joined(", ", [code("a"), "b"])) == (
        Span("one two ", "own"), Span("a", "code"), Span(", "), Span("b"), Span(".", "own")
    )  # fmt: skip
    assert text_of(prose("one\ntwo {}.", "3")) == "one two 3."


def test_what_fills_a_sentence_is_not_read_as_one():
    assert prose("{}", "`x` *y* {z}") == (Span("`x` *y* {z}"),)


@pytest.mark.parametrize("template", ["half *", "half `code", "{ and", "`a` * b"])
def test_a_mark_that_is_not_closed_is_no_prose(template):
    with pytest.raises(ValueError, match="expected each mark to be closed"):
        prose(template)


PAGE = [
    Heading(1, "a_b: <x>"),
    Paragraph(prose("`n` < 5, *not* {}.", "a|b")),
    *bullets("Two:", ["one", Item(prose("{} (`{}`)", "*two*", "id"), ("# no heading", "1. none", ""))]),
    *bullets("", ["bare"]),
    *bullets("Nothing:", []),
    Table(("model", "x ↓"), (Group("", (("a|b", strong("1 ± 2")),)), Group("controls", (("c", "n/a"),)))),
    table(["a", "b"], [["x", "longer"]], left=2, caption="called"),
    Figure("one [x]", "figures/one.png"),
]


def test_markdown():
    assert markdown.render(PAGE) == (
        "# a_b: \\<x>\n\n"
        "`n` < 5, *not* a\\|b.\n\n"
        "Two:\n\n- one\n- \\*two\\* (`id`)\n  - \\# no heading\n  - 1\\. none\n  - \n\n"
        "- bare\n\n"
        "| model      |       x ↓ |\n| ---------- | --------: |\n| a\\|b       | **1 ± 2** |\n"
        "| *controls* |           |\n| c          |       n/a |\n\n"
        "called\n\n| a   | b      |\n| --- | ------ |\n| x   | longer |\n\n"
        "![one [x]](figures/one.png)\n"
    )


STRANGE = [
    *("*bold*", "`code`", "<b>", "a | b", "_x_", "snake_case_name", "\\", "~~gone~~", "&lt;b&gt; &amp; AT&T"),
    *(
        "[click](http://x)",
        "![i](http://x)",
        "$x_1$ costs $y$",
        "# head",
        "1. first",
        "- item",
        "> said",
        "mle[lr=0.1]",
    ),
]


def as_read(page):
    """The visible text of a Markdown page, as a reader of GitHub's dialect sees it, and what is not plain text."""
    text, marks = "", set()
    for token in MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(page):
        marks |= {token.type} if not token.type.startswith(("paragraph", "inline")) else set()
        for child in token.children or ():
            text += child.content
            marks |= {child.type} - {"text"}
    return text, marks


@pytest.mark.parametrize("text", STRANGE)
def test_markdown_shows_data_as_it_is(text):
    assert as_read(markdown.render([Paragraph(text)])) == (text, set())
    assert "$" not in markdown.render([Paragraph(text)]).replace("\\$", "")  # what GitHub shows as a formula
    shown, marks = as_read(markdown.render([table(["a"], [[text]]), *bullets("b", [text])]))
    assert (shown, {mark for mark in marks if not mark.startswith(("t", "bullet", "list"))}) == (
        f"a{text}b{text}",
        set(),
    )


@pytest.mark.parametrize("text", ["a|b", "a `b` c", "`", "``x", "<b>"])
def test_markdown_shows_code_as_it_is(text):
    shown, marks = as_read(markdown.render([table(["a"], [[code(text)]])]))
    assert shown == f"a{text}"
    assert "code_inline" in marks


def test_data_stays_in_its_line():
    assert markdown.render([Paragraph("one\n\n# two\t three")]) == "one # two three\n"


def shown(document, width=60, **more):
    console = Console(file=io.StringIO(), width=width, **more)
    console.print(terminal.render(document))
    return console.file.getvalue()


def test_terminal():
    lines = [line.rstrip() for line in shown(PAGE).splitlines()]
    assert lines == [
        "a_b: <x>", "n < 5, not a|b.", "Two:", "  one", "  *two* (id)", "  # no heading", "  1. none", "", "  bare",
        "model      x ↓", "──────────────", "a|b      1 ± 2", "", "controls", "c          n/a",
        "called", "a b", "────────", "x longer",
        "one [x]: figures/one.png",
    ]  # fmt: skip


@pytest.mark.parametrize("compact", [True, False])
@pytest.mark.parametrize("width", [20, 33, 47, 80])
def test_no_number_is_cut_where_a_terminal_is_narrow(width, compact):
    names = [f"metric_{number} ↓" for number in range(5)]
    rows = [[model, *(f"{seed}.{number}25 ± 0.{seed}75" for number in range(5)), "3"]
            for seed, model in enumerate(("mle", "seqgan"))]  # fmt: skip
    text = shown([replace(table(["model", *names, "n"], rows), compact=compact)], width)
    assert all(len(line) <= width for line in text.splitlines())
    words = text.split()
    for model, *cells, _ in rows:
        assert words.count(model) == words.count("model")  # beside every part
        for cell in cells:
            value, _, half = cell.split()
            assert value in words
            assert half in words or f"±{half}" in words


def test_a_terminal_shows_markup_of_its_own_as_it_is():
    assert shown([Paragraph("[bold]x[/bold]"), table(["a"], [["[red]y[/red]"]])]).count("[") == 4


def test_what_stands_out_is_bold():
    text = shown([table(["model", "x"], [["mle", strong("1.0")]])], force_terminal=True, color_system="standard")
    assert "\x1b[1m1.0\x1b[0m" in text


def test_a_compact_table_folds_names_and_no_numbers():
    lines = (("a-model-with-a-rather-long-name-to-fold", "1.00\n±0.25"),)
    text = shown([Table(("model", "jsd ↓\ntoken"), (Group("", lines),), compact=True)], width=40)
    assert "±0.25" in text
    assert max(map(len, text.splitlines())) < 30


def test_plain_text_is_for_pipes():
    assert terminal.plain([*bullets("worse:", ["one", "two"]), Paragraph(""), Paragraph(strong("red"))]) == (
        "worse:\n  one\n  two\n\nred"
    )
    assert terminal.plain([Bullets("", (Item("one"),))]) == "  one"


@pytest.mark.parametrize(
    "text", ["see http://x.org/a", "www.x.org", "_www.x.org_", "ftp://x", "[a]: http://x", "[x] y", "[ ] y", "==="]
)
def test_markdown_makes_no_links_of_data(text):
    for page in ([Paragraph(text)], [table(["a"], [[text]])], bullets("b", [text])):
        written = markdown.render(page)
        assert text in as_read(written)[0]
        assert not re.search(r"(?<!\\)://|www\.", written)  # of which GitHub would make links
        assert not re.search(r"^(?:- )?[\[=]", written, re.MULTILINE)  # boxes to tick, names of links, titles


def test_markdown_makes_no_mail_of_data():
    assert markdown.render([Paragraph("to a.b@x.org or @ 5")]) == "to a.b<!-- -->@x.org or @ 5\n"
    assert markdown.render([Paragraph("ask @octocat of #12")]) == "ask <!-- -->@octocat of #<!-- -->12\n"


@pytest.mark.parametrize("render", [markdown.render, terminal.plain, shown])
def test_what_a_terminal_would_obey_is_seen(render):
    text = render([Paragraph("a\x1b[2Jb\u202ec\x9bd"), table(["x"], [["\x1b]0;y\x07"]], caption="\x00")])
    assert not set("\x1b\x07\x00\x9b\u202e") & set(text)
    assert "a␛" in text
    assert "b<U+202E>c<U+009B>d" in text.replace("\\", "")


def test_a_screen_shows_strings_as_they_are(capsys):
    screen = terminal.Screen()
    screen.print("[bold]x\x1b[31m :smile:")
    grid = RichTable("a")
    grid.add_row("\x1b[31my")
    screen.print(grid)
    out = capsys.readouterr().out
    assert "[bold]x␛[31m :smile:" in out
    assert "␛[31my" in out
    assert "\x1b" not in out
