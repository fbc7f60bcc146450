"""Small trees of the published distributions, byte for byte in their formats, their known defects included.

Every builder returns the numbers that it wrote.
"""

import struct

import numpy as np

DEFECT = "-1130179"


def lines(path, rows, end="\n"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(f"{row}{end}" for row in rows).encode())


def numbers(path, array, separator=" ", trailing=" "):
    lines(path, (separator.join(f"{x:g}" for x in row) + trailing for row in array))


def picture(path, seed, size=(48, 36)):
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (3, 4, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize(size).save(path, "JPEG")


def records(path, array):
    """LEAR's records: a count, then the numbers, little-endian, without any header."""
    count, number = {".hvecs": ("<H", "H"), ".hvecs32": ("<I", "I"), ".fvec": ("<i", "f")}[path.suffix]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for row in array:
            file.write(struct.pack(count, len(row)) + struct.pack(f"<{len(row)}{number}", *row))


def nuswide(root, n=40, split=False, features=("CH", "BoW"), images=False, low="NUS_WID_Low_Level_Features"):
    """The lists in the order of the whole; train and test take turns, so that their files are in another order."""
    rng = np.random.default_rng(0)
    folders = ["actor", "zebra", "plants"]
    names = [f"{folders[i % 3]}\\{i:04d}_{2124494179 + i}.jpg" for i in range(n)]
    train = np.array([i for i in range(n) if i % 3])
    test = np.array([i for i in range(n) if not i % 3])
    concepts = ["sky", "lake", "person", "animal"]
    labels = rng.random((n, 4)) < [0.5, 0.25, 0.4, 0.3]
    words = [f"word{i}" for i in range(6)]
    tags = (rng.random((n, 6)) < 0.3).astype(int)
    tables = {"CH": rng.random((n, 5)).round(6), "BoW": rng.integers(0, 9, (n, 4))}
    names[7] = names[3]  # the same image twice, among the training and among the test images
    for array in (labels, tags, *tables.values()):
        array[7] = array[3]
    lists = {"Train": train, "Test": test}
    if not split:
        lines(root / "ImageList/Imagelist.txt", (name + "  " for name in names))
    for key, rows in lists.items():
        lines(root / f"ImageList/{key}Imagelist.txt", (names[i] + "  " for i in rows), "\r\n")
    lines(root / "ConceptsList/Concepts81.txt", concepts)
    for k, concept in enumerate(concepts):
        if not split:
            lines(root / f"Groundtruth/AllLabels/Labels_{concept}.txt", labels[:, k].astype(int))
        for key, rows in lists.items():
            flags = [str(int(x)) for x in labels[rows, k]]
            if (concept, key) == ("lake", "Train"):
                absent = next(i for i, flag in enumerate(flags) if flag == "0")
                flags[absent] = DEFECT
            lines(root / f"Groundtruth/TrainTestLabels/Labels_{concept}_{key}.txt", flags)
    lines(root / "NUS_WID_Tags/TagList1k.txt", words)
    lines(
        root / "NUS_WID_Tags/All_Tags.txt",
        (f"{i}      {' '.join(w for w, t in zip(words, row, strict=True) if t)} " for i, row in enumerate(tags)),
    )
    if split:
        for key, rows in lists.items():
            numbers(root / f"NUS_WID_Tags/{key}_Tags1k.dat", tags[rows], "\t", "\t")
    else:
        numbers(root / "NUS_WID_Tags/AllTags1k.txt", tags)
    place = root / low / "Low_Level_Features" if low == "NUS_WID_Low_Level_Features" else root / low
    for name in features:
        for key, rows in lists.items():
            file = f"BoW_{key}_int" if name == "BoW" else f"{key}_Normalized_{name}"
            numbers(place / f"{file}.dat", tables[name][rows])
    if images:
        for i, name in enumerate(names):
            picture(root / "Flickr" / name.replace("\\", "/"), i)
    return {
        "names": names,
        "labels": labels,
        "concepts": concepts,
        "tags": tags,
        "train": train,
        "test": test,
        **tables,
    }


def mirflickr(root, n=24, flat=False, pictures=True):
    """Image numbers from 1, with gaps in no file; tags with CRLF, some files empty."""
    rng = np.random.default_rng(1)
    concepts = {"sky": 0.6, "people": 0.5, "night": 0.4, "people_r1": 0.45}
    labels = {name: np.flatnonzero(rng.random(n) < share) + 1 for name, share in concepts.items()}
    place = root if flat else root / "mirflickr25k_annotations_v080"
    for name, ids in labels.items():
        lines(place / f"{name}.txt", ids)
    lines(place / "README.txt", ["the annotations of MIRFLICKR"])
    tags = {}
    for i in range(1, n + 1):
        tags[i] = [] if i % 7 == 0 else [f"tag{k}" for k in range(i % 4 + 1)] + ["são paulo"]
        lines(root / f"mirflickr/meta/tags/tags{i}.txt", tags[i], "\r\n" if i % 2 else "\n")
        if pictures:
            picture(root / f"mirflickr/im{i}.jpg", i)
    return {"labels": labels, "tags": tags, "n": n}


def espgame(root, n=20, packing="ESP-ImageSet"):
    words = [["red", "car"], ["red", "sky", "blue"], ["tree"], ["tree", "sky"], ["man", "face"]]
    labels, images = ("LABELS", "images") if packing == "ESP-ImageSet" else ("labels", "originals")
    tags = {}
    for i in range(n):
        name = f"{i:03d}.jpg"
        tags[name] = words[i % 5]
        lines(root / packing / labels / f"{name}.desc", tags[name])
        picture(root / packing / images / name, i)
    return tags


CAPTION = """<DOC>
<DOCNO>annotations/{folder}/{number}.eng</DOCNO>
<TITLE>{title}</TITLE>
<DESCRIPTION>{description}</DESCRIPTION>
<NOTES></NOTES>
<LOCATION>Lima & Callao, Peru</LOCATION>
<DATE>April 2002</DATE>
<IMAGE>images/{folder}/{number}.jpg</IMAGE>
<THUMBNAIL>thumbnails/{folder}/{number}.jpg</THUMBNAIL>
</DOC>
"""


def iaprtc12(root, n=20, regions=True, place="annotations_complete_eng"):
    """Captions that no XML parser takes: no header, a bare ampersand, cp1252 quotation marks, one without text."""
    texts, carried = {}, {}
    for i in range(n):
        folder, number = f"{i % 2:02d}", 25 + i
        title = f"Caf\xe9 {i}" if i % 3 else f"the \x93old\x94 town {i}"
        description = f"a man < 2 m & a dog; {'mountain' if i % 2 else 'house'}"
        text = CAPTION.format(folder=folder, number=number, title=title, description=description)
        if i == n - 1:
            text = f"<DOC>\n<DOCNO>annotations/{folder}/{number}.eng</DOCNO>\n</DOC>\n"
        path = root / f"iaprtc12/{place}/{folder}/{number}.eng"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("latin-1"))
        texts[f"{folder}/{number}"] = (title, description)
        carried[f"{folder}/{number}"] = {i % 3}
        picture(root / f"iaprtc12/images/{folder}/{number}.jpg", i)
    if regions:
        for folder in ("00", "01"):
            here = [(name, label) for name, labels in carried.items() for label in labels if name.startswith(folder)]
            place_ = root / f"saiapr_tc-12/{folder}/labels.txt"
            lines(place_, (f"{name.split('/')[1]}\t{k + 1}\t{label + 10}" for name, label in here for k in range(2)))
        lines(root / "wlist.txt", ["10\tsky blue", "11\tman", "12\tgrass"])
    return {"texts": texts, "carried": carried}


