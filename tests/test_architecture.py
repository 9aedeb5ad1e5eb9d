"""The floors of the house: imports only point down, and through a room's face."""

import ast
import re
import statistics
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "sk_cbloss"

# Each room with the rooms it may import; all may import the shared checks.
FLOORS = {
    "model_selection": {"neural_net", "weights"},
    "neural_net": {"losses", "meta", "weights", "datasets", "metrics"},
    "losses": {"weights", "datasets", "metrics"},
    "pipeline": {"meta", "weights"},
    "meta": {"weights"},
    "sampling": {"weights", "datasets"},
    "inspection": {"weights", "datasets", "metrics"},
    "weights": set(),
    "datasets": set(),
    "metrics": set(),
    "_show_versions": set(),
    "_doc_link": set(),
    "_indicator": set(),
    "_labels": set(),
    "_state": set(),
    "_validation": set(),
}

# Files that every room may import.
GROUND_FLOOR = {"_doc_link", "_indicator", "_labels", "_state", "_validation"}

# The same within the hall of the net. What stands in no room of it is the net itself.
HALL = {
    "stack": {"net", "callbacks", "training", "data", "state", "errors"},
    "net": {"callbacks", "training", "data", "ranks", "state", "errors", "modules"},
    "callbacks": {"training", "data", "state", "modules"},
    "training": {"data", "ranks", "state", "errors"},
    "data": {"state", "errors"},
    "ranks": {"errors"},
    "state": set(),
    "errors": set(),
    "modules": set(),
}

# The rooms in which a heavy library may be imported.
HEAVY = {
    "torch": {"losses", "neural_net", "datasets", "_show_versions"},
    "skorch": {"neural_net"},
    "imblearn": {"sampling"},
    "matplotlib": {"inspection"},
    "pandas": set(),
    "polars": set(),
}

FILES = sorted(PACKAGE.rglob("*.py"))


def room_of(file):
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(file):
    """Return every module that the file imports, at any depth of its code."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            # `from sk_cbloss.losses import _functional` names a module too.
            private = [a.name for a in node.names if a.name.startswith("_")]
            yield from [f"{node.module}.{name}" for name in private] or [node.module]


def test_every_room_has_a_floor():
    rooms = {room_of(file) for file in FILES} - {"__init__"}
    assert rooms == FLOORS.keys()


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_point_down_through_faces(file):
    room = room_of(file)
    for module in imports_of(file):
        top, *inner = module.split(".")
        if top in HEAVY:
            assert room in HEAVY[top], f"{room} imports {module}"
        if top != "sk_cbloss" or not inner:
            continue
        other = inner[0]
        if other == room or other in GROUND_FLOOR:
            continue
        assert other in FLOORS[room], f"{room} imports {module}, which is not below it"
        assert len(inner) == 1, f"{room} imports {module}, a private file of {other}"


HALL_FILES = [file for file in FILES if room_of(file) == "neural_net"]


def place_in_hall(*names):
    return names[0] if names and names[0] in HALL else "net"


def test_every_room_of_the_hall_has_a_floor():
    rooms = {file.relative_to(PACKAGE).parts[1] for file in HALL_FILES}
    assert {room for room in rooms if not room.endswith(".py")} == HALL.keys() - {"net"}


@pytest.mark.parametrize("file", HALL_FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_point_down_within_the_hall(file):
    parts = file.relative_to(PACKAGE / "neural_net").parts
    if parts == ("__init__.py",):  # the hall's own face
        return
    room = place_in_hall(*parts)
    for module in imports_of(file):
        if not module.startswith("sk_cbloss.neural_net"):
            continue
        inner = module.split(".")[2:]
        other = place_in_hall(*inner)
        if other != room:
            assert other in HALL[room], f"{room} imports {module}, which is not below it"
            is_face = len(inner) == 1
            assert is_face, f"{room} imports {module}, a private file of {other}"


def test_files_of_the_hall_can_be_read_at_a_sitting():
    lengths = [len(file.read_text().splitlines()) for file in HALL_FILES]
    assert max(lengths) <= 400
    assert statistics.median(lengths) <= 90


def test_the_net_itself_can_be_read_at_a_sitting():
    (net,) = ast.parse((PACKAGE / "neural_net" / "_classifier.py").read_text()).body[-1:]
    kinds = ast.FunctionDef | ast.ClassDef
    documented = [node.body[0] for node in ast.walk(net) if isinstance(node, kinds)]
    texts = [node for node in documented if isinstance(node, ast.Expr)]
    n_lines = net.end_lineno - net.lineno + 1
    assert 50 < n_lines - sum(node.end_lineno - node.lineno + 1 for node in texts) < 250


def test_the_test_sees_an_arrow_that_points_up(tmp_path):
    file = tmp_path / "file.py"
    file.write_text("from sk_cbloss.losses import _functional\ndef f():\n    import torch.nn\n")
    assert list(imports_of(file)) == ["sk_cbloss.losses._functional", "torch.nn"]


def private_names():
    """Return the private names that are used in the package, and those that are made there."""
    used, made = set(), set()
    for node in (node for file in FILES for node in ast.walk(ast.parse(file.read_text()))):
        if isinstance(node, ast.Attribute):
            (made if isinstance(node.ctx, ast.Store) else used).add(node.attr)
        elif isinstance(node, ast.ImportFrom) and not node.module.startswith("sk_cbloss"):
            used |= {alias.name for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            made.add(node.name)
    return ({name for name in names if re.match("_[^_]", name)} for names in (used, made))


def test_the_private_names_of_others_are_listed():
    page = (PACKAGE.parent / "docs" / "architecture.rst").read_text()
    listed = {name for code in re.findall("``([^`]+)``", page) for name in code.split(".")}
    used, made = private_names()
    assert "_safe_indexing" in used - made
    assert used - made <= listed
    named = set(re.findall(r"``(test_\w+\.py)``", page))
    assert named <= {file.name for file in Path(__file__).parent.rglob("test_*.py")}
    assert len(named) > 10


def test_tests_mirror_the_rooms():
    here = Path(__file__).parent
    tested = {folder.name for folder in here.iterdir() if any(folder.glob("test_*.py"))}
    tested |= {room for room in FLOORS if (here / f"test_{room.strip('_')}.py").exists()}
    tested -= {"benchmarks", "fuzz", "integrations"}  # of no room, or of several
    assert tested - GROUND_FLOOR == FLOORS.keys() - GROUND_FLOOR
