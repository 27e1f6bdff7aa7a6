"""Documents as LaTeX: what is shown is the text itself, whatever it holds; and it compiles, where there is pdfLaTeX."""

import shutil
import subprocess

import pytest

from bench.reports.document import Bullets, Figure, Group, Heading, Item, Paragraph, Table, code, prose, strong, table
from bench.reports.latex import PREAMBLE, escape, float_of, render
from bench.reports.pages import leaderboard, summary
from bench.reports.pages.tables import ALL, as_latex, chosen

ASCII = "".join(map(chr, range(32, 127)))
SYMBOLS = "± × · − ≤ ≥ ∞ ° ² ³ µ α ↓ ↑ → ← ↳ † ‡ § – — … ‘’ “” ß æ Ø ł å ı é ñ ü ç š ő ą"
CHINESE = "床前明月光 / 疑是地上霜"
HOSTILE = (
    ASCII, SYMBOLS, CHINESE, "\\input{/etc/passwd}", "\\end{document}", "^^5cend{document}", "%", "}", "{", "$$",
    "a\\\\[1cm]", "[x] *", "--- '' ,, ?` !` <<", "\x1b[31m\u202e", "\ud800", "ﷺ क्षि 🙂", "", " ",
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a_b & 5 % of $1 #2", r"a\_b \& 5 \% of \$1 \#2"),
        ("~^\\{}", r"\textasciitilde{}\textasciicircum{}\textbackslash{}\{\}"),
        (
            '<a|b> "c" `d`',
            r"\textless{}a\textbar{}b\textgreater{} {\char34}c{\char34} \textasciigrave{}d\textasciigrave{}",
        ),
        ("--seeds 0", r"-{}-seeds 0"),
        ("a - b", "a - b"),
        ("[x] *", "{[}x{]} {*}"),
        ("1 ± 2 ↓ ↑ → †", r"1 $\pm$ 2 $\downarrow$ $\uparrow$ $\rightarrow$ \dag{}"),
        ("é ñ ü ß ø", r"\'{e} \~{n} \"{u} \ss{} \o{}"),
        ("a 床前 b", r"a \benchtext{床前}{U+5E8A U+524D} b"),
        ("a\n b\tc", "a b c"),
        ("\x1b", r"\benchtext{␛}{U+241B}"),
        ("\ud800", "U+D800"),
    ],
)
def test_nothing_has_a_meaning_and_nothing_is_lost(text, written):
    assert escape(text) == written


def test_blocks_keep_their_meaning():
    document = [
        Heading(1, "A_b"), Heading(2, "C"), Heading(4, "D"), Paragraph(prose("Run `{}`: *now* {}.", "a_b", "50 %")),
        Bullets("Why:", (Item("one", ("under",)), Item("two"))), Figure("of a_b", "figures/a_b.png"),
    ]  # fmt: skip
    text = render(document)
    for part in (
        r"\section{A\_b}", r"\subsection{C}", r"\paragraph{D}", r"Run \texttt{a\_b}: \emph{now} 50 \%.",
        "Why:\n\\begin{itemize}\n\\item one\n\\begin{itemize}\n\\item under\n\\end{itemize}\n\\item two\n",
        r"\includegraphics[width=\linewidth]{\detokenize{figures/a_b.png}}", r"\caption{of a\_b}",
    ):  # fmt: skip
        assert part in text, part
    assert render(document) == text


def test_a_table_has_rules_groups_units_below_names_and_minus_signs_in_numbers():
    shown = Table(
        ("model", "score ↓\nnats/token"),
        (Group("", (("mle-tuned", strong("-0.5 ± 0.1")),)), Group("Controls", (("b", "[-1, 2]"),))),
        caption="Scores",
    )
    assert float_of(shown, "Toy, smoke: scores", ["† none", "two"]).splitlines() == [
        r"\begin{table}[htbp]",
        r"\centering",
        r"\caption{Scores}",
        r"\label{tab:toy-smoke-scores}",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        r"\begin{tabular}{lr}",
        r"\toprule",
        r"model & \begin{tabular}[b]{@{}r@{}}score $\downarrow$ \\ {\footnotesize nats/token}\end{tabular} \\",
        r"\midrule",
        r"mle-tuned & \textbf{$-$0.5 $\pm$ 0.1} \\",
        r"\midrule",
        r"\multicolumn{2}{l}{\emph{Controls}} \\",
        r"b & {[}$-$1, 2{]} \\",
        r"\bottomrule",
        r"\end{tabular}}",
        r"\par\smallskip\parbox{\linewidth}{\footnotesize\raggedright \dag{} none\par",
        r"two}",
        r"\end{table}",
    ]


def test_only_tables_with_captions_float_and_their_labels_differ():
    plain, named = table(["a"], [["1"]]), table(["a"], [["1"]], caption="床 one")
    text = render([plain, named, named])
    assert text.count(r"\begin{center}") == 1
    assert text.count(r"\begin{table}") == 2
    assert [line for line in text.splitlines() if "label" in line] == [
        r"\label{tab:5e8a-one}",
        r"\label{tab:5e8a-one-2}",
    ]


PDFLATEX = pytest.mark.skipif(not shutil.which("pdflatex"), reason="NOT COMPILED: there is no pdflatex")


def compiled(folder, body):
    """The text of the pages that pdfLaTeX makes of a body, or what it complained of."""
    beginning, end = (
        ["\\documentclass{article}", PREAMBLE, "\\begin{document}"],
        ["last words", "\\end{document}"],
    )
    (folder / "page.tex").write_text("\n".join([*beginning, body, *end]), encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "page.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=60, check=False)
    log = done.stdout.decode(errors="replace")
    assert done.returncode == 0, log[-1500:]
    assert "Missing character" not in log
    if not shutil.which("pdftotext"):
        return None
    words = subprocess.run(
        ["pdftotext", "-layout", "page.pdf", "-"], cwd=folder, capture_output=True, check=True, timeout=60
    )
    return words.stdout.decode()


@PDFLATEX
def test_hostile_text_compiles_in_every_position(tmp_path):
    header, cells = [f"{number} {text}" for number, text in enumerate(HOSTILE)], list(HOSTILE)
    blocks = [block for text in HOSTILE for block in (Heading(4, f"x{text}"), Paragraph(text), Paragraph(code(text)))]
    document = [
        *blocks,
        Bullets("{", tuple(Item(text, (text,)) for text in HOSTILE)),
        table(header, [cells, cells[::-1]], left=3),
        *(
            Table(("a", "b"), (Group(text, ((text, strong(text)), (text, text))),), caption=f"x{text}")
            for text in HOSTILE
        ),
    ]
    shown = compiled(tmp_path, render(document))
    assert shown is None or all(
        words in shown for words in ("last words", "U+5E8A U+524D", "\\input{/etc/passwd}", "\\end{document}")
    )


@PDFLATEX
def test_tables_and_whole_pages_compile(results, tmp_path):
    body = as_latex(chosen(results, [ALL], steps=True))
    shown = compiled(tmp_path, body + render([*leaderboard.page(results), *summary.page(results)]))
    assert shown is None or all(words in shown for words in ("0.0120", "constant-reward", "no room", "last words"))
