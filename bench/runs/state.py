"""A training state as the bytes of a safetensors file that knows its name and its own checksum.

Tensors are stored as safetensors stores them, never as code. Everything else of a state (which part a tensor belongs
to, numbers, strings, containers) is JSON in the file's header, under one key that begins with the SHA-256 of the whole
file, computed with zeros in the place of its digits. So every changed byte is noticed, and so is a file under the name
of another.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

__all__ = ["DamagedState", "not_numbers", "pack", "unpack"]

_KEY = "seqgan-bench"
_BEFORE = f'{{"__metadata__":{{"{_KEY}":"{{\\"sha256\\": \\"'.encode()
"""What a header begins with, up to the checksum."""
_START = 8 + len(_BEFORE)
_DIGITS = 64
_CONTAINERS: dict[str, type[Any]] = {"list": list, "tuple": tuple, "set": set}


class DamagedState(Exception):  # noqa: N818 - it is what was found
    """Bytes that are not the state that they should be; the message says why."""


def pack(state: Mapping[str, Any], name: str) -> bytes:
    """The bytes of a state: nested containers of tensors, numbers, strings, booleans and None.

    Args:
        state: The state. Tensors may be on any device.
        name: What :func:`unpack` must be asked for.

    Raises:
        TypeError: for anything else in the state, saying where it is.
    """
    tensors: dict[str, Tensor] = {}
    tree = _encode(state, tensors, "")
    header = json.dumps({"sha256": "0" * _DIGITS, "name": name, "state": tree})
    try:
        blank = save(tensors, {_KEY: header})
    except (KeyError, SafetensorError) as error:
        raise TypeError(f"safetensors cannot store this state: {error}") from error
    if blank[8:_START] != _BEFORE:
        raise AssertionError("safetensors writes headers of another form than this module expects")
    return blank[:_START] + hashlib.sha256(blank).hexdigest().encode() + blank[_START + _DIGITS :]


def unpack(content: bytes, name: str) -> dict[str, Any]:
    """The state in these bytes, its tensors on the CPU.

    Raises:
        DamagedState: for bytes that :func:`pack` did not write, or wrote under another name.
    """
    if content[8:_START] != _BEFORE:
        raise DamagedState("it does not begin as a training state does")
    blank = content[:_START] + b"0" * _DIGITS + content[_START + _DIGITS :]
    if hashlib.sha256(blank).hexdigest().encode() != content[_START : _START + _DIGITS]:
        raise DamagedState("its checksum does not match its content")
    length = int.from_bytes(content[:8], "little")
    header = json.loads(json.loads(content[8 : 8 + length])["__metadata__"][_KEY])
    if header["name"] != name:
        raise DamagedState(f"it is the state of {header['name']}, not of {name}")
    state: dict[str, Any] = _decode(header["state"], load(content))
    return state


def not_numbers(state: Any, path: str = "") -> Iterator[str]:
    """Where in a state a tensor holds a value that is not a number (NaN).

    Infinities are not looked for: a buffer may hold them on purpose, as masks of attention do.
    """
    if isinstance(state, Tensor):
        if (state.is_floating_point() or state.is_complex()) and bool(state.isnan().any()):
            yield path
    elif isinstance(state, Mapping):
        for key, value in state.items():
            yield from not_numbers(value, f"{path}.{key}" if path else str(key))
    elif isinstance(state, list | tuple):
        for index, value in enumerate(state):
            yield from not_numbers(value, f"{path}[{index}]")


def _encode(value: Any, tensors: dict[str, Tensor], path: str) -> Any:
    if isinstance(value, Tensor):
        if value.layout != torch.strided or value.is_quantized:
            raise TypeError(f"expected dense tensors in a state, got {value.layout} at {path}")
        # A copy of its own, because safetensors refuses tensors that share their memory, as tied weights do.
        tensors[str(len(tensors))] = value.detach().to("cpu", copy=True).contiguous()
        return {"tensor": str(len(tensors) - 1)}
    if isinstance(value, Mapping):
        items = [
            [_encode(key, tensors, path), _encode(item, tensors, f"{path}.{key}" if path else str(key))]
            for key, item in value.items()
        ]
        versions = getattr(value, "_metadata", None)  # of a module's layers, in its state_dict
        return {"dict": items} if versions is None else {"dict": items, "versions": _encode(versions, tensors, path)}
    for kind, container in _CONTAINERS.items():
        if type(value) is container or (container is tuple and type(value) is torch.Size):
            return {kind: [_encode(item, tensors, f"{path}[{index}]") for index, item in enumerate(value)]}
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, str | int | float):
        return value
    raise TypeError(
        f"expected a state of tensors, numbers, strings and containers of them, got {type(value).__name__} at {path}"
    )


def _decode(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if not isinstance(value, dict):
        return value
    if "tensor" in value:
        return tensors[value["tensor"]]
    for kind, container in _CONTAINERS.items():
        if kind in value:
            return container(_decode(item, tensors) for item in value[kind])
    state = _StateDict((_decode(key, tensors), _decode(item, tensors)) for key, item in value["dict"])
    if "versions" not in value:
        return dict(state)
    state._metadata = _decode(value["versions"], tensors)
    return state


class _StateDict(dict[Any, Any]):
    """A state dict of a module, with the versions of its layers where ``load_state_dict`` looks for them."""

    _metadata: Any
