"""A training state as the bytes of a safetensors file that knows its name and its own checksum.

Tensors are stored as safetensors stores them, never as code. Everything else of a state (which part a tensor belongs
to, numbers, strings, containers) is JSON in one more tensor, of bytes. The file's header begins with the SHA-256 of the
whole file, computed with zeros in the place of its digits, and holds the name. So every changed byte is noticed, and so
is a file under the name of another.
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
from torch import Tensor, nn

from bench.api import Stateful

__all__ = ["DamagedState", "not_finite", "pack", "unpack"]

_KEY = "seqgan-bench"
_BEFORE = f'{{"__metadata__":{{"{_KEY}":"{{\\"sha256\\": \\"'.encode()
"""What a header begins with, up to the checksum."""
_START = 8 + len(_BEFORE)
_DIGITS = 64
_TREE = "tree"
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
    tree = json.dumps(_encode(state, tensors, "")).encode()
    tensors[_TREE] = torch.frombuffer(bytearray(tree), dtype=torch.uint8)
    header = json.dumps({"sha256": "0" * _DIGITS, "name": name})
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
    try:
        tensors = load(content)
        state: dict[str, Any] = _decode(json.loads(tensors[_TREE].numpy().tobytes()), tensors)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:  # whole, but of another version
        raise DamagedState(f"this version cannot read it: {error}") from error
    return state


def not_finite(parts: Mapping[str, Stateful]) -> Iterator[str]:
    """Names of what is no finite number in the parts of a training.

    Of modules all parameters are looked at, and not their buffers, which may hold infinities or NaN on purpose, as
    masks do. Of anything else but an optimizer, NaN is looked for in the tensors of its state.
    """
    for name, part in parts.items():
        if isinstance(part, nn.Module):
            found = [key for key, value in part.named_parameters() if not bool(value.isfinite().all())]
        elif isinstance(part, torch.optim.Optimizer):
            continue  # what is wrong there is wrong in a parameter one step later
        else:
            tensors = {key: value for key, value in part.state_dict().items() if isinstance(value, Tensor)}
            found = [key for key, value in tensors.items() if bool(value.isnan().any())]
        yield from (f"{name}.{key}" for key in found)


def _encode(value: Any, tensors: dict[str, Tensor], path: str) -> Any:
    if isinstance(value, np.ndarray):
        return {"array": _encode(torch.from_numpy(value), tensors, path)}
    if isinstance(value, Tensor):
        if value.dtype == torch.complex128:
            return {"complex tensor": _encode(torch.view_as_real(value.detach().resolve_conj()), tensors, path)}
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
    if isinstance(value, complex):
        return {"complex": [value.real, value.imag]}
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, torch.dtype | torch.device):
        return {type(value).__name__: str(value).removeprefix("torch.")}
    raise TypeError(
        f"expected a state of tensors, numbers, strings and containers of them, got {type(value).__name__} at {path}"
    )


def _decode(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if not isinstance(value, dict):
        return value
    if "dict" not in value:
        return _decode_leaf(value, tensors)
    state = _StateDict((_decode(key, tensors), _decode(item, tensors)) for key, item in value["dict"])
    if "versions" not in value:
        return dict(state)
    state._metadata = _decode(value["versions"], tensors)
    return state


def _decode_leaf(value: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Any:
    ((kind, content),) = value.items()
    if kind in _CONTAINERS:
        return _CONTAINERS[kind](_decode(item, tensors) for item in content)
    if kind == "tensor":
        return tensors[content]
    if kind == "array":
        return _decode(content, tensors).numpy()
    if kind == "complex tensor":
        return torch.view_as_complex(_decode(content, tensors))
    if kind == "complex":
        return complex(*content)
    if kind == "bytes":
        return bytes.fromhex(content)
    return torch.device(content) if kind == "device" else getattr(torch, content)


class _StateDict(dict[Any, Any]):
    """A state dict of a module, with the versions of its layers where ``load_state_dict`` looks for them."""

    _metadata: Any
