"""A state comes back as it was, or is refused; what was there before outlives a failed write."""

import errno
import json
import os
import pickle
import platform
import signal
import subprocess
import sys
import time
from collections import OrderedDict, defaultdict
from hashlib import blake2b

import numpy as np
import pytest
import torch

from sk_cbloss.neural_net.state import _state_file
from sk_cbloss.neural_net.state._state_file import (
    DamagedStateError,
    read_state,
    remove_leftovers,
    write_state,
)

HOST = platform.node()
KIND = "a state, 1"
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither limits nor stops")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state.safetensors"


def round_trip(path, state):
    write_state(path, state, KIND)
    return read_state(path, KIND)


def same(ours, theirs):
    """Assert that types and bits are the same, in depth, and memory is owned."""
    assert type(ours) is type(theirs)
    if isinstance(ours, dict):
        same(list(ours), list(theirs))
        same(list(ours.values()), list(theirs.values()))
    elif isinstance(ours, list | tuple):
        assert len(ours) == len(theirs)
        for our, their in zip(ours, theirs, strict=True):
            same(our, their)
    elif isinstance(ours, torch.Tensor):
        assert (ours.dtype, ours.shape, ours.device.type) == (theirs.dtype, theirs.shape, "cpu")
        assert ours.untyped_storage().nbytes() == ours.nbytes
        ours, theirs = (torch.empty(t.shape, dtype=t.dtype).copy_(t) for t in (ours, theirs))
        assert torch.equal(*(t.reshape(-1).view(torch.uint8) for t in (ours, theirs)))
    elif isinstance(ours, np.ndarray):
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
        assert ours.flags.owndata
        assert ours.flags.writeable
        assert ours.tobytes() == theirs.tobytes()
    elif isinstance(ours, int):
        assert ours == theirs
    else:
        assert repr(ours) == repr(theirs)  # tells 0.0 from -0.0, and finds nan equal to nan


# ---------------------------------------------------------------------- what comes back

DTYPES = [
    *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint16),
    *(torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.float8_e4m3fn),
    *(torch.complex64, torch.complex128),
]
ARRAYS = (
    "?",
    "i1",
    "u2",
    "i8",
    "u8",
    "f2",
    "f8",
    ">f8",
    ">i4",
    "c16",
    "U5",
    "S3",
    "M8[ns]",
    "m8[s]",
)
VALUES = {
    "None": None,
    "bools": [True, False],
    "ints": [0, -1, 2**63 - 1, -(2**63), 2**63, -(2**128), 3 ** (10**4)],
    "floats": [0.0, -0.0, 0.1, 5e-324, 1.7976931348623157e308, np.inf, -np.inf, np.nan],
    "strings": ["", "é", "\ud800", "\0", 'a"\\b', "NaN", "tuple"],
    "bytes": [b"", b"\0\xff"],
    "nesting": [(), [], {}, ((),), [[]], {"a": {"b": ({"c": [1, (2,)]},)}}],
    "looks like a tag": [["tuple", 1], {"tuple": ["int", "0x1"]}, ["tensor", 0, "load", []]],
    "keys": {"a": 0, 1: 1, None: 2, 2.5: 3, (1, ("b", None)): 4, b"c": 5, 2**70: 6, "1": 7},
    "bool keys": {True: 0, False: 1},
    "packed floats": [0.1, -0.0, np.inf, -np.inf, np.nan, 5e-324] * 4,
    "packed ints": [2**63 - 1, -(2**63), 0, 7] * 4,
    "ints too long to pack": [2**63, 1] * 8,
    "mixed numbers": [1, 1.0] * 8,
    "bools that look like numbers": [True, 1] * 8,
    "many bools": [True, False] * 8,
    "a tuple of many": (1.0,) * 20,
    "rows": [{"loss": 0.5, "size": 128}] * 20,
    "rows of another order": [{"a": 1, "b": 2}, {"b": 2, "a": 1}] * 8,
    "rows of other keys": [{"a": 1}, {"b": 2}] * 8,
    "rows with lists": [{"a": 1, "b": [2.0]}] * 16,
    "rows with int keys": [{0: 1.0}] * 16,
    "empty rows": [{}] * 16,
    "MT19937": np.random.RandomState(0).get_state(),
    "PCG64": np.random.default_rng(0).bit_generator.state,
    "torch generator": torch.Generator().get_state(),
}


