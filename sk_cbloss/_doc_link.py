"""Where the HTML representation of an estimator finds its page of the documentation."""

from functools import cache
from importlib.metadata import PackageNotFoundError, metadata

import sk_cbloss


@cache
def address():
    """Return where the documentation is published, by the installed package; None if nowhere."""
    try:
        links = metadata("sk-cbloss").get_all("Project-URL", [])
    except PackageNotFoundError:
        return None
    named = dict(link.split(", ", 1) for link in links)
    return named.get("Documentation")


class DocLink:
    """Links an estimator to its page of our documentation, as scikit-learn's link to theirs."""

    _doc_link_module = "sk_cbloss"

    @property
    def _doc_link_template(self):
        where = address()
        return f"{where.rstrip('/')}/generated/{{page}}.html" if where else ""

    def _doc_link_url_param_generator(self):
        name = type(self).__name__
        room = "" if name in sk_cbloss.__all__ else f"{type(self).__module__.split('.')[1]}."
        return {"page": f"sk_cbloss.{room}{name}"}
