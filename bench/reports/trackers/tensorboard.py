"""TensorBoard: one event file for each run, made whole from its record, so that writing it again doubles nothing."""

from __future__ import annotations

import io
import json
import os
import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import UsageError
from bench.records.files import write_atomically
from bench.records.record import RunRecord
from bench.reports.trackers.history import History, history

if TYPE_CHECKING:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

__all__ = ["EVENTS", "TensorBoard", "event_file"]

EVENTS = "events.out.tfevents.seqgan-bench"
"""Name of an event file; TensorBoard knows them by ``tfevents``."""
UNFINISHED = "unfinished"
"""How its name begins until it is whole, by which TensorBoard does not know it."""
PARTS = {"fields": "model.", "task_fields": "task."}
"""How names of fields begin in the tab HParams, which sorts them: after the label that they belong to."""
VERSION = "brain.Event:2"
"""The first event of a file says the format of the others."""


class TensorBoard:
    """Writes runs below a folder, as ``TASK.PRESET/MODEL/seed-N.ID``.

    Args:
        folder: TensorBoard's ``--logdir``; it is made when the first run is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def where(self) -> str:
        """How to look at what was written."""
        return f"TensorBoard: tensorboard --logdir {shlex.quote(str(self.folder))}"

    def check(self) -> None:
        """Accept a folder that runs can be written to, with TensorBoard at hand; nothing is written.

        Raises:
            UsageError: otherwise, saying what to do.
        """
        try:
            import tensorboard.summary.writer.record_writer  # noqa: F401
        except ImportError as error:
            raise UsageError(
                "--tensorboard needs the package tensorboard, which is not installed: "
                "python -m pip install 'seqgan-bench[tensorboard]'."
            ) from error
        there = next(each for each in (self.folder, *self.folder.absolute().parents) if each.exists())
        if not there.is_dir():
            raise UsageError(f"--tensorboard expected a folder, but '{there}' is a file.")
        if not os.access(there, os.W_OK | os.X_OK):
            raise UsageError(f"--tensorboard cannot write to '{there}': choose another folder.")

    def write(self, record: RunRecord) -> None:
        """Write a run, in place of what was written of it before.

        Raises:
            OSError: where it cannot be written.
        """
        told = history(record)
        file = self.folder.joinpath(*told.place) / EVENTS
        content = event_file(told)
        if file.is_file() and file.read_bytes() == content:  # a TensorBoard that shows it need not read it again
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_name(f"{UNFINISHED}.{os.getpid()}")  # another command may write the same run
        write_atomically(partial, content)
        partial.replace(file)


def event_file(told: History) -> bytes:
    """A run as the bytes of an event file: curves and scores as scalars, in single precision, settings, and texts."""
    from tensorboard.summary.writer.record_writer import RecordWriter

    stream = io.BytesIO()
    writer = RecordWriter(stream)
    for event in _events(told):
        writer.write(event.SerializeToString(deterministic=True))
    return stream.getvalue()


def _events(told: History) -> Iterator[Event]:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams.metadata import SESSION_END_INFO_TAG, SESSION_START_INFO_TAG

    yield Event(wall_time=told.started, file_version=VERSION)
    first = [_session_start(SESSION_START_INFO_TAG, told), _text("run", _listed(told.facts))]
    yield Event(wall_time=told.started, summary=Summary(value=first))
    for point in told.points:
        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in point.named.items()]
        yield Event(wall_time=told.started + point.seconds, step=point.step, summary=Summary(value=values))
    last = [Summary.Value(tag=tag, simple_value=value) for tag, value in told.scores.items()]
    if told.samples:
        last.append(_text("samples", told.samples))
    last.append(_session_end(SESSION_END_INFO_TAG, told))
    yield Event(wall_time=told.ended, summary=Summary(value=last))


def _session_start(tag: str, told: History) -> Summary.Value:
    """The settings, for the tab HParams, which shows all seeds of a configuration as one row, with their means."""
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionStartInfo

    info = SessionStartInfo(group_name=told.configuration, start_time_secs=told.started)
    settings = {PARTS.get(name, name): value for name, value in told.settings.items() if name != "seed"}
    for name, value in _flat(settings):
        if isinstance(value, bool):
            info.hparams[name].bool_value = value
        elif isinstance(value, int | float):
            info.hparams[name].number_value = value
        else:
            info.hparams[name].string_value = value if isinstance(value, str) else json.dumps(value)
    return _hparams(tag, HParamsPluginData(version=0, session_start_info=info))


def _session_end(tag: str, told: History) -> Summary.Value:
    from tensorboard.plugins.hparams.api_pb2 import STATUS_FAILURE, STATUS_SUCCESS
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo

    status = STATUS_SUCCESS if told.status == "ok" else STATUS_FAILURE
    info = SessionEndInfo(status=status, end_time_secs=told.ended)
    return _hparams(tag, HParamsPluginData(version=0, session_end_info=info))


def _hparams(tag: str, content: Any) -> Summary.Value:
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.plugins.hparams.metadata import NULL_TENSOR, PLUGIN_NAME

    # Not by TensorBoard's own function: its bytes depend on the order in which a table of hashes is walked through.
    plugin = SummaryMetadata.PluginData(plugin_name=PLUGIN_NAME, content=content.SerializeToString(deterministic=True))
    return Summary.Value(tag=tag, metadata=SummaryMetadata(plugin_data=plugin), tensor=NULL_TENSOR)


def _text(tag: str, paragraphs: Iterable[str]) -> Summary.Value:
    """Paragraphs that stay text: TensorBoard reads Markdown, in which lines that are indented are shown as they are."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.types_pb2 import DT_STRING
    from tensorboard.plugins.text.metadata import create_summary_metadata

    lines = "\n\n".join("\n".join(f"    {line}" for line in text.split("\n")) for text in paragraphs)
    tensor = TensorProto(dtype=DT_STRING, string_val=[lines.encode("utf-8", "backslashreplace")])
    return Summary.Value(tag=tag, metadata=create_summary_metadata(tag, ""), tensor=tensor)


def _listed(facts: Mapping[str, Any]) -> list[str]:
    return ["\n".join(f"{name}: {value}" for name, value in facts.items())]


def _flat(settings: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Nested settings with dotted names; what is not set is "none"."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from ((f"{name.rstrip('.')}.{inner}", deeper) for inner, deeper in _flat(value))
        else:
            yield name, "none" if value is None else value
