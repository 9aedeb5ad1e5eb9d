"""Formulas as MathML, which browsers draw by themselves: no script, no network."""

from docutils.nodes import SkipNode
from docutils.utils.math.latex2mathml import tex2mathml


def _write(translator, node, as_block):
    math = tex2mathml(" ".join(node.astext().split()), as_block=as_block)
    translator.body.append(f'<div class="math">{math}</div>' if as_block else math)
    raise SkipNode


def setup(app):
    """Tell sphinx of the renderer."""
    inline = (lambda translator, node: _write(translator, node, as_block=False), None)
    block = (lambda translator, node: _write(translator, node, as_block=True), None)
    app.add_html_math_renderer("mathml", inline, block)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
