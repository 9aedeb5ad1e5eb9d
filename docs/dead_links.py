"""Say which links of the built pages lead nowhere: ``python docs/dead_links.py FOLDER``.

Links within the pages are followed, to the anchor; those to elsewhere are not.
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """What a page links to, and the anchors that it has."""

    def __init__(self, path):
        super().__init__()
        self.links, self.anchors = set(), set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.links |= {attrs[name] for name in ("href", "src") if attrs.get(name)}
        self.anchors |= {attrs.get("id"), attrs.get("name")}


def dead_links(folder):
    """Yield each link that leads nowhere, with its page."""
    # The theme's templates lie in _static too.
    paths = [path for path in folder.rglob("*.html") if "_static" not in path.parts]
    pages = {path: Page(path) for path in paths}
    if not pages:
        yield f"{folder} must hold pages, got none"
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchor = unquote(parts.fragment).partition(":~:")[0]  # text to look for is none
            anchors = pages[target].anchors if target in pages else {anchor}
            if not target.is_file() or (anchor and anchor not in anchors):
                yield f"{path.relative_to(folder)}: {link}"


if __name__ == "__main__":
    sys.exit("\n".join(sorted(dead_links(Path(sys.argv[1]).resolve()))) or 0)
