"""Faults of plugins, disks, files and terminals: each costs its own row, says so in a line, and is over when mended."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import kills
from benchmark import Case, Trial, arguments, command, damage, differences, environment, leftovers, living, results
from benchmark import workers_of as found_workers

from bench.records.record import from_json
from bench.records.store import Store

CULPRIT = "soak_culprit:Culprit"
FAULT = "SEQGAN_BENCH_FAULT"
LONGEST = 300.0
"""Seconds after which a benchmark hangs."""
TIMEOUT = ("--timeout", "45s")
SUM = "ok, 0 skipped, "


@dataclass
class Scene:
    """A benchmark with a culprit among honest models.

    Attributes:
        folder: The working directory, which has the plugin.
        whole: The results of the same benchmark without a fault.
        mark: By which its processes are found.
        process: The benchmark, while it runs.
    """

    folder: Path
    whole: Path
    mark: str
    process: subprocess.Popen[bytes] | None = None

    @property
    def store(self) -> Path:
        """The results folder."""
        return self.folder / "results"

    @property
    def said(self) -> str:
        """What was printed."""
        return (self.folder / "said").read_text(encoding="utf-8", errors="replace")

    def wait_for(self, text: str) -> None:
        """Wait until something is printed."""
        deadline = time.monotonic() + LONGEST
        while text not in self.said and self.process and self.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)

    def record(self, model: str) -> Path:
        """The file of a model's record."""
        (file,) = self.store.glob(f"runs/*{model}*.json")
        return file

    def begin_with_whole(self) -> None:
        """Let everything be done before."""
        shutil.copytree(self.whole, self.store)


Step = Callable[[Scene], object]


def nothing(_: Scene) -> None:
    """No step."""


@dataclass(frozen=True)
class Fault:
    """What goes wrong, and what is wanted then.

    Attributes:
        name: Its name; a misdeed of the plugin has the same one.
        code: The exit code.
        status: Of the culprit's record.
        reason: A pattern of that record's reason.
        says: Patterns, each of which exactly one line of the output matches.
        more: Options.
        workers: Processes.
        before: Done before the benchmark.
        during: Done while it runs.
        mend: Done before the same command is repeated.
        shell: How a shell runs the command, which is "$@"; "" for no shell.
        variables: Of the environment.
        honest: Whether the others end as ever; they do not where the disk is lost.
        warned: Whether records may have warnings.
        quiet: Whether nothing that was printed can be seen.
        odd: Whether the culprit's record is another for good, with the names that it made up.
    """

    name: str
    code: int = 1
    status: str = "failed"
    reason: str = ""
    says: tuple[str, ...] = ()
    more: tuple[str, ...] = ()
    workers: int = 2
    before: Step = nothing
    during: Step = nothing
    mend: Step = nothing
    shell: str = ""
    variables: dict[str, str] = field(default_factory=dict)
    honest: bool = True
    warned: bool = False
    quiet: bool = False
    odd: bool = False


def row(name: str, reason: str, **more: Any) -> Fault:
    """A misdeed that costs the culprit its row."""
    return Fault(
        name, reason=reason, says=(rf"^failed: .*{reason}", rf"^\[\d/4\] .*Culprit.*: failed .*{reason}"), **more
    )


def fine(name: str, **more: Any) -> Fault:
    """A misdeed that harms nobody."""
    return Fault(name, code=0, status="ok", **more)


def elsewhere(name: str, **more: Any) -> Fault:
    """Something that no plugin did."""
    return Fault(name, **{"status": "", "honest": False, "code": 1, **more})


# What happens outside of the plugin