@pytest.mark.parametrize("name", VALUES)
def test_values(name, path):
    same(round_trip(path, VALUES[name]), VALUES[name])


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (3,), (2, 3)], ids=str)
def test_tensors(dtype, shape, path):
    tensor = (10 * torch.randn(shape, generator=torch.Generator().manual_seed(0))).to(dtype)
    ours = round_trip(path, tensor)
    same(ours, tensor)
    assert ours.untyped_storage().resizable()  # memory of its own, not a piece of the file


@pytest.mark.parametrize("dtype", ARRAYS)
@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (3,), (2, 3)], ids=str)
def test_arrays(dtype, shape, path):
    array = np.array(np.random.default_rng(0).integers(0, 99, shape)).astype(dtype)
    same(round_trip(path, array), array)


def test_views_of_memory_come_back_apart(path):
    whole = torch.arange(24.0).reshape(4, 6)
    array = np.arange(24).reshape(4, 6)
    state = {
        "whole": whole,
        "same": whole,
        "transposed": whole.T,
        "strided": whole[::2, 1::3],
        "single": whole[::2, 1::3][:1, :1],
        "expanded": whole[0, :1].expand(5),
        "conjugate": torch.tensor([1 + 2j]).conj(),
        "negative": torch.tensor([1 + 2j]).conj().imag,
        "arrays": [
            array,
            array.T,
            array[::-1, ::2],
            array[::2, ::2][:1, 1:2],
            np.broadcast_to(array[0], (3, 6)),
        ],
    }
    ours = round_trip(path, state)
    same(ours, state)
    ours["whole"].zero_()
    same({**ours, "whole": whole}, state)


def test_what_comes_back_plainer(path):
    parameter = torch.nn.Parameter(torch.ones(2))
    state = [OrderedDict(a=1), parameter, np.float32(0.5), np.int8(3), np.bool(True), np.str_("a")]
    same(round_trip(path, state), [{"a": 1}, parameter.data, 0.5, 3, True, "a"])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_tensors_of_a_gpu(path):
    tensor = torch.arange(6.0).reshape(2, 3)
    same(round_trip(path, {"t": tensor.cuda().T}), {"t": tensor.T})


def test_an_optimizer_goes_on_where_it_was(path):
    def net():
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
        return model, torch.optim.Adam(model.parameters())

    def step(model, optimizer):
        optimizer.zero_grad()
        model(torch.arange(6.0).reshape(2, 3)).square().sum().backward()
        optimizer.step()

    model, optimizer = net()
    step(model, optimizer)
    state = {"model": dict(model.state_dict()), "optimizer": optimizer.state_dict()}
    ours = round_trip(path, state)
    same(ours, state)
    other, other_optimizer = net()
    other.load_state_dict(ours["model"])
    other_optimizer.load_state_dict(ours["optimizer"])
    step(model, optimizer)
    step(other, other_optimizer)
    same(dict(other.state_dict()), dict(model.state_dict()))


def random_state(rng, depth=4):
    def number():
        return rng.choice([rng.normal(), np.inf, -0.0]).item()

    def text():
        return "".join(map(chr, rng.integers(0, 0x3000, rng.integers(5))))

    leaves = [
        number,
        text,
        lambda: None,
        lambda: bool(rng.integers(2)),
        lambda: int(rng.integers(-9, 9)) ** int(rng.integers(40)),
        lambda: rng.bytes(3),
        lambda: [number() for _ in range(rng.integers(40))],
        lambda: rng.integers(-9, 9, rng.integers(40)).tolist(),
        lambda: rng.normal(size=rng.integers(0, 4, rng.integers(4))),
        lambda: torch.from_numpy(rng.normal(size=(2, 3))).to(DTYPES[rng.integers(len(DTYPES))]),
        lambda: [{"a": number(), "b": 1} for _ in range(rng.integers(40))],
    ]
    size, keys = rng.integers(6), [text, number, lambda: (text(), number()), lambda: None]
    nests = [
        lambda: [random_state(rng, depth - 1) for _ in range(size)],
        lambda: tuple(random_state(rng, depth - 1) for _ in range(size)),
        lambda: {text(): random_state(rng, depth - 1) for _ in range(size)},
        lambda: {keys[rng.integers(4)](): random_state(rng, depth - 1) for _ in range(size)},
    ]
    kinds = nests if depth and rng.random() < 0.7 else leaves
    return kinds[rng.integers(len(kinds))]()


