"""Valid folders to begin from, small: an input of a few hundred bytes is mangled more thoroughly than a large one."""

from __future__ import annotations

import io
import struct
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from PIL import Image
from scipy import sparse
from scipy.io import savemat

from tests.data import trees
from tests.data.formats import cells
from tests.reporting.made import make_run

N = 6
IMG = np.arange(5 * N, dtype=np.float32).reshape(N, 5) / 7
TXT = np.arange(1, 4 * N + 1, dtype=np.uint8).reshape(N, 4)
IDF = np.array([1.5, 2.0, 1.0], np.float32)
CODES = np.arange(N) % 3
NAMES = np.array(["cat", "dog", "eel"])[CODES]


def npz(folder: Path) -> None:
    np.savez(folder / "x.npz", img=IMG, txt=TXT, labels=CODES)


def npy(folder: Path) -> None:
    for name, array in (("img", IMG), ("txt", TXT), ("labels", CODES)):
        np.save(folder / f"{name}.npy", array)


def npy_seeds() -> list[bytes]:
    return [npy_bytes(array) for array in (IMG, IMG.astype(">f8"), np.asfortranarray(TXT), NAMES, CODES)]


def npy_bytes(array: Any) -> bytes:
    np.save(buffer := io.BytesIO(), array)
    return buffer.getvalue()


def in_npz(data: bytes) -> bytes:
    with zipfile.ZipFile(buffer := io.BytesIO(), "w") as archive:
        archive.writestr("img.npy", data)
        archive.writestr("txt.npy", npy_bytes(TXT))
    return buffer.getvalue()


def csv(folder: Path) -> None:
    for name, array in (("img", IMG), ("txt", TXT), ("labels", CODES[:, None])):
        (folder / f"{name}.csv").write_text("\n".join(",".join(f"{x:g}" for x in row) for row in array) + "\n")


def csv_ids(folder: Path) -> None:
    """Tables with ids, in two orders, and labels of some of them."""
    for name, array, order in (("img", IMG, range(N)), ("txt", TXT, range(N - 1, -1, -1))):
        lines = [",".join(["id", *(f"f{i}" for i in range(array.shape[1]))])]
        lines += [",".join([f"s{row}", *(f"{x:g}" for x in array[row])]) for row in order]
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    (folder / "labels.csv").write_text("\n".join(["id,label", *(f"s{row},{NAMES[row]}" for row in range(4))]) + "\n")


def csv_seeds() -> list[bytes]:
    """What tables look like besides: an index, genes x samples, blanks, R's names of rows, a class at the end."""
    genes = "gene," + ",".join(f"s{row}" for row in range(N)) + "\nA,1,2,3,4,5,6\nB,6,5,4,3,2,1.5\n"
    numbered = "0,1,2,3,0\n" + "".join(f"{row / 7},{row / 3},1,2,{row % 3}\n" for row in range(N))
    index = ",a,b\n" + "".join(f"{row},{row / 7},{row / 3}\n" for row in range(N))
    blanks = "".join(f" {row / 7}   {row / 3}\n" for row in range(N))
    r = '"V1" "V2"\n' + "".join(f'"s{row}" {row / 7} {row / 3}\n' for row in range(N))
    ids = "id;f0;diet\n" + "".join(f"s{row};{row / 7};{NAMES[row]}\n" for row in range(N))
    plain = "".join(",".join(f"{x:g}" for x in row) + "\n" for row in IMG)
    return [each.encode() for each in (plain, genes, numbered, index, blanks, r, ids)]


def splits(folder: Path) -> None:
    parts = {"I_tr": IMG, "T_tr": TXT, "L_tr": CODES, "I_te": IMG[:4], "T_te": TXT[:4], "L_te": CODES[:4]}
    np.savez(folder / "x.npz", **parts)


def h5mu(folder: Path) -> None:
    _mu(folder / "x.h5mu", "0.2.0", sparse.csr_matrix(IMG))


def h5mu_seeds() -> list[bytes]:
    """Of several versions, dense and sparse."""
    with tempfile.TemporaryDirectory() as folder:
        made = []
        for version in ("0.2.0", "0.1.0", "old"):
            for x in (IMG, sparse.csr_matrix(IMG), sparse.csc_matrix(IMG)):
                _mu(path := Path(folder) / "x.h5mu", version, x)
                made.append(path.read_bytes())
                path.unlink()
    return made


def _mu(path: Path, version: str, x: Any) -> None:
    ids = [f"s{row}" for row in range(N)]
    columns = {"kind": NAMES, "n": np.arange(float(N))}
    cells.h5mu(path, version, rna=(x, ids, columns), prot=(TXT[::-1], ids[::-1], {"kind": NAMES[::-1]}))


