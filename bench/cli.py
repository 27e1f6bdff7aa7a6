"""The command line. Each command imports what it needs inside the function, so that ``bench --help`` is instant."""

from __future__ import annotations

import codecs
import errno
import io
import sys
from typing import Any

import click

from bench.commands.data import data
from bench.commands.gate import accept, compare
from bench.commands.merge import merge
from bench.commands.output import lasting_output, silence
from bench.commands.perf import perf
from bench.commands.plan import plan
from bench.commands.plugins import list_plugins, validate
from bench.commands.rate import rate
from bench.commands.report import report
from bench.commands.run import run
from bench.commands.sample import sample
from bench.commands.score import score
from bench.commands.tune import tune
from bench.commands.watch import watch
from bench.errors import INTERRUPTED, Halted, UsageError
from bench.visible import visible

REFUSED = (errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP, errno.EROFS)
"""What the system says of a path that a user named and may not use."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""What it says of a file that takes no more."""
PLAIN = {"↓": "v", "↑": "^", "→": ">", "±": "~", "†": "+"}
"""What stands for a sign on a terminal that cannot show it; a question mark for any other one."""


def _plain(error: UnicodeError) -> tuple[str, int]:
    """What is written instead of the characters that cannot be encoded, and where to go on."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(PLAIN.get(character, "?") for character in error.object[error.start : error.end]), error.end


codecs.register_error("plain", _plain)


class Group(click.Group):
    """Turns a user's mistake into one sentence and exit code 2, whatever command it was made in."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command: to its end, even if nobody reads what it prints, as under ``| head``."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="plain")  # where a terminal cannot show arrows
        try:
            with lasting_output(whole=True):
                return self._answered(ctx)
        except OSError as error:
            if error.errno not in FULL or error.filename:
                raise
            silence(sys.stdout)  # a file or terminal that output goes to
            try:
                click.echo(f"bench: cannot print: {error.strerror}.", err=True)
            except OSError:  # that goes there, too
                silence(sys.stderr)
            ctx.exit(1)

    def _answered(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except UsageError as error:  # a sentence: what is from elsewhere begins no line of its own
            click.echo(f"bench: {' '.join(visible(str(error)).splitlines())}", err=True)
            ctx.exit(2)
        except OSError as error:
            if error.errno not in REFUSED or not error.filename:
                raise
            click.echo(f"bench: cannot use '{visible(str(error.filename))}': {error.strerror}.", err=True)
            ctx.exit(2)
        except Halted as error:
            click.echo(f"bench: {visible(str(error))}", err=True)
            ctx.exit(1)
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(INTERRUPTED)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="seqgan-bench")
def main() -> None:
    """Train sequence generators under the same conditions and compare them honestly."""


for command in (
    accept,
    compare,
    data,
    list_plugins,
    merge,
    perf,
    plan,
    rate,
    report,
    run,
    sample,
    score,
    tune,
    validate,
    watch,
):
    main.add_command(command)
