from __future__ import annotations

import torch

from bench.api import SequenceSpec, TrainingData
from bench.tasks.base import TaskData

SPEC = SequenceSpec(5, 2, bos=5)
ONE, TWO, THREE = torch.tensor([[0, 1]]), torch.tensor([[2, 3]]), torch.tensor([[4, 0], [1, 1]])


def sha256(train, valid, test):
    return TaskData(TrainingData(SPEC, train, valid), test, None, "ids").sha256


def test_the_hash_is_of_every_token_and_of_its_position():
    same = sha256(ONE, TWO, THREE)
    assert sha256(ONE.clone(), TWO, THREE) == same
    assert sha256(TWO, ONE, THREE) != same
    assert sha256(ONE, THREE, TWO) != same
    assert sha256(ONE, TWO, THREE.flip(1)) != same
    assert sha256(ONE, TWO, THREE.view(1, 4)) != same
    assert sha256(torch.cat([ONE, TWO]), TWO[:0], THREE) != sha256(ONE, TWO, THREE)