@pytest.mark.parametrize("seed", range(60))
def test_random_states(seed, path):
    state = random_state(np.random.default_rng(seed))
    same(round_trip(path, state), state)


def test_safetensors_reads_the_tensors(path):
    safetensors = pytest.importorskip("safetensors.torch")
    state = {"b": torch.ones(3, dtype=torch.bfloat16), "d": torch.tensor(2.0), "h": np.eye(2)}
    write_state(path, state, KIND)
    theirs = safetensors.load_file(path)
    same(list(theirs.values())[:-1], [state["b"], state["d"], torch.eye(2, dtype=torch.float64)])
    assert list(theirs) == ["0", "1", "2", "checksum"]


@pytest.mark.parametrize(
    "odd",
    [
        {1},
        object(),
        1j,
        range(3),
        defaultdict(list),
        signal.SIGINT,
        torch.Size([1]),
        np.array([None]),
        np.ma.array([1]),
        np.longdouble(1),
        np.timedelta64(1, "ns"),
        np.datetime64(1, "ns"),
        torch.eye(2).to_sparse(),
        torch.empty(2, device="meta"),
        {torch.ones(1): 1},
    ],
    ids=lambda odd: type(odd).__name__,
)
def test_other_types_are_refused_by_path(odd, path):
    write_state(path, "old", KIND)
    name = "Tensor" if isinstance(odd, dict) and odd else type(odd).__name__
    with pytest.raises(TypeError, match=rf"got {name} in state\['callbacks'\]\[1\]\[0\]\.$"):
        write_state(path, {"a": 1, "callbacks": [{}, {0: odd}]}, KIND)
    assert read_state(path, KIND) == "old"


# ---------------------------------------------------------------------- what is refused


@pytest.fixture
def whole(path):
    state = {"a": torch.arange(5.0), 1: (0.5, "text"), "c": np.arange(3), "d": [1.0] * 20}
    write_state(path, state, KIND)
    return path.read_bytes()


def refuses(path, content, match="must be a"):
    path.write_bytes(content)
    with pytest.raises(DamagedStateError, match=match):
        read_state(path, KIND)


def test_a_file_cut_short_anywhere(whole, path):
    for length in range(len(whole)):
        refuses(path, whole[:length], match="must be a whole file of kind .*, got a damaged one")


def test_a_file_that_goes_on(whole, path):
    refuses(path, whole + b"\0")


def test_a_flipped_bit_anywhere(whole, path):
    bits = np.random.default_rng(0).choice(8 * len(whole), 500, replace=False)
    for bit in [*range(8 * 8), *bits.tolist()]:
        content = bytearray(whole)
        content[bit // 8] ^= 1 << bit % 8
        refuses(path, content)


def test_another_kind_is_named(path):
    write_state(path, 1, "a state, 2")
    with pytest.raises(DamagedStateError, match="of kind 'a state, 1', got 'a state, 2'"):
        read_state(path, KIND)


def test_no_file_is_no_damage(path):
    with pytest.raises(FileNotFoundError):
        read_state(path, KIND)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"some text\n" * 20,
        b"\xff" * 100,
        (2**63).to_bytes(8, "little") + b"{}",
        (100 * 2**20).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"{}" + bytes(32),
    ],
)
def test_what_is_no_checkpoint(content, path):
    refuses(path, content)


