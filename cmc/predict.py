"""``python -m cmc.predict``: label other data with a finished run, also where modalities are missing."""

from __future__ import annotations

from pathlib import Path

import hydra
from omegaconf import DictConfig

from cmc.cli import command, register_resolvers, shipped, task
from cmc.config.messages import make
from cmc.config.schema import check, conf_dir
from cmc.errors import UserError
from cmc.runs.folder import finished
from cmc.runs.tables import check_writable

register_resolvers()


@hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="predict")
@task
def _predict(config: DictConfig) -> None:
    check(config, shipped("predict"))
    run = finished(config.run)
    if not config.data.root:
        raise UserError("data.root: not given; name the file or folder to label, data.root=PATH")
    if not Path(config.data.root).expanduser().exists():
        raise UserError(f"data.root: {config.data.root}: there is no such file or folder")
    out = Path(config.out).expanduser() if config.out else run / "predictions.csv"
    check_writable("out", out)

    from cmc.inference import inputs
    from cmc.inference.predict import predict
    from cmc.inference.trained import load
    from cmc.utils.progress import bars

    trained = load(run, config.trust, config.device)
    data = inputs.read(make("data", config.data), trained.dims, config.missing)
    with bars() as (advance, begin):
        begin("predict", data.n_samples)
        predict(trained, data, out, config.probabilities, lambda rows: advance("predict", rows))
    lacking = "".join(f"; {count} of them lack {name}" for name, count in data.missing.items())
    print(f"{out}: {data.n_samples} samples, K = {trained.method.n_clusters}{lacking}")


def main() -> None:
    """Run the command."""
    command(_predict, "predict")


if __name__ == "__main__":
    main()
