"""``python -m cmc.predict``: label data with a finished run: its own, other features, or new pictures and texts."""

from __future__ import annotations

from pathlib import Path

import hydra
from omegaconf import DictConfig, OmegaConf

from cmc.cli import command, register_resolvers, shipped, task
from cmc.config.schema import check, conf_dir
from cmc.errors import UserError
from cmc.runs.folder import finished
from cmc.runs.tables import check_writable

register_resolvers()


@hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="predict")
@task
def _predict(config: DictConfig) -> None:
    default = shipped("predict")
    check(config, default)
    run = finished(config.run)
    root, raw = _place("data.root", config.data.root), _place("data.raw", config.data.raw)
    settings = OmegaConf.masked_copy(config.data, [str(key) for key in config.data if key != "raw"])
    if root is not None and raw is not None:
        raise UserError("data.raw: given beside data.root; give one of them, raw files or features")
    given = next((str(key) for key, value in settings.items() if value != default.data[key]), None)
    if root is None and given is not None:
        raise UserError(f"data.{given}: given without data.root; name the file or folder to label, data.root=PATH")
    out = Path(config.out).expanduser() if config.out else run / "predictions.csv"
    check_writable("out", out)

    from cmc.inference import samples
    from cmc.inference.predict import predict
    from cmc.inference.trained import load
    from cmc.runs.names import given as given_names
    from cmc.runs.names import kept
    from cmc.utils.progress import bars

    edits = given_names(Path(config.names).expanduser(), run) if config.names else kept(run)
    trained = load(run, config.trust, config.device)
    left_out = ""
    with bars() as (advance, begin):
        if raw is not None:
            data, left_out = samples.read_raw(trained, raw, config, advance, begin)
        else:
            module = samples.module_of(trained, None if root is None else settings, config.trust)
            data = samples.read(trained, module, config)
        begin("predict", data.n_samples)
        predict(trained, data, out, config.probabilities, edits, lambda rows: advance("predict", rows))
    lacking = "".join(f"; {count} of them lack {name}" for name, count in data.missing.items())
    print(f"{out}: {data.n_samples} samples, K = {trained.method.n_clusters}{lacking}{left_out}")


def _place(key: str, given: str | None) -> Path | None:
    """The file or folder that a setting names, if it is given."""
    if not given:
        return None
    path = Path(given).expanduser()
    if not path.exists():
        raise UserError(f"{key}: {given}: there is no such file or folder")
    return path


def main() -> None:
    """Run the command."""
    command(_predict, "predict")


if __name__ == "__main__":
    main()