def test_files_of_other_libraries(path):
    torch.save({"a": torch.ones(3)}, path)
    refuses(path, path.read_bytes())
    safetensors = pytest.importorskip("safetensors.torch")
    tensors = {"0": torch.ones(3), "checksum": torch.zeros(32, dtype=torch.uint8)}
    for metadata in (None, {}, {"kind": KIND}, {"structure": "1"}, {"format": "pt"}):
        refuses(path, safetensors.save(tensors, metadata))


def forged(header, data=bytes(64)):
    """Return a file with any header, but a checksum that is right."""
    header = json.dumps(header).encode()
    content = len(header).to_bytes(8, "little") + header + data
    return content + blake2b(content, digest_size=32).digest()


def forged_structure(structure, **tensor):
    structure = structure if isinstance(structure, str) else json.dumps(structure)
    tensor = {"dtype": "U8", "shape": [64], "data_offsets": [0, 64], **tensor}
    metadata = {"kind": KIND, "structure": structure}
    return forged({"__metadata__": metadata, "0": tensor, "checksum": {}})


def test_the_forger_knows_the_trade(path):
    path.write_bytes(forged_structure(["tensor", 0, "float32", [4, 4]]))
    same(read_state(path, KIND), torch.zeros(4, 4))


@pytest.mark.parametrize(
    "header",
    [
        *(None, 1, "text", [], {}, {"__metadata__": None}, {"__metadata__": []}),
        *(
            {"__metadata__": {"kind": KIND, "structure": odd}}
            for odd in (None, 1, [], {}, "", "[")
        ),
        {"__metadata__": {"kind": [KIND], "structure": "1"}, "checksum": {}},
        {"__metadata__": {"kind": KIND, "structure": "1"}, "name": {}, "checksum": {}},
        {"__metadata__": {"kind": KIND, "structure": "1"}, "0": [], "checksum": {}},
    ],
    ids=json.dumps,
)
def test_forged_headers(header, path):
    refuses(path, forged(header))


@pytest.mark.parametrize(
    "structure",
    [
        *([], [1], [[]], ["unknown"], ["int"], ["int", 1], ["int", "x"], ["dict"], ["dict", 1, 2]),
        ["dict", [["list"]], [1]],
        ["dict", [1, 2], [1]],
        *(["tensor", number, "uint8", [64]] for number in (1, -2, "0", None, 0.0, [], 10**30)),
        *(
            ["tensor", 0, name, [64]]
            for name in ("load", "object", "", "int99", "Tensor", None, 1)
        ),
        *(["tensor", 0, "uint8", shape] for shape in ([65], [2**40, 2**40], 64.0, "64", None, {})),
        *(["array", 0, name, [8]] for name in ("O", "i4,O", "f9", 1, [], "U0")),
        *(["array", 0, "u1", shape] for shape in ([65], [10**30], "64", {}, [[]])),
        ["numbers", 0],
        ["rows", []],
        ["rows", {"a": 1}],
        ["rows", {"a": [0, "f8", [8]], "b": [0, "f4", [16]]}],
        "[" * 100_000,
        "1" * 10_000,
        '["list",' * 5_000 + "1" + "]" * 5_000,
    ],
    ids=lambda structure: str(structure)[:40],
)
def test_forged_structures(structure, path):
    refuses(path, forged_structure(structure), match="must be a whole file of kind")


@pytest.mark.parametrize("offsets", [None, [], [0], [0, 3], [1.0, 2], [0, 1, 0], ["a", "b"], {}])
def test_forged_offsets(offsets, path):
    content = forged_structure(["tensor", 0, "float32", [16]], data_offsets=offsets)
    refuses(path, content, match="must be a whole file of kind")


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_nothing_is_ever_unpickled(path, tmp_path):
    bomb = pickle.dumps(Bomb(tmp_path / "went off"))
    torch.save(Bomb(tmp_path / "went off"), path)
    zipped = path.read_bytes()
    for content in bomb, zipped, len(bomb).to_bytes(8, "little") + bomb:
        refuses(path, content)
    same(round_trip(path, bomb), bomb)
    assert not (tmp_path / "went off").exists()


# ---------------------------------------------------------------------- writes that fail


