"""The peers' side of a row: a process that does one work as often as it is told.

    worker.py SPEC    SPEC is the row as JSON (`benches/peers/rivals.json` has the works); answers every line on stdin, each by a
                      line of JSON: `run` does the work and says how long it took, `check FILE` writes its result to FILE
"""

import importlib
import json
import os
import resource
import sys
import time
from pathlib import Path

os.environ.setdefault("TQDM_DISABLE", "1")

import numpy
import torch
from safetensors.torch import load_file, save_file

import models


class Setup:
    """A model, its inputs, and how the work is to be done."""

    def __init__(self, spec):
        folder = Path(spec["folder"])
        self.dtype, self.device = getattr(torch, spec["dtype"]), spec["device"]
        self.model = spec["model"]
        self.net = models.open(folder, self.dtype).to(self.device)
        self.stored = load_file(folder / "inputs.safetensors")

    def take(self, rows):
        """Makes the first `rows` images the work's."""
        self.batch = rows
        self.x, self.y = self.input("x")[:rows], self.stored["y"][:rows].to(self.device)

    def input(self, name):
        tensor = self.stored[name]
        return tensor.to(self.device, self.dtype if tensor.is_floating_point() else None)

    def layer(self, settings):
        return self.net.get_submodule(settings["layer"])


def in_double_precision():
    """Peers that round to single precision on their way must not, where their results are compared in double."""
    torch.set_default_dtype(torch.float64)
    torch.Tensor.float = torch.Tensor.double
    torch.float, torch.FloatTensor = torch.float64, torch.DoubleTensor
    numpy.float32 = numpy.float64


def synchronise(device):
    if device == "cuda":
        torch.cuda.synchronize()


def answer(line, runner, spec, setup):
    command, *arguments = line.split()
    settings = spec["settings"] | (spec["check"] if command == "check" else {})
    setup.take(settings.get("rows", {}).get(spec["model"], spec["batch"]))
    synchronise(spec["device"])
    start = time.perf_counter()
    result = runner(setup, settings)
    synchronise(spec["device"])
    seconds = time.perf_counter() - start
    if command == "check":
        save_file({"map": result.detach().cpu().contiguous()}, arguments[0])
    return {"seconds": seconds, "rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def main(spec):
    torch.set_num_threads(spec["threads"])
    torch.manual_seed(0)
    if spec["dtype"] == "float64":
        in_double_precision()
    runner = importlib.import_module(spec["runner"]).WORKS[spec["work"]]
    setup = Setup(spec)
    # Only this process's own lines may be on stdout: packages print there.
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        try:
            said = answer(line, runner, spec, setup)
        except Exception as error:
            said = {"error": f"{type(error).__name__}: {error}"[:300]}
        print(json.dumps(said), file=answers, flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
