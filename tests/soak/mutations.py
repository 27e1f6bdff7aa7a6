"""Damaged files of a real results folder: each damage is noticed, or changes nothing that is read."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import kills
import numpy as np
import torch
from benchmark import Case, Trial, arguments

from bench.records.store import Store
from bench.runs.checkpoints import CheckpointFolder
from bench.runs.state import DamagedState, unpack

SECTOR = 512


def cases(folder: Path, number: int, seed: int) -> list[Case]:
    """So many damaged files, drawn by the seed."""
    if not number:
        return []
    files = _files(folder)
    names = list(files)

    def case(index: int) -> Case:
        draw = random.Random(f"{seed}/{index}")
        file, what = names[index % len(names)], list(DAMAGES)[index // len(names) % len(DAMAGES)]
        return Case(f"{index}: {what} in {file}", lambda: _damaged(folder, index, file, what, files, draw))

    return [case(index) for index in range(number)]


def _files(folder: Path) -> dict[str, bytes]:
    """Every file of a results folder that is read again, by its path there; states of half-done trainings, too."""
    whole = folder / "results"
    if not (whole / "leaderboard.csv").exists():
        shutil.rmtree(whole, ignore_errors=True)
        kills.imports()
        code = kills.ended(kills.forked(arguments("mle,seqgan", whole, 0), folder / "log", kills.measures_no_memory))
        if code:
            raise RuntimeError(f"the undisturbed run ended with {code}: {(folder / 'log').read_text()}")
        _save_again(Store(whole))
    runs = whole / "runs"
    files = [*runs.glob("*.json"), *runs.glob("checkpoints/*.safetensors"), runs / "chosen.list", whole / "store.json"]
    return {str(file.relative_to(whole)): file.read_bytes() for file in sorted(files)}


def _save_again(store: Store) -> None:
    """Give each training a state before the last one."""
    states = CheckpointFolder(store.checkpoints)
    for file in list(store.checkpoints.glob("*.safetensors")):
        state = states.load(file.stem).state
        assert state is not None
        before = {**state, "curve": state["curve"][:1]}
        states.save(file.stem, before)
        states.save(file.stem, state)


def _damaged(folder: Path, index: int, file: str, what: str, files: Mapping[str, bytes], draw: random.Random) -> Trial:
    others = [content for name, content in files.items() if name != file and Path(name).suffix == Path(file).suffix]
    content = DAMAGES[what](files[file], draw, others or [b""])
    group = f"{_kind(file)}: {what}"
    trial = folder / f"trial-{index}"
    for name, whole in files.items():
        if name == file or _kind(name) == _kind(file) or _kind(name) == "marker":
            (trial / name).parent.mkdir(parents=True, exist_ok=True)
            (trial / name).write_bytes(content if name == file else whole)
    name = f"{index}: {what} in {file}"
    try:
        found = READS[_kind(file)](trial, file)
        wanted = READS[_kind(file)](folder / "results", file)
    except Exception as error:
        return Trial(group, name, "by hand", f"reading it raises {type(error).__name__}: {error}")
    if _same(found, wanted) or _is_earlier(found, file, files):
        outcome = "harmless"
    elif found is None:
        outcome = "noticed"
    else:
        return Trial(group, name, "different", f"{found!r}"[:500])
    shutil.rmtree(trial)
    return Trial(group, name, outcome)


# What may happen to a file


def _flipped(content: bytes, draw: random.Random, _: list[bytes]) -> bytes:
    bit = draw.randrange(8 * len(content))
    return content[: bit // 8] + bytes([content[bit // 8] ^ 1 << bit % 8]) + content[bit // 8 + 1 :]


def _cut(content: bytes, draw: random.Random, _: list[bytes]) -> bytes:
    return content[: draw.randrange(len(content))]


def _zeroed(content: bytes, draw: random.Random, _: list[bytes]) -> bytes:
    start = draw.randrange(len(content) // SECTOR + 1) * SECTOR
    length = len(content[start : start + SECTOR])
    return content[:start] + bytes(length) + content[start + length :]


def _another(_: bytes, draw: random.Random, others: list[bytes]) -> bytes:
    return draw.choice(others)


def _sector_of_another(content: bytes, draw: random.Random, others: list[bytes]) -> bytes:
    start = draw.randrange(len(content) // SECTOR + 1) * SECTOR
    return content[:start] + draw.choice(others)[start : start + SECTOR] + content[start + SECTOR :]


def _doubled(content: bytes, draw: random.Random, _: list[bytes]) -> bytes:
    start = draw.randrange(len(content))
    return content[: start + SECTOR] + content[start : start + SECTOR] + content[start + SECTOR :]


def _longer(content: bytes, draw: random.Random, _: list[bytes]) -> bytes:
    return content + draw.randbytes(draw.randrange(1, SECTOR))


def _dropped(content: bytes, draw: random.Random, _: list[bytes]) -> bytes:
    place = draw.randrange(len(content))
    return content[:place] + content[place + 1 :]


def _digit(content: bytes, draw: random.Random, _: list[bytes]) -> bytes:
    """Another digit, which leaves JSON as valid as it was."""
    places = [place for place, byte in enumerate(content) if 48 <= byte < 58]
    if not places:
        return content
    place = draw.choice(places)
    return content[:place] + bytes([48 + (content[place] - 48 + draw.randrange(1, 10)) % 10]) + content[place + 1 :]


Damage = Callable[[bytes, random.Random, list[bytes]], bytes]
DAMAGES: Mapping[str, Damage] = {
    "a bit flipped": _flipped,
    "cut off": _cut,
    "512 bytes zeroed": _zeroed,
    "another's content": _another,
    "512 bytes of another": _sector_of_another,
    "512 bytes doubled": _doubled,
    "bytes appended": _longer,
    "a byte dropped": _dropped,
    "another digit": _digit,
}


# What is read, None where damage was noticed


def _kind(file: str) -> str:
    kinds = {"chosen.list": "choice", "store.json": "marker"}
    return kinds.get(Path(file).name) or ("record" if file.endswith(".json") else "checkpoint")


def _record(folder: Path, file: str) -> Any:
    """The record that this file holds, if it counts, and all others."""
    store = Store(folder)
    records, unreadable = store.scan()
    return None if unreadable else sorted((record for record in records), key=lambda each: each.spec.run_id)


def _checkpoint(folder: Path, file: str) -> Any:
    """The state in this file, which is one of the training that it is named after."""
    try:
        return unpack((folder / file).read_bytes(), Path(file).name.partition(".")[0])
    except DamagedState:
        return None


def _is_earlier(found: Any, file: str, files: Mapping[str, bytes]) -> bool:
    """Whether it is the other state of the same training, from which that goes on to the same end."""
    name = Path(file).name.partition(".")[0]
    if found is None or _kind(file) != "checkpoint":
        return False
    siblings = [each for each in files if _kind(each) == "checkpoint" and Path(each).name.startswith(name)]
    return any(_same(found, unpack(files[each], name)) for each in siblings)


def _choice(folder: Path, _: str) -> Any:
    return Store(folder)._chosen()


def _marker(folder: Path, _: str) -> Any:
    """The marker is as it was, or the folder is not taken for ours."""
    return Store(folder)._marker() if Store(folder)._is_ours() else None


READS: Mapping[str, Callable[[Path, str], Any]] = {
    "record": _record, "checkpoint": _checkpoint, "choice": _choice, "marker": _marker,
}  # fmt: skip


def _same(one: Any, other: Any) -> bool:
    """Whether two states are equal, bit by bit in tensors."""
    if isinstance(one, torch.Tensor):
        if not isinstance(other, torch.Tensor) or (one.dtype, one.shape) != (other.dtype, other.shape):
            return False
        return bool(np.array_equal(_bits(one), _bits(other)))
    if isinstance(one, Mapping):
        return isinstance(other, Mapping) and one.keys() == other.keys() and all(_same(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return type(one) is type(other) and len(one) == len(other) and all(map(_same, one, other))
    return type(one) is type(other) and one == other


def _bits(tensor: Any) -> Any:
    return tensor.contiguous().numpy().view(np.uint8) if tensor.dim() else tensor.numpy().tobytes()
