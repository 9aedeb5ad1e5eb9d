"""Mark the cells of tables that hold numbers, which the style sheet keeps in one line."""

from docutils import nodes


def mark(app, doctree):
    for entry in doctree.findall(nodes.entry):
        text = entry.astext()
        if any(map(str.isdigit, text)) and not any(map(str.isalpha, text)):
            entry["classes"].append("number")
