"""A made-up collection of pictures with captions, and a run folder on it, written by hand."""

import csv
import json
from dataclasses import dataclass, field

import numpy as np
from omegaconf import OmegaConf
from PIL import Image, ImageDraw

SHAPES = {
    "circle": ["round", "ball", "ring", "wheel", "coin"],
    "square": ["box", "tile", "window", "block", "frame"],
    "triangle": ["roof", "hill", "arrow", "sail", "slice"],
    "star": ["night", "sky", "bright", "point", "spark"],
}
COLOURS = {
    "red": "#d62839",
    "blue": "#2766c4",
    "green": "#2f9e5b",
    "yellow": "#f2b705",
    "violet": "#8446c7",
    "grey": "#7d8791",
}


def draw(shape, colour, seed, size=96):
    """A shape of a colour, a little different every time."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGBA", (size, size), (0, 0, 0, 0))
    pen = ImageDraw.Draw(image)
    r, (x, y) = size * rng.uniform(0.28, 0.42), size / 2 + rng.uniform(-0.06, 0.06, 2) * size
    angles = {"square": 4, "triangle": 3, "star": 10}
    if shape == "circle":
        pen.ellipse((x - r, y - r, x + r, y + r), fill=colour)
    else:
        n, turn = angles[shape], rng.uniform(0, 0.5)
        radii = [r if shape != "star" or i % 2 else r * 0.45 for i in range(n)]
        at = [2 * np.pi * i / n + turn for i in range(n)]
        pen.polygon([(x + q * np.cos(a), y + q * np.sin(a)) for q, a in zip(radii, at, strict=True)], fill=colour)
    return image


@dataclass
class Made:
    """What a made run is of; changes to it before `write`."""

    n: int = 120
    n_clusters: int = 4
    seed: int = 0
    captions: dict[int, str] = field(default_factory=dict)  # row -> in place of the made one
    pictures: bool = True
    texts: bool = True
    labels: bool = True
    own: bool = True
    calibrated: bool = False

    def __post_init__(self):
        rng = np.random.default_rng(self.seed)
        shapes, colours = list(SHAPES), list(COLOURS)
        self.shape = rng.integers(0, len(shapes), self.n)
        self.colour = rng.integers(0, len(colours), self.n)
        lost = rng.random(self.n) < 0.08
        self.cluster = np.where(lost, rng.integers(0, self.n_clusters, self.n), self.shape % self.n_clusters)
        self.confidence = np.where(lost, rng.uniform(0.4, 0.7, self.n), rng.uniform(0.9, 1, self.n)).round(6)
        self.image_own = np.where(rng.random(self.n) < 0.1, rng.integers(0, self.n_clusters, self.n), self.cluster)
        self.text_own = np.where(rng.random(self.n) < 0.05, rng.integers(0, self.n_clusters, self.n), self.cluster)
        self.ids = [f"{shapes[s]}/{i:05d}.png" for i, s in enumerate(self.shape)]
        self.text = [
            f"{colours[c]} {shapes[s]}: {', '.join(rng.choice(SHAPES[shapes[s]], 2, replace=False))}"
            for s, c in zip(self.shape, self.colour, strict=True)
        ]
        for row, text in self.captions.items():
            self.text[row] = text
        centres = rng.normal(size=(self.n_clusters, 16))
        noise = rng.normal(size=(self.n, 16)) * np.where(lost, 0.9, 0.35)[:, None]
        self.embeddings = (centres[self.cluster] + noise).astype(np.float32)
        self.sure = np.random.default_rng([self.seed, 1]).uniform(0.05, 0.95, self.n).round(6)
        self.label = [shapes[s] for s in self.shape]

    def write_pictures(self, folder):
        """The pictures, by their ids within a folder."""
        for i, name in enumerate(self.ids):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            colour = list(COLOURS.values())[self.colour[i]]
            draw(list(SHAPES)[self.shape[i]], colour, [self.seed, i]).save(folder / name)

    def write(self, run, raw=None):
        """A finished run's folder."""
        run.mkdir(parents=True)
        columns = {"index": range(self.n), "cluster": self.cluster, "confidence": self.confidence}
        columns |= {"confidence_calibrated": self.sure} if self.calibrated else {}
        if self.own:
            columns |= {"margin": (self.confidence * 0.9).round(6)}
            columns |= {"cluster_image": self.image_own, "cluster_text": self.text_own}
        columns |= {"label": self.label} if self.labels else {}
        columns |= {"id": self.ids} if self.pictures or self.texts else {}
        columns |= {"caption": self.text} if self.texts else {}
        with (run / "assignments.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(zip(*columns.values(), strict=True))
        np.save(run / "embeddings.npy", self.embeddings)
        config = {"method": {"_target_": "cmc.methods.DMIM"}, "data": {"_target_": "none"}, "names": {}, "seed": 0}
        OmegaConf.save(OmegaConf.create(config), run / "config.yaml")
        features = {"source": "shapes", "fingerprint": "0" * 32, "n_samples": self.n, "dims": {"image": 4, "text": 3}}
        if raw is not None:
            features["pictures"] = str(raw)
        report = {"method": "dmim", "data": "shapes", "seed": 0, "n_clusters": self.n_clusters, "features": features}
        report |= {"scores": {"acc": 0.9, "nmi": 0.8, "ari": 0.7, "purity": 0.9}, "protocol": "made by hand"}
        (run / "metrics.json").write_text(json.dumps(report))
        return run
