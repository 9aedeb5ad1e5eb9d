"""Links to the pages of the libraries that the package stands on.

Their pages have names that follow a rule, so that links need no inventory from the network. What
is linked must exist in the installed version.
"""

from pydoc import locate

from docutils import nodes

PAGES = {
    "sklearn": "https://scikit-learn.org/stable/modules/generated/{name}.html",
    "imblearn": "https://imbalanced-learn.org/stable/references/generated/{name}.html",
    "torch": "https://docs.pytorch.org/docs/stable/generated/{name}.html",
    "skorch.callbacks": "https://skorch.readthedocs.io/en/stable/callbacks.html#{name}",
    "skorch": "https://skorch.readthedocs.io/en/stable/classifier.html#{full}",
}


def page_of(name):
    """Return the address of a name's page, or None if it is not of these libraries."""
    for prefix, address in PAGES.items():
        if name.startswith(f"{prefix}."):
            thing = locate(name)
            if thing is None:
                raise ValueError(f"{name} must exist to be linked, got no such name.")
            full = f"{thing.__module__}.{thing.__name__}"
            return address.format(name=name, full=full)
    return None


def link(app, env, node, contnode):
    """Answer sphinx, which asks for what it did not find among our own names."""
    name = node.get("reftarget", "")
    address = page_of(name)
    if address is None:
        return None
    reference = nodes.reference("", "", internal=False, refuri=address, reftitle=name)
    reference += contnode
    return reference
