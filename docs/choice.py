"""Draw what to import for which score and model: ``python docs/choice.py``.

It writes ``docs/_static/choice.svg``. Text stands within boxes that have a colour of their own, so
that it can be read on a light page and on a dark one.
"""

from pathlib import Path
from xml.sax.saxutils import escape

FILE = Path(__file__).parent / "_static" / "choice.svg"

# A question, and for each answer what it says, and what to import, with a word on it.
SCORE = "1  What are you judged by?"
BY_SCORE = [
    ("Every class alike: balanced accuracy, macro-F1", []),
    ("Costs you know, or recalls to reach", [("DecisionClassifierCV", "")]),
    ("Probabilities: risks, expected counts", [("PriorCorrectedClassifier", "undoes weights")]),
    ("Prediction sets that hold the true class", [("ConformalClassifierCV", "")]),
    ("Accuracy, or a ranking (ROC AUC)", [("", "nothing: leave the model as it is")]),
]
MODEL = "2  Which model?"
BY_MODEL = [
    (
        "Any that gives probabilities: without weights",
        [
            ("DecisionClassifierCV", "finds the decision"),
            ("LogitAdjustedClassifier", "takes a tau"),
        ],
    ),
    (
        "Any that takes sample_weight",
        [("ClassBalancedClassifier", "beta=1, then search")],
    ),
    ("Any that does not", [("ClassBalancedSampler", "in a Pipeline")]),
    (
        "A neural net, for one label a sample or several",
        [("CBNeuralNetClassifier", ""), ("StackedGridSearchCV", "a whole grid at once")],
    ),
    (
        "A PyTorch loop of your own",
        [
            ("ClassBalancedFocalLoss", "or its like"),
            ("ClassBalancedMultiLabelLoss", "multi-label"),
        ],
    ),
]
NAMES = [name for _, lines in BY_SCORE + BY_MODEL for name, _ in lines if name]

WIDTH, GAP, COLUMN = 880, 60, 410
LINE, PAD, SPACE = 21, 12, 14  # between lines, within a box, between boxes
STYLE = """
  text { font: 15px system-ui, "Segoe UI", "Helvetica Neue", Arial, sans-serif; fill: #1b2733 }
  .question { font-weight: 600; font-size: 17px; fill: #ffffff }
  .name { font: 600 15px ui-monospace, SFMono-Regular, Menlo, "DejaVu Sans Mono", monospace }
  .name { fill: #0b4a6f }
  .note { fill: #4a5a68; font-size: 14px }
  rect { rx: 8px }
  .asked { fill: #1f5f8b }
  .answer { fill: #e3eef6; stroke: #8fb3cc }
  .on { fill: #ffe3b8; stroke: #d99a3a }
  path { stroke: #8296a6; stroke-width: 2.5; fill: none }
"""


def text(x, y, words, kind=""):
    kind = kind and f' class="{kind}"'
    return f'<text{kind} x="{x}" y="{y}">{words}</text>'


def box(x, y, height, kind):
    return f'<rect class="{kind}" x="{x}" y="{y}" width="{COLUMN}" height="{height}"/>'


def column(x, question, answers):
    """Draw a question with its answers beneath; return that, and where the next thing would go."""
    y = SPACE
    shapes = [box(x, y, 44, "asked"), text(x + PAD, y + 28, escape(question), "question")]
    y += 44 + SPACE
    for said, lines in answers:
        height = 2 * PAD + LINE * (1 + len(lines)) - 4
        kind = "answer" if lines else "on"
        shapes += [box(x, y, height, kind), text(x + PAD, y + PAD + 13, escape(said))]
        for i, (name, note) in enumerate(lines, start=1):
            words = f'<tspan class="name">{name}</tspan>'
            words += f'<tspan class="note" dx="{8 * bool(name)}">{escape(note)}</tspan>'
            shapes.append(text(x + PAD, y + PAD + 13 + i * LINE, words))
        y += height + SPACE
    return shapes, y


def drawing():
    """Return the figure, as SVG."""
    left, bottom = column(2, SCORE, BY_SCORE)
    right, lower = column(WIDTH - COLUMN - 2, MODEL, BY_MODEL)
    height = max(bottom, lower)
    first, asked = SPACE + 44 + SPACE + 20, SPACE + 22
    x, end = COLUMN + 2, WIDTH - COLUMN - 2
    arrow = (
        f'<path d="M{x} {first} h{GAP / 2} V{asked} H{end - 3}"/>'
        f'<path d="M{end - 12} {asked - 7} l9 7 l-9 7"/>'
    )
    size = f'width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">'
    title = "<title>What to import, by score and model</title>"
    return (
        "\n".join([head, title, f"<style>{STYLE}</style>", *left, *right, arrow, "</svg>"]) + "\n"
    )


if __name__ == "__main__":
    FILE.write_text(drawing(), encoding="utf-8")