def h5ad(folder: Path) -> None:
    ids = [f"s{row}" for row in range(N)]
    cells.h5ad(folder / "a.h5ad", sparse.csr_matrix(IMG), ids, {"kind": NAMES}, X_pca=IMG[:, :2])
    cells.h5ad(folder / "b.h5ad", TXT, ids, {"kind": NAMES})


def csv_label_seeds() -> list[bytes]:
    return ["\n".join(["label", *NAMES, ""]).encode(), "\n".join(map(str, CODES)).encode(), b'\xef\xbb\xbf"a;b";2\n']


def mat4(folder: Path) -> None:
    savemat(folder / "x.mat", {"X1": IMG.astype(float), "X2": TXT.astype(float), "Y": CODES * 1.0}, format="4")


def mat5(folder: Path) -> None:
    (folder / "x.mat").write_bytes(mat5_seeds()[0])


def mat5_seeds() -> list[bytes]:
    held = np.empty((1, 2), object)
    held[0, 0], held[0, 1] = IMG, sparse.csc_matrix(TXT.astype(float))
    words = np.empty((N, 1), object)
    words[:, 0] = NAMES
    kinds: list[dict[str, Any]] = [
        {"img": IMG, "txt": TXT, "L": CODES},
        {"X": held, "gt": words},
        {"X1": sparse.csc_matrix(IMG.astype(float)), "X2": IMG * 1j, "info": {"name": "a", "at": 3}, "Y": CODES},
    ]
    return [_mat(kind, False) for kind in kinds] + [_mat(kinds[0], True)]


def _mat(variables: dict[str, Any], compressed: bool) -> bytes:
    savemat(buffer := io.BytesIO(), variables, do_compression=compressed)
    header = b"MATLAB 5.0 MAT-file".ljust(116) + bytes(8)  # without the time
    return header + buffer.getvalue()[124:]


def mat5_element_seeds() -> list[bytes]:
    return [_mat(kind, False)[128:] for kind in ({"img": IMG}, {"X": mat_cells()}, {"info": {"name": "a"}})]


def mat_cells() -> Any:
    held = np.empty((1, 2), object)
    held[0, 0], held[0, 1] = TXT, np.array(["ab"])
    return held


def in_compressed(data: bytes) -> bytes:
    packed = zlib.compress(data)
    return _mat({"txt": TXT}, False) + struct.pack("<II", 15, len(packed)) + packed


def mat73(folder: Path) -> None:
    with h5py.File(folder / "x.mat", "w", userblock_size=512, track_order=False) as file:
        refs = file.create_group("#refs#")
        held = [refs.create_dataset(name, data=array.T) for name, array in (("a", IMG), ("b", TXT))]
        file.create_dataset("X", data=np.array([[cell.ref] for cell in held], h5py.ref_dtype))
        file["X"].attrs["MATLAB_class"] = np.bytes_("cell")
        file["Y"] = CODES[None].astype(float)
        group = file.create_group("S")
        group.attrs["MATLAB_sparse"] = np.uint64(3)
        group["data"], group["ir"], group["jc"] = np.ones(2), np.array([0, 2]), np.array([0, 1, 2])
        text = file.create_dataset("word", data=np.array([[97], [98]], np.uint16))
        text.attrs["MATLAB_class"] = np.bytes_("char")
    with (folder / "x.mat").open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file".ljust(512, b" "))


def hdf5(folder: Path) -> None:
    (folder / "x.h5").write_bytes(hdf5_seeds()[0])


def hdf5_seeds() -> list[bytes]:
    return [_hdf5(plain=True), _hdf5(plain=False), _hdf5(plain=True, libver="latest")]


def _hdf5(plain: bool, **settings: Any) -> bytes:
    how: dict[str, Any] = {} if plain else {"chunks": (2, 3), "compression": "gzip", "maxshape": (None, 8)}
    with h5py.File(buffer := io.BytesIO(), "w", **settings) as file:
        file.create_dataset("img", data=IMG, **how)
        file.create_dataset("inner/txt", data=TXT, fillvalue=3, **({} if plain else {"chunks": (3, 2)}))
        file.create_dataset("labels", data=NAMES.tolist() if plain else NAMES.astype("S3"))
        file["again"] = h5py.SoftLink("/img")
    return buffer.getvalue()


def released(folder: Path) -> None:
    for name, array in (("img", IMG), ("txt", TXT), ("L", np.eye(3)[CODES])):
        savemat(folder / f"{name}.mat", {name: array})


def store(folder: Path) -> None:
    from cmc.data.datasets.espgame import EspGame

    _prepare(EspGame, folder / "raw", folder / "out")
    for path in (folder / "out").iterdir():
        path.rename(folder / path.name)
    (folder / "out").rmdir()


