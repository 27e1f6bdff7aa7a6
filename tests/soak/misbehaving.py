"""A generator that misbehaves as the environment says, in the middle of its training; else it learns a few numbers."""

import ctypes
import gc
import os
import random
import resource
import signal
import struct
import sys
import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection

import numpy as np
import torch

VALUE = 1.0
LONG = 3600


class Model(torch.nn.Module):
    def __init__(self, spec):
        super().__init__()
        self.spec, self.logits = spec, torch.nn.Parameter(torch.zeros(spec.vocab_size))

    def sample(self, n, decoding, rng):
        chances = (self.logits.detach() / decoding.temperature).softmax(0)
        return torch.multinomial(chances, n * self.spec.seq_len, replacement=True, generator=rng).view(n, -1)


@dataclass(frozen=True)
class Culprit:
    def fit(self, data, run):
        model = Model(data.spec)
        run.track(model, model=model)
        wrong = MISDEEDS.get(os.environ.get("SEQGAN_BENCH_FAULT", ""))
        for step in run.phase("train", 4):
            with torch.no_grad():
                model.logits += VALUE * torch.rand(data.spec.vocab_size, generator=run.rng("steps"))
            if step == 2 and wrong:
                wrong(run, model)
        return model


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("no words")


def slow(run, model):
    time.sleep(6)


def hang(run, model):
    time.sleep(LONG)


def hang_deaf(run, model):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    time.sleep(LONG)


def hang_in_c(run, model):
    ctypes.PyDLL(None).sleep(LONG)  # with Python's lock, so that no other thread runs


def killed(run, model):
    os.kill(os.getpid(), signal.SIGKILL)


def memory_error(run, model):
    limit = 1 << 40
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    bytearray(limit)


def tensor_too_large(run, model):
    torch.empty(1 << 50)


def exits(run, model):
    os._exit(0)


def exits_in_python(run, model):
    sys.exit(3)


def crashes(run, model):
    ctypes.string_at(0)


def forks(run, model):
    if os.fork() == 0:
        time.sleep(LONG)


def forks_and_both_go_on(run, model):
    os.fork()


def threads_left(run, model):
    threading.Thread(target=time.sleep, args=(LONG,)).start()


def daemon(run, model):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.chdir("/")
            os.execv(sys.executable, [sys.executable, "-c", f"import time; time.sleep({LONG})"])
        os._exit(0)
    os.wait()


def daemon_and_crash(run, model):
    daemon(run, model)
    os._exit(1)


def nan_weights(run, model):
    model.logits.data[0] = float("nan")


def nan_loss(run, model):
    run.log(loss=float("nan"))


def inf_loss(run, model):
    run.log(loss=float("inf"))


def surrogate_message(run, model):
    raise ValueError("half a \ud83d character")


def surrogate_phase(run, model):
    for _ in run.phase("half a \ud83d character", 1):
        pass


def surrogate_log(run, model):
    run.log(**{"half a \ud83d character": 1.0})


def unprintable(run, model):
    raise Unprintable


def interrupt(run, model):
    raise KeyboardInterrupt


def generator_exit(run, model):
    raise GeneratorExit


def closes_output(run, model):
    os.close(1)
    os.close(2)


def closes_all(run, model):
    os.closerange(3, 200)


def _pipe():
    gc.unfreeze()  # the harness hides from the collector what was there before the run
    return next(each for each in gc.get_objects() if isinstance(each, Connection) and not each.closed)


def garbage(run, model):
    os.write(_pipe().fileno(), b"garbage\n" * 20)


def garbage_message(run, model):
    _pipe().send_bytes(b"garbage\n" * 20)


def strange_message(run, model):
    _pipe().send({"status": "ok"})


def endless_message(run, model):
    os.write(_pipe().fileno(), struct.pack("!iQ", -1, 1 << 40))


def long_message(run, model):
    raise ValueError("x" * 10_000_000)


def long_names(run, model):
    run.log(**{"x" * 1_000_000: 1.0})


def changes_globals(run, model):
    os.environ.clear()
    os.chdir("/")
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(7)
    np.random.seed(7)  # noqa: NPY002
    random.seed(7)
    torch.set_num_threads(3)
    torch.set_grad_enabled(False)
    sys.path.clear()
    sys.setrecursionlimit(150)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    gc.disable()


def prints(run, model):
    for _ in range(1000):
        os.write(1, b"x" * 10_000)


MISDEEDS = {name: each for name, each in list(globals().items()) if getattr(each, "__code__", None)}
