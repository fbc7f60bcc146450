"""``experiments/wandb_sweep.yaml``: what W&B's agent would type is a command that CMC takes."""

import itertools
import json
from pathlib import Path

import yaml
from omegaconf import OmegaConf
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

from cmc.config.schema import check

SWEEP = yaml.safe_load((Path(__file__).resolve().parents[2] / "experiments" / "wandb_sweep.yaml").read_text())


def corners():
    """Parameters at the ends of their ranges, as the agent is sent them."""
    ends = {name: given.get("values") or [given["min"], given["max"]] for name, given in SWEEP["parameters"].items()}
    for values in itertools.product(*ends.values()):
        yield {name: {"value": value} for name, value in zip(ends, values, strict=True)}


def typed(parameters):
    """The words of a job's command, filled in by the functions that ``wandb agent`` calls."""
    known = {"env": ["/usr/bin/env"], "interpreter": ["python"], "program": [SWEEP["program"]]}
    known |= create_sweep_command_args({"args": parameters})
    words = create_sweep_command(list(SWEEP["command"]))
    return [word for part in words for word in (known[part[2:-1]] if part.startswith("${") else [part])]


def test_every_job_is_a_run_with_settings_that_there_are(composed):
    schema = composed("data=digits", "method=cmmc", "logger=wandb")
    for parameters in corners():
        words = typed(parameters)
        assert words[:4] == ["/usr/bin/env", "python", "-m", "cmc.run"]
        config = composed(*words[4:])  # Hydra refuses a key that there is not
        check(config, schema)  # and this a value of another type
        assert (config.names.method, config.names.data) == ("cmmc", "digits")
        assert config.logger.wandb._target_ == "cmc.loggers.WandbLogger"
        assert {name: OmegaConf.select(config, name) for name in parameters} == {
            name: given["value"] for name, given in parameters.items()
        }


def test_what_the_search_maximises_is_in_the_summary_and_needs_no_labels(finished_runs):
    group, name = SWEEP["metric"]["name"].split("/")
    report = json.loads((finished_runs["cmmc"] / "metrics.json").read_text())
    assert group == "label_free"
    assert 0 <= report[group][name] <= 1
    assert SWEEP["metric"]["goal"] == "maximize"