def begun_store(folder: Path) -> None:
    """A preparation that stopped after its first step."""
    from cmc.data.datasets.espgame import EspGame

    def stop(name: str, rows: int) -> None:
        raise StopIteration

    try:
        _prepare(EspGame, folder / "raw", folder / "out", stop)
    except StopIteration:
        return


def _prepare(kind: Any, raw: Path, out: Path, advance: Any = lambda name, rows: None) -> None:
    trees.lear(raw, "espgame", n=(6, 3))
    module = kind(root=str(out), raw=str(raw), concepts=["man", "tree"])
    module.prepare(advance, lambda name, total: None)


def lear(folder: Path) -> None:
    trees.lear(folder, "espgame", n=(6, 3))


def nuswide(folder: Path) -> None:
    trees.nuswide(folder, n=12)


def mirflickr(folder: Path) -> None:
    trees.mirflickr(folder, n=10, pictures=False)


def iaprtc12(folder: Path) -> None:
    trees.iaprtc12(folder, n=6)


def espgame(folder: Path) -> None:
    trees.espgame(folder, n=10)


def captions(folder: Path) -> None:
    for i in range(3):
        trees.picture(folder / f"{i}.jpg", i, (8, 6))
    trees.lines(folder / "captions.csv", ["image,caption,label", '0.jpg,"a, b",x', "1.jpg,c d,y", "2.jpg,e,x"])


def caption_lines(folder: Path) -> None:
    for i in range(2):
        trees.picture(folder / f"{i}.jpg", i, (8, 6))
    row = '{"file_name": "%d.jpg", "text": "a b", "label": "%s"}'
    trees.lines(folder / "metadata.jsonl", [row % (0, "x"), row % (1, "y")])


def caption_tokens(folder: Path) -> None:
    for i in range(2):
        trees.picture(folder / f"{i}.jpg", i, (8, 6))
    trees.lines(folder / "a.token.txt", ["0.jpg#0\ta b", "0.jpg#1\tc", "1.jpg#0\td"])


def caption_json(folder: Path) -> None:
    trees.picture(folder / "0.jpg", 0, (8, 6))
    text = '{"images": [{"filename": "0.jpg", "sentences": [{"raw": "a b"}, {"raw": "c"}]}]}'
    (folder / "dataset.json").write_text(text)


def caption_coco(folder: Path) -> None:
    trees.picture(folder / "0.jpg", 0, (8, 6))
    text = '{"images": [{"id": 3, "file_name": "0.jpg"}], "annotations": [{"image_id": 3, "caption": "a b"}]}'
    (folder / "captions_a.json").write_text(text)


def skipped(folder: Path) -> None:
    (folder / "skipped.csv").write_text('name,reason\n"a, b.jpg",no image\nc.jpg,cut short\n')


def extractors(folder: Path) -> None:
    (folder / "extractors").mkdir()
    about = '{"text": {"extractor": "TF-IDF", "fingerprint": "0"}}'
    extraction = '{"image": "auto", "text": "tfidf", "tables": null, "text_width": 2}'
    text = f'{{"name": "folder", "classes": ["x"], "extraction": {extraction}, "modalities": {about}}}'
    (folder / "extractors" / "extractors.json").write_text(text)
    (folder / "extractors" / "text.extractor.npz").write_bytes(in_fitted(npy_bytes(IDF)))


def fitted_seeds() -> list[bytes]:
    return [npy_bytes(array) for array in (IDF, IDF.astype(np.float64), CODES, NAMES)]


def in_fitted(data: bytes) -> bytes:
    """The weights of three words among what else is kept of TF-IDF."""
    with zipfile.ZipFile(buffer := io.BytesIO(), "w") as archive:
        archive.writestr("words.npy", npy_bytes(np.frombuffer(b"a\nb\nc", np.uint8)))
        archive.writestr("components.npy", npy_bytes(np.eye(2, 3, dtype=np.float32)))
        archive.writestr("idf.npy", data)
    return buffer.getvalue()


def image(folder: Path) -> None:
    (folder / "x.png").write_bytes(image_seeds()[0])


def image_seeds() -> list[bytes]:
    found = []
    for form in ("png", "jpeg", "gif", "bmp", "webp", "tiff"):
        Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3)).save(buffer := io.BytesIO(), form)
        found.append(buffer.getvalue())
    return found


def runs(folder: Path) -> None:
    """Two runs, so that they are compared; as a real run's, their configurations name a method and data."""
    extra = {"names": {"method": "dmim", "data": "digits"}}
    for seed, name in enumerate("ab"):
        make_run(folder / name, seed, n=12, settings=extra)