def names(path):
    return sorted(file.name for file in path.parent.iterdir())


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file(call, path, monkeypatch):
    def fail(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    write_state(path, "old", KIND)
    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(OSError, match="Could not write") as caught:
            write_state(path, "new", KIND)
    message = f"Could not write {path}: {os.strerror(errno.ENOSPC)}."
    assert caught.value.strerror == f"{message} What was there before is untouched."
    assert caught.value.errno == errno.ENOSPC
    assert isinstance(caught.value.__cause__, OSError)
    assert read_state(path, KIND) == "old"
    assert names(path) == [path.name]


def test_a_missing_folder_is_named(tmp_path):
    path = tmp_path / "missing" / "state"
    with pytest.raises(FileNotFoundError, match="Could not write .*missing"):
        write_state(path, "new", KIND)


def test_an_interrupt_leaves_the_old_file(path, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    write_state(path, "old", KIND)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            write_state(path, "new", KIND)
    assert read_state(path, KIND) == "old"
    assert names(path) == [path.name]


def test_a_folder_that_cannot_be_synchronised_is_no_failure(path, monkeypatch):
    def refuse(*args):
        raise PermissionError

    monkeypatch.setattr(os, "open", refuse)
    write_state(path, "new", KIND)
    assert read_state(path, KIND) == "new"


# Reads the file alone, since to import the whole package takes seconds.
CHILD = """
import resource, runpy, sys
module, limited, killed, kind = sys.argv[1:]
globals().update(runpy.run_path(module))
state = [torch.full((2**18,), 7.0) for _ in range(8)]
write_state(limited, "old", kind)
resource.setrlimit(resource.RLIMIT_FSIZE, (2**20 + 2**19, resource.RLIM_INFINITY))
try:
    write_state(limited, state, kind)
except OSError as error:
    print(error.errno, error.strerror, flush=True)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
while True:
    write_state(killed, state, kind)
"""


@POSIX
def test_a_limit_and_a_kill_half_way_leave_the_old_file(tmp_path):
    limited, killed = tmp_path / "limited" / "state", tmp_path / "killed" / "state"
    limited.parent.mkdir()
    killed.parent.mkdir()
    arguments = [_state_file.__file__, str(limited), str(killed), KIND]
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, *arguments], stdout=subprocess.PIPE, text=True
    ) as process:
        temporary = killed.with_name(f".{killed.name}.{HOST}.{process.pid}.tmp")
        try:
            message = process.stdout.readline()
            assert message.startswith(f"{errno.EFBIG} Could not write {limited}: ")
            # Stop it, look, and let it go on, until it stands in the middle of a write.
            while not (killed.exists() and temporary.exists()):
                os.kill(process.pid, signal.SIGCONT)
                time.sleep(0.003)
                os.kill(process.pid, signal.SIGSTOP)
                os.waitpid(process.pid, os.WUNTRACED)
            remove_leftovers(killed.parent)
            assert temporary.exists()
        finally:
            process.kill()
    assert read_state(limited, KIND) == "old"
    assert names(limited) == [limited.name]
    assert temporary.exists()
    same(read_state(killed, KIND), [torch.full((2**18,), 7.0) for _ in range(8)])
    remove_leftovers(killed.parent)
    assert names(killed) == [killed.name]


@POSIX
def test_only_leftovers_of_the_dead_are_removed(tmp_path):
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    kept = {
        f".a.{HOST}.{os.getpid()}.tmp",
        f".a.{HOST}.1.tmp",
        f".a.elsewhere.{process.pid}.tmp",
        ".a.b.tmp",
        "a.tmp",
        f"a.{process.pid}.tmp",
        "a",
    }
    dead = {
        f".a.{HOST}.{process.pid}.tmp",
        f".a.b.{HOST}.{process.pid}.tmp",
        f".a.{HOST}.{10**30}.tmp",
    }
    for name in kept | dead:
        (tmp_path / name).touch()
    kept.add(f".folder.{HOST}.{process.pid}.tmp")
    (tmp_path / f".folder.{HOST}.{process.pid}.tmp").mkdir()
    remove_leftovers(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == kept
    remove_leftovers(tmp_path / "missing")
