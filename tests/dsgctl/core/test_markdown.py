"""Markdown of terms: what is refused when it is added, and what a page makes of it."""

import re
from itertools import pairwise

import pytest

from dsgctl.core import markdown, terms
from dsgctl.core.errors import Invalid
from dsgctl.core.validation import MAX_TEXT
from tests.dsgctl.core.builders import Run, refused

# What costs more than it is long: each piece is repeated up to the greatest length of a text.
HOSTILE = {
    "stars": "*",
    "underscores": "_",
    "brackets": "[",
    "pairs of brackets": "[]",
    "links that do not end": "[a](",
    "images that do not end": "![",
    "emphasis without end": "*a",
    "both kinds of emphasis": "*_",
    "emphasis in words": "a**b",
    "less-than": "<",
    "ampersands": "&",
    "backslashes": "\\",
    "backticks": "`a",
    "quotes in quotes": ">",
    "empty lines": "\n",
    "short lines": "a\n",
    "underlined lines": "a\n=\n",
    "headings": "# a\n",
    "rulers": "***\n",
    "lists": "* a\n",
    "numbers": "1.\n",
    "lists that never end": "- a\n\n",
    "lazy quotes": "> a\na\n",
    "code": "```\n",
    "tabs": "\t",
    "rows of a table": "|a|b|\n",
    "references": "[a]: https://a.example\n",
    "half references": "[a][",
    "tildes": "~\n",
}
# Short ones that become very long.
GROWING = {
    "one long address, referred to often": f"[a]: https://a.example/{'x' * 60_000}\n\n" + "[a] " * 4_000,
    "a table of many columns": "|".join("a" * 300) + "\n" + "|".join("-" * 300) + "\n" + "x\n" * 2_000,
}
USUAL = {
    "a licence": "# Terms\n\n"
    + "The data may be used by those who cite the *paper*, see [x](https://a.example).\n" * 1_000,
    "a table": "|a|b|c|\n|-|-|-|\n" + "|1|2|3|\n" * 500,
    "a long line": "word " * 19_000,
    "Hebrew": "תנאי שימוש\n\n" * 1_000,
}


@pytest.mark.parametrize("name", [*HOSTILE, *GROWING])
def test_text_that_costs_too_much_is_refused_when_it_is_added(run: Run, name: str) -> None:
    text = GROWING.get(name) or (HOSTILE[name] * MAX_TEXT)[:MAX_TEXT]
    with refused(Invalid, "text of the terms"):
        run(terms.add, "Terms", text)


@pytest.mark.parametrize("name", [*HOSTILE, *GROWING])
def test_text_that_costs_too_much_is_shown_as_it_was_typed(name: str) -> None:
    """It may come from another system, or from the sqlite3 shell."""
    text = GROWING.get(name) or (HOSTILE[name] * MAX_TEXT)[:MAX_TEXT]
    page = markdown.render(text)
    assert page.startswith("<pre>")
    assert len(page) < 7 * MAX_TEXT
    assert re.findall(r"<[^>]*>", page) == ["<pre>", "</pre>"]


@pytest.mark.parametrize("name", USUAL)
def test_ordinary_text_of_the_maximal_length_is_accepted(run: Run, name: str) -> None:
    assert len(USUAL[name]) <= MAX_TEXT
    run(terms.add, "Terms", USUAL[name])
    assert not markdown.render(USUAL[name]).startswith("<pre>")


@pytest.mark.parametrize("name", HOSTILE)
def test_the_html_of_accepted_text_is_bounded(name: str) -> None:
    """The longest text of each kind that is taken."""
    marks = len(re.findall(r"[\n\t*_\[\]!<>&|`~#=\\]", HOSTILE[name])) or 1
    page = markdown.render(HOSTILE[name] * (markdown.MAX_MARKS // marks))
    assert len(page) < markdown.MAX_HTML + MAX_TEXT


@pytest.mark.parametrize("top", [1, 2, 3])
@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("# a\n## b\n### c", [0, 1, 2]),
        ("### a\n# b", [0, 0]),
        ("## a\n#### b\n#### c\n## d", [0, 1, 1, 0]),
        ("###### a\n# b\n###### c\n## d", [0, 0, 1, 1]),
        ("a\n===\nb\n---\n", [0, 1]),
        ("# a\n## b\n### c\n#### d\n##### e\n###### f", [0, 1, 2, 3, 4, 5]),
    ],
)
def test_headings_skip_no_level(typed: str, shown: list[int], top: int) -> None:
    levels = [int(level) for level in re.findall(r"<h(\d)>", markdown.render(typed, top))]
    assert levels == [min(6, top + below) for below in shown]
    assert levels == [int(level) for level in re.findall(r"</h(\d)>", markdown.render(typed, top))]
    assert all(later - former <= 1 for former, later in pairwise(levels))


HARMFUL = {
    "script": "<script>alert(1)</script>",
    "handler": '<img src=x onerror="alert(1)">',
    "inline HTML": "a <b onclick=alert(1)>b</b>",
    "comment": "<!-- x -->",
    "javascript link": "[x](javascript:alert(1))",
    "javascript link, hidden": "[x](java&#x73;cript:alert(1))",
    "data link": "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "data image": "![x](data:image/png;base64,AAAA)",
    "image": "![x](https://attacker.example/x.png)",
    "autolink": "<javascript:alert(1)>",
    "reference": "[x][y]\n\n[y]: javascript:alert(1)",
    "local link": "[x](/logout)",
    "protocol-relative link": "[x](//attacker.example)",
    "file link": "[x](file:///etc/passwd)",
    "attribute": '[x](https://a.example "\\" onclick=alert(1) \\"")',
    "template": "{{!base}} % import os",
}


@pytest.mark.parametrize("name", HARMFUL)
def test_markdown_is_harmless(name: str) -> None:
    html = markdown.render(HARMFUL[name])
    tags = re.findall(r"<(/?[a-z0-9]+)([^>]*)>", html)
    assert {tag for tag, _ in tags} <= {"p", "/p", "a", "/a"}
    for _, attributes in tags:
        assert not attributes or re.fullmatch(r'( (href|title|target|rel)="[^"]*")+', attributes)
    assert all(url.startswith(("https://", "http://", "mailto:")) for url in re.findall(r'href="([^"]*)"', html))


def test_markdown_says_what_terms_need_to_say() -> None:
    html = markdown.render(
        "# One\n\n## Two\n\n- *a*\n- **b**\n\n[x](https://a.example) <b@a.example>\n\n|a|b|\n|-|-|\n|1|2|"
    )
    for part in (
        "<h2>One</h2>",
        "<h3>Two</h3>",
        "<li><em>a</em></li>",
        "<strong>b</strong>",
        "<td>1</td>",
        'href="https://a.example"',
        'href="mailto:b@a.example"',
        'rel="noopener noreferrer"',
    ):
        assert part in html
