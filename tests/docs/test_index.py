"""Pages can be found, and links lead somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def links(page: Path) -> list[tuple[Path, str]]:
    """The files that *page* links to, each with the heading that is meant; not those of the web, nor in code."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    found = [link.partition("#") for link in LINK.findall(text) if "://" not in link]
    return [((page.parent / file).resolve() if file else page, heading) for file, _, heading in found]


def headings(page: Path) -> set[str]:
    """What the headings of *page* are called in a link."""
    lines = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in lines}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """To a file that is there, and to a heading that it has."""
    lost = [
        (file.name, heading)
        for file, heading in links(page)
        if not file.exists() or (heading and heading not in headings(file))
    ]

    assert lost == []


def test_every_page_is_in_the_index() -> None:
    """Or in the index of its family, to which the index leads."""
    index = DOCS / "README.md"
    family = DOCS / "how-to" / "kits" / "README.md"
    told = {file for page in (index, family) for file, _ in links(page)} | {index}
    told |= set((DOCS / "samples").rglob("*.md"))  # what a test serves, described beside it

    assert sorted(str(page.relative_to(DOCS)) for page in set(DOCS.rglob("*.md")) - told) == []
