"""The state of a training in one file: read whole or not at all, and never pickled.

It is a safetensors file. The metadata hold ``kind``, which names format and version, and the
``structure`` as JSON; the tensors "0", "1", ... hold the numbers, and the last one, "checksum",
the BLAKE2b digest of every byte before it.

In the structure, a JSON object is a dict with strings as keys. A JSON array is all that JSON
lacks, and begins by saying what: ``["tuple", 1, 2]``, ``["tensor", 0, "bfloat16", [3, 4]]``.
"""

import json
import os
import platform
import re
import shutil
from collections import OrderedDict
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path

import numpy as np
import torch

PLAIN = {type(None), bool, str, float}  # JSON's own; Python's JSON has NaN and infinity too
NUMPY_KINDS = "biufcSUmM"  # no objects: only pickle can write them
NUMPY_SCALARS = "?bhilqBHILQefdSU"  # no long doubles and times: Python's own lose digits or units
PACKED = 16  # this many numbers in a list are worth an array
DIGEST = 32  # bytes

# The types of safetensors; others are written as bytes.
SAFETENSORS = {"bool": "BOOL", "bfloat16": "BF16", "float16": "F16", "float32": "F32"}
SAFETENSORS |= {"float64": "F64"} | {f"int{bits}": f"I{bits}" for bits in (8, 16, 32, 64)}
SAFETENSORS |= {f"uint{bits}": f"U{bits}" for bits in (8, 16, 32, 64)}


class DamagedStateError(ValueError):
    """The file is no whole state of the kind that was asked for."""


# ---------------------------------------------------------------------- files


def write_state(path, state, kind):
    """Write a nested state so that, whatever happens, the old file or the new one is there, whole.

    The state is made of dicts, lists, tuples, None, numbers, strings, bytes, arrays and dense
    tensors; anything else is a TypeError. It is read back with the same types and bits, but for
    an OrderedDict (a dict), a numpy scalar (a Python number), a parameter (a tensor), tensors on
    a GPU (on the CPU) and memory that was shared (copies). One thread at a time may write a path.
    """
    write_whole({path: state_writer(state, kind)})


def state_writer(state, kind):
    """Return the function that writes a state to the file of a name."""
    parts = []
    structure = _json(_encode(state, parts, []))
    parts.append(("U8", (DIGEST,), bytes(DIGEST)))
    names = [*map(str, range(len(parts) - 1)), "checksum"]
    header, end = {"__metadata__": {"kind": kind, "structure": structure}}, 0
    for name, (dtype, shape, data) in zip(names, parts, strict=True):
        start, end = end, end + len(data)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": (start, end)}
    header = _json(header).encode()
    header += b" " * (-len(header) % 8)  # as safetensors does
    chunks = len(header).to_bytes(8, "little"), header, *(data for _, _, data in parts[:-1])

    def write(path):
        checksum = blake2b(digest_size=DIGEST)
        with open(path, "wb") as file:
            for chunk in chunks:
                checksum.update(chunk)
                file.write(chunk)
            file.write(checksum.digest())

    return write


def write_whole(writers):
    """Write files so that, whatever happens, each is the old one or the new one, whole.

    Each is written beside the old one by its function, which is handed the name. They are put in
    place when all are written. A link stays one; what is no file, such as a pipe, or lies in a
    folder where nothing new may be, is written where it is.
    """
    places = {}
    try:
        for given, write in writers.items():
            path = Path(os.path.realpath(given))
            with _named(given):
                if path.exists() and not (path.is_file() and os.access(path.parent, os.W_OK)):
                    write(path)
                    continue
                temporary = path.with_name(f".{path.name}.{platform.node()}.{os.getpid()}.tmp")
                places[given] = temporary, path
                write(temporary)
                if path.exists():
                    shutil.copymode(path, temporary)
                with open(temporary, "rb+") as file:
                    os.fsync(file.fileno())
        for given, (temporary, path) in places.items():
            with _named(given):
                os.replace(temporary, path)
    finally:
        for temporary, _ in places.values():
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
    for folder in {path.parent for _, path in places.values()}:
        _synchronise(folder)


@contextmanager
def _named(path):
    """Name the file in an OSError."""
    try:
        yield
    except OSError as error:
        raise OSError(
            error.errno,
            f"Could not write {path}: {error.strerror or error}. "
            "What was there before is untouched.",
        ) from error


def _synchronise(folder):
    # Without this a power cut may bring the old file back. Not every system can do it.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def read_state(path, kind):
    """Return what `write_state` wrote; arrays and tensors are writable and own their memory.

    A file that is cut short, damaged, of another kind or not ours is a DamagedStateError.
    """
    content = np.fromfile(path, dtype=np.uint8)
    try:
        start = 8 + int.from_bytes(content[:8].tobytes(), "little")
        header = json.loads(content[8:start].tobytes())
        metadata = header["__metadata__"]
        found = metadata.get("kind")
        if found == kind:
            checksum = blake2b(content[:-DIGEST], digest_size=DIGEST).digest()
            if content[-DIGEST:].tobytes() != checksum:
                raise ValueError("The checksum must be that of the content.")
            ends = [header[str(number)]["data_offsets"] for number in range(len(header) - 2)]
            parts = [content[start:][slice(*offsets)] for offsets in ends]
            return _decode(json.loads(metadata["structure"]), parts)
    except MemoryError:
        raise
    except Exception as error:  # whatever bytes that are not ours lead to
        raise DamagedStateError(
            f"{path} must be a whole file of kind {kind!r}, got a damaged one or another format."
        ) from error
    raise DamagedStateError(f"{path} must be a file of kind {kind!r}, got {found!r}.")