def mounted(size: str) -> Step:
    """The results folder is a small disk."""

    def mount(scene: Scene) -> None:
        scene.store.mkdir()
        _run("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(scene.store))

    return mount


def grown(scene: Scene) -> None:
    """The disk is cleared."""
    _run("mount", "-o", "remount,size=200m,rw", str(scene.store))


def states_on_small_disk(scene: Scene) -> None:
    """Only the states of trainings are on a small disk."""
    store = Store(scene.store)
    store.open()
    store.checkpoints.mkdir()
    _run("mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(store.checkpoints))


def read_only(scene: Scene) -> None:
    """A disk that cannot be written."""
    mounted("1m")(scene)
    _run("mount", "-o", "remount,ro", str(scene.store))


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


def unmount(scene: Scene) -> None:
    """Leave no disk behind."""
    for place in (scene.store / "runs" / "checkpoints", scene.store):
        if os.path.ismount(place):
            subprocess.run(["umount", "-l", str(place)], check=False, capture_output=True)


def after(text: str, then: Step) -> Step:
    """Do something as soon as a text is printed."""

    def during(scene: Scene) -> None:
        scene.wait_for(text)
        then(scene)

    return during


def edited(scene: Scene) -> None:
    """The plugin is another from now on."""
    file = scene.folder / "soak_culprit.py"
    file.write_text(file.read_text().replace("VALUE = 1.0", "VALUE = 2.0"))


def restored(scene: Scene) -> None:
    """The plugin is as it was."""
    file = scene.folder / "soak_culprit.py"
    file.write_text(file.read_text().replace("VALUE = 2.0", "VALUE = 1.0"))


def to_worker(number: int) -> Step:
    """A signal to the worker of the culprit, which is the only one, in the middle of its run."""

    def send(scene: Scene) -> None:
        time.sleep(2)
        for pid in found_workers(scene.mark):
            os.kill(pid, number)

    return send


def suspended(scene: Scene) -> None:
    """As by Ctrl-Z, and ``fg`` after more than the timeout."""
    assert scene.process is not None
    os.kill(scene.process.pid, signal.SIGSTOP)
    time.sleep(50)
    os.kill(scene.process.pid, signal.SIGCONT)


def damaged(model: str, change: Callable[[Scene, Path], object]) -> Step:
    """A finished results folder, a record of which is changed."""

    def before(scene: Scene) -> None:
        scene.begin_with_whole()
        change(scene, scene.record(model))

    return before


def of_schema(schema: int) -> Callable[[Scene, Path], None]:
    """A record as another version wrote it."""

    def change(_: Scene, file: Path) -> None:
        content = json.loads(file.read_text())
        content["schema"] = schema
        del content["sha256"]
        if schema < 4:
            del content["warnings"]
        else:
            from bench.records.record import checksum

            content["sha256"] = checksum(content)
        file.write_text(json.dumps(content))
        if schema < 4:
            from_json(file.read_text())

    return change


def marker_lost(scene: Scene) -> None:
    """A results folder without its marker."""
    scene.begin_with_whole()
    (scene.store / "store.json").unlink()


def choice_is(content: str) -> Step:
    """A results folder with an odd list of what was chosen."""

    def before(scene: Scene) -> None:
        scene.begin_with_whole()
        (scene.store / "runs" / "chosen.list").write_text(content)
        (scene.store / "leaderboard.md").unlink()

    return before


def cut_caches(scene: Scene) -> None:
    """Every file of numba's cache is cut in half."""
    cache = scene.folder / "numba"
    first = command(*arguments("mle", scene.folder / "first", 1))
    subprocess.run(first, check=True, capture_output=True, env=environment(NUMBA_CACHE_DIR=str(cache)), timeout=600)
    files = [file for file in cache.rglob("*") if file.is_file()]
    assert files
    for file in files:
        os.truncate(file, file.stat().st_size // 2)


BROKEN = r"is left out, because .*: repeat the 'bench run' that made it, or remove it"

FAULTS = (
    # A plugin ends its process
    row("killed", "the worker process ended with signal SIGKILL; the system may have run out of memory"),
    row("exits", "the worker process ended with exit code 0"),
    row("crashes", "the worker process ended with signal SIGSEGV"),
    row("interrupt", "the worker process ended with exit code 1"),
    row("generator_exit", "the worker process ended with exit code 1"),
    row("closes_all", "the worker process ended with exit code 1"),
    # It raises
    row("memory_error", "MemoryError"),
    row("tensor_too_large", "RuntimeError"),
    row("exits_in_python", "SystemExit: 3"),
    row("surrogate_message", r"ValueError: half a \\ud83d character"),
    row("unprintable", "its message cannot be shown"),
    row("long_message", "ValueError: x{900}"),
    # It hangs
    row("hang", "it took longer than the timeout of 45 s", more=TIMEOUT),
    row("hang_deaf", "it took longer than the timeout of 45 s", more=TIMEOUT),
    row("hang_in_c", "it took longer than the timeout of 45 s", more=TIMEOUT),
    # It leaves something behind
    fine("forks"),
    fine("forks_and_both_go_on"),
    fine("threads_left"),
    fine("daemon"),
    row("daemon_and_crash", "the worker process ended with exit code 1"),
    # Its numbers are none
    row("nan_weights", "(is not finite after step|RuntimeError: invalid multinomial distribution)"),
    row("nan_loss", "loss is nan in step 3 of phase 'train', and only finite numbers can be logged"),
    row("inf_loss", "loss is inf in step 3 of phase 'train', and only finite numbers can be logged"),
    # Its names are none
    fine("surrogate_phase", odd=True),
    fine("surrogate_log", odd=True),
    fine("long_names", odd=True),
    # It writes where it should not
    fine("closes_output"),
    fine("prints"),
    row("garbage", "something else than the harness wrote to its pipe"),
    row("garbage_message", "something else than the harness wrote to its pipe"),
    row("strange_message", "something else than the harness wrote to its pipe"),
    row("endless_message", "something else than the harness wrote to its pipe"),
    # It changes what others use
    fine("changes_globals", workers=1, odd=True),
    Fault("changes_globals_here", code=0, status="ok", workers=0, variables={FAULT: "changes_globals"}, odd=True),
    Fault(
        "edited", reason="was edited after the benchmark had started", workers=1,
        says=(r"^failed: the source of 'soak_culprit:Culprit' was edited",),
        during=after("started", edited), mend=restored,
    ),
    # Somebody else does something to its process
    Fault(
        "worker_told_to_stop", workers=1, reason="another process asked it to stop",
        says=("^failed: another process asked it to stop",), variables={FAULT: "slow"},
        during=after("Culprit seed 0", to_worker(signal.SIGTERM)),
    ),
    Fault(
        "worker_suspended", workers=1, reason="it took longer than the timeout", more=TIMEOUT,
        says=("^failed: it took longer",), variables={FAULT: "slow"},
        during=after("Culprit seed 0", to_worker(signal.SIGSTOP)),
    ),
    Fault("suspended", code=0, status="ok", more=TIMEOUT, during=after("started", suspended)),
    # The disk
    elsewhere("disk_full_at_once", before=mounted("4k"), mend=grown,
              says=("^bench: cannot write to .*No space left on device",)),
    elsewhere("disk_full", before=mounted("48k"), mend=grown,
              says=("^bench: cannot write to .*No space left on device.*What was finished before is kept",)),
    elsewhere("disk_full_at_reports", before=mounted("240k"), mend=grown,
              says=("^bench: cannot write .*No space left on device.*",)),
    Fault("disk_of_states_full", code=0, status="ok", before=states_on_small_disk, mend=unmount, warned=True,
          says=("Culprit seed 0: warning: the state of the training cannot be saved: No space left on device",)),
    elsewhere("disk_read_only", code=2, before=read_only, mend=grown, says=("^bench: cannot write to .*Read-only",)),
    elsewhere("folder_removed", during=after(": ok in", lambda scene: scene.store.rename(scene.folder / "elsewhere")),
              says=("^bench: the results folder .* was removed or replaced while it was in use",)),
    elsewhere("record_removed", during=after(": ok in", lambda scene: scene.record("real-data").unlink()),
              variables={FAULT: "slow"}, says=("^The records of 1 finished run are not in",)),
    # Files of earlier runs
    elsewhere("record_cut", code=0, before=damaged("mle", lambda _, file: os.truncate(file, 1000)), says=(BROKEN,)),
    elsewhere("record_empty", code=0, before=damaged("mle", lambda _, file: os.truncate(file, 0)), says=(BROKEN,)),
    elsewhere("record_not_text", code=0, before=damaged("mle", lambda _, file: file.write_bytes(b"\xff" * 99)),
              says=(BROKEN,)),
    elsewhere("record_nested", code=0, before=damaged("mle", lambda _, file: file.write_text("[" * 99_999)),
              says=(BROKEN,)),
    elsewhere("record_twice", code=0, honest=True, mend=lambda scene: scene.record("copy").unlink(),
              before=damaged("mle", lambda _, file: shutil.copy(file, file.with_name("copy.json"))),
              says=("is left out, because it is a copy of the record",)),
    elsewhere("record_newer", code=2, before=damaged("mle", of_schema(99)),
              mend=lambda scene: scene.record("mle").unlink(),
              says=("^bench: .*it has schema 99, and this version reads",)),
    elsewhere("record_older", code=0, honest=True, before=damaged("mle", of_schema(3))),
    elsewhere("marker_lost", code=0, honest=True, before=marker_lost),
    elsewhere("choice_is_a_list", code=0, honest=True, before=choice_is("[]")),
    elsewhere("choice_is_garbage", code=0, honest=True, before=choice_is("{{{")),
    elsewhere("caches_cut", code=0, honest=True, before=cut_caches),
    # The terminal
    Fault("output_closed_early", code=0, status="ok", quiet=True, shell='set -o pipefail; "$@" | head -1'),
    Fault("output_on_full_disk", code=0, status="ok", shell='exec "$@" > /dev/full',
          quiet=True, says=("^bench: cannot print: No space left on device",)),
    Fault("output_closed", code=0, status="ok", quiet=True, shell='exec "$@" >&-'),
)  # fmt: skip


def cases(folder: Path, names: Sequence[str] | None) -> list[Case]:
    """All faults, or those of these names."""
    known = {fault.name: fault for fault in FAULTS}
    chosen = [known[name] for name in names] if names is not None else list(FAULTS)
    if not chosen:
        return []
    kills.imports()
    whole = folder / "whole"
    if not (whole / "results" / "leaderboard.md").exists():
        shutil.rmtree(whole, ignore_errors=True)
        _write_plugin(whole)
        code = _again(whole, whole / "results")
        if code:
            raise RuntimeError(f"the undisturbed run ended with {code}: {(whole / 'again.log').read_text()}")
    wanted = results(whole / "results")
    return [Case(fault.name, lambda fault=fault: _tried(fault, folder, wanted)) for fault in chosen]


def _write_plugin(folder: Path) -> None:
    folder.mkdir(parents=True)
    shutil.copy(Path(__file__).with_name("misbehaving.py"), folder / "soak_culprit.py")


def _words(store: Path, workers: int, more: Sequence[str] = ()) -> list[str]:
    return arguments(f"random,{CULPRIT},mle", store, workers, *more)


def _again(folder: Path, store: Path) -> int:
    """Repeat a command without the fault, in a fork of this process."""
    os.environ.pop(FAULT, None)
    return kills.ended(
        kills.forked(_words(store, 0), folder / "again.log", kills.measures_no_memory, lambda: _enter(folder))
    )


def _enter(folder: Path) -> None:
    import sys

    os.chdir(folder)
    sys.path.insert(0, "")


def _tried(fault: Fault, folder: Path, wanted: dict[str, Any]) -> Trial:
    scene = Scene(folder / fault.name, folder / "whole" / "results", f"{os.getpid()}-{fault.name}")
    unmount(scene)
    shutil.rmtree(scene.folder, ignore_errors=True)
    _write_plugin(scene.folder)
    group = "faults"
    try:
        try:
            fault.before(scene)
        except subprocess.CalledProcessError as error:
            return Trial(group, fault.name, "skipped", f"{error.cmd[0]} is not possible here")
        code = _disturbed(fault, scene)
        problem = "; ".join(_problems(fault, scene, code, wanted))
        alive = _still_alive(scene.mark)
        if alive:
            return Trial(group, fault.name, "outlived", f"{alive} processes lived on")
        if problem:
            return Trial(group, fault.name, "unclear", problem)
        fault.mend(scene)
        code = _again(scene.folder, scene.store)
        if code:
            return Trial(
                group, fault.name, "by hand", f"then {code}: {(scene.folder / 'again.log').read_text()[-500:]}"
            )
        wanted = {model: each for model, each in wanted.items() if model != CULPRIT or not fault.odd}
        different = differences(_without_warnings(results(scene.store)), _without_warnings(wanted))
        if different:
            return Trial(group, fault.name, "different", different)
        rest = damage(scene.store) or leftovers(scene.store)
        if rest:
            return Trial(group, fault.name, "corrupt", rest)
        return Trial(group, fault.name, "contained")
    finally:
        unmount(scene)


def _disturbed(fault: Fault, scene: Scene) -> int:
    words = command(*_words(scene.store, fault.workers, fault.more))
    if fault.shell:
        words = ["bash", "-c", fault.shell, "bash", *words]
    variables = {FAULT: fault.name, "NUMBA_CACHE_DIR": str(scene.folder / "numba"), **fault.variables}
    if not (scene.folder / "numba").exists():
        del variables["NUMBA_CACHE_DIR"]
    with (scene.folder / "said").open("wb") as said, _ended(scene):
        scene.process = subprocess.Popen(
            words, cwd=scene.folder, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT,
            env=environment(scene.mark, **variables), start_new_session=True,
        )  # fmt: skip
        fault.during(scene)
        try:
            return scene.process.wait(LONGEST)
        except subprocess.TimeoutExpired:
            return kills.HUNG


@contextlib.contextmanager
def _ended(scene: Scene) -> Iterator[None]:
    try:
        yield
    finally:
        if scene.process is not None and scene.process.poll() is None:
            os.killpg(scene.process.pid, signal.SIGKILL)
            scene.process.wait()


def _problems(fault: Fault, scene: Scene, code: int, wanted: dict[str, Any]) -> Iterator[str]:
    """What is not as it should be after the disturbed run."""
    if code != fault.code:
        yield f"ended with {code}, not {fault.code}: {scene.said[-1500:]}"
        return
    if "Traceback" in scene.said:
        yield f"a traceback: {scene.said[-1500:]}"
    for pattern in fault.says:
        lines = [line for line in scene.said.splitlines() if re.search(pattern, line)]
        if len(set(lines)) != 1:  # the same line may come again with the reports
            yield f"{len(lines)} lines match {pattern}: {scene.said[-1500:]}"
    if fault.code in (0, 1) and not fault.quiet and SUM not in scene.said and fault.status:
        yield f"no sum at the end: {scene.said[-500:]}"
    found = {record.spec.label: record for record in Store(scene.store).records()} if fault.status else {}
    if fault.status:
        record = found.get(CULPRIT)
        if record is None or record.status != fault.status or not re.search(fault.reason, record.reason or ""):
            yield f"the culprit's record is {record and (record.status, record.reason)}"
    if fault.honest:
        as_ever = fault.status == "ok" and not fault.odd
        honest = {model: each for model, each in wanted.items() if model != CULPRIT or as_ever}
        found = results(scene.store)
        yield from filter(None, [differences(*map(_without_warnings, (found, honest)))])
        warned = [each["warnings"] for each in found.values() if each["warnings"]]
        if warned and not fault.warned:
            yield f"warned of {warned}"


def _without_warnings(found: dict[str, Any]) -> dict[str, Any]:
    return {model: {**each, "warnings": []} for model, each in found.items()}


def _still_alive(mark: str) -> int:
    deadline = time.monotonic() + kills.WAIT_SECONDS
    while (alive := living(mark)) and time.monotonic() < deadline:
        time.sleep(0.1)
    for pid in alive:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return len(alive)
