"""What a command imports before it trains, in an interpreter of its own; and that what was left out is there."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LATER = "transformers", "scipy.signal", "torch._dynamo"


def printed(code):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_a_run_is_loaded_without_what_it_does_not_use_and_all_of_it_works_afterwards():
    code = f"""
import gc, sys
from cmc.training.loading import load_training
module = load_training()
print(module.__name__, [name for name in {LATER} if name in sys.modules], gc.isenabled())
import torch
from lightning_fabric.wrappers import _unwrap_compiled
print(type(_unwrap_compiled(torch.nn.Linear(2, 2))[0]).__name__, "torch._dynamo" in sys.modules)
from pytorch_lightning.trainer.connectors.logger_connector.result import _ResultCollection
print(_ResultCollection(True).valid_items() is not None)
compiled = torch.compile(torch.nn.Linear(2, 2), backend="eager")
print(compiled(torch.zeros(1, 2)).shape, "torch._dynamo" in sys.modules)
print(type(_unwrap_compiled(compiled)[0]).__name__)
import transformers, scipy.signal
from torchmetrics.functional.text import bert
print(bert.AutoModel.from_pretrained == transformers.AutoModel.from_pretrained, scipy.signal.windows.hann(3).tolist())
print(load_training() is module)
"""
    first, *rest = printed(code)
    assert first == "cmc.training.side_by_side [] True"
    assert rest == [
        "Linear False",
        "True",
        "torch.Size([1, 2]) True",
        "Linear",
        "True [0.0, 1.0, 0.0]",
        "True",
    ]


def test_where_stand_ins_do_not_do_it_is_imported_plainly():
    code = """
import sys
import cmc.training.loading as loading
asked = []
def broken(name):
    asked.append(name)
    if len(asked) == 1:
        raise ImportError(name)
    return __import__("importlib").import_module(name)
loading.import_module = broken
print(loading.load_training().__name__, len(asked))
"""
    assert printed(code) == ["cmc.training.side_by_side 2"]