def remove_leftovers(folder):
    """Remove what `write_state` left in the folder when its process was killed."""
    for file in Path(folder).glob(".*.tmp"):
        # On a shared disk, only the host itself knows which of its processes run.
        owner = re.fullmatch(rf"\..+\.{re.escape(platform.node())}\.(\d+)\.tmp", file.name)
        if owner and not _is_running(int(owner[1])):
            with suppress(OSError):  # another process may be faster
                file.unlink()


def _is_running(pid):
    if os.name == "nt":
        return False  # os.kill would end the process; a file that it writes stays there anyway
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True


# ---------------------------------------------------------------------- structure


def _json(value):
    return json.dumps(value, separators=(",", ":"))


def _encode(value, parts, trail):
    """Return the structure of the value at trail; its data go to parts."""
    kind = type(value)
    if kind in PLAIN:
        return value
    if kind is int:  # of any size, although readers of JSON limit the digits
        return value if -(2**63) <= value < 2**63 else ["int", hex(value)]
    if kind is dict or kind is OrderedDict:
        values = _encode_all(value.items(), parts, trail)
        if set(map(type, value)) <= {str}:
            return dict(zip(value, values, strict=True))
        return ["dict", [_encode_key(key, parts, trail) for key in value], values]
    if kind is list and (numbers := _numbers(value)) is not None:
        return ["numbers", *_encode_array(numbers, parts)]
    if kind is list and (columns := _columns(value)):
        return ["rows", {key: _encode_array(column, parts) for key, column in columns.items()}]
    if kind is list or kind is tuple:
        return [kind.__name__, *_encode_all(enumerate(value), parts, trail)]
    if kind is bytes:
        return ["bytes", *_encode_array(np.frombuffer(value, dtype=np.uint8), parts)]
    if kind is np.ndarray and value.dtype.kind in NUMPY_KINDS:
        return ["array", *_encode_array(value, parts)]
    if isinstance(value, torch.Tensor) and value.layout is torch.strided and not value.is_meta:
        return ["tensor", *_encode_tensor(value, parts)]
    if isinstance(value, np.generic) and value.dtype.char in NUMPY_SCALARS:
        return _encode(value.item(), parts, trail)
    raise _unknown(value, trail)


def _encode_all(items, parts, trail):
    encoded = []
    for place, value in items:
        trail.append(place)
        encoded.append(_encode(value, parts, trail))
        trail.pop()
    return encoded


def _encode_key(key, parts, trail):
    if isinstance(key, torch.Tensor):  # found by its identity, which a file cannot keep
        raise _unknown(key, trail)
    return _encode(key, parts, trail)


def _unknown(value, trail):
    return TypeError(
        "What is saved must be made of plain values, arrays and dense tensors, got "
        f"{type(value).__name__} in state{''.join(f'[{place!r}]' for place in trail)}."
    )


def _numbers(values):
    """Return a long list of floats, or of ints of 64 bits, as an array, another as None."""
    types = set(map(type, values)) if len(values) >= PACKED else None
    if types in ({float}, {int}):
        with suppress(OverflowError):
            return np.array(values, dtype=np.float64 if types == {float} else np.int64)
    return None


def _columns(rows):
    """Return a long list of dicts of numbers, all alike, as a dict of arrays, another as None."""
    if len(rows) < PACKED or set(map(type, rows)) != {dict} or len(set(map(tuple, rows))) != 1:
        return None
    columns = {key: _numbers([row[key] for row in rows]) for key in rows[0] if type(key) is str}
    whole = len(columns) == len(rows[0]) and all(array is not None for array in columns.values())
    return columns if whole else None


def _encode_array(array, parts):
    data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    name = array.dtype.name if array.dtype.isnative else "bytes"
    return _add(data, name, array.shape, parts), array.dtype.str, array.shape


def _encode_tensor(tensor, parts):
    data = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous()
    # A single number counts as contiguous at any stride, but only stride 1 can be seen as bytes.
    data = data.as_strided((data.numel(),), (1,)).view(torch.uint8).numpy()
    name = str(tensor.dtype).removeprefix("torch.")
    return _add(data, name, tensor.shape, parts), name, tensor.shape


def _add(data, name, shape, parts):
    known = name in SAFETENSORS
    parts.append((SAFETENSORS[name], shape, data) if known else ("U8", data.shape, data))
    return len(parts) - 1


def _decode(node, parts):
    if isinstance(node, dict):
        return {key: _decode(value, parts) for key, value in node.items()}
    if not isinstance(node, list):
        return node
    match node:
        case ["list", *values]:
            return [_decode(value, parts) for value in values]
        case ["tuple", *values]:
            return tuple(_decode(value, parts) for value in values)
        case ["dict", keys, values]:
            keys = [_decode(key, parts) for key in keys]
            return dict(zip(keys, [_decode(value, parts) for value in values], strict=True))
        case ["int", digits]:
            return int(digits, 16)
        case ["numbers", *array]:
            return _decode_array(parts, *array).tolist()
        case ["rows", columns]:
            lists = [_decode_array(parts, *array).tolist() for array in columns.values()]
            return [dict(zip(columns, row, strict=True)) for row in zip(*lists, strict=True)]
        case ["bytes", *array]:
            return _decode_array(parts, *array).tobytes()
        case ["array", *array]:
            return _decode_array(parts, *array)
        case ["tensor", number, name, shape]:
            return (
                torch.from_numpy(parts[number]).clone().view(getattr(torch, name)).reshape(shape)
            )
    raise ValueError(f"The structure must be made of known parts, got {node[:1]}.")


def _decode_array(parts, number, dtype, shape):
    return parts[number].view(dtype).reshape(shape).copy()