def lear(root, name, n=(12, 6), features=(("Gist", ".fvec", 6), ("DenseHue", ".hvecs", 5), ("Rgb", ".hvecs32", 4))):
    rng = np.random.default_rng(2)
    words = ["sky", "man", "car", "tree"]
    out = {"names": [], "annot": [], "words": words, **{feature: [] for feature, *_ in features}}
    lines(root / f"{name}_dictionary.txt", words)
    for split, count in zip(("train", "test"), n, strict=True):
        names = [f"{i % 3:02d}/{len(out['names']) + i}" for i in range(count)]
        lines(root / f"{name}_{split}_list.txt", names)
        out["names"] += names
        annotations = (rng.random((count, 4)) < 0.4).astype(int)
        annotations[np.arange(count), np.arange(count) % 4] = 1
        records(root / f"{name}_{split}_annot.hvecs", annotations.tolist())
        out["annot"].append(annotations)
        for feature, suffix, width in features:
            kind = (
                rng.random((count, width)).astype(np.float32)
                if suffix == ".fvec"
                else rng.integers(0, 300, (count, width))
            )
            records(root / f"{name}_{split}_{feature}{suffix}", kind.tolist())
            out[feature].append(kind)
    return {key: np.concatenate(v) if key not in ("names", "words") else v for key, v in out.items()}
