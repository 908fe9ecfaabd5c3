"""The paper's tables from what was measured, with their claims (`claims`).

Intervals of distances are `ssrvae_tf.metrics.intervals`', those of PSNR and SSIM `claims`'.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Iterable, Iterator

import numpy as np

from ssrvae_tf.metrics import frechet_distance, kernel_distance
from ssrvae_tf.metrics.intervals import frechet_difference, frechet_interval
from ssrvae_tf.reproduction.claims import HELD, Evidence, claim, difference_interval, mean_interval
from ssrvae_tf.reproduction.plan import DONE

_GAIN = 2.97  # dB, of SSRVAE over bicubic in the paper's table 1

# The paper's own figures.
_PAPER_1 = {
    "bicubic": (21.19, 0.557),
    "SRCNN": (19.57, None),
    "SRGAN": (20.36, None),
    "EDSR": (20.44, None),
    "RDN": (18.18, None),
    "SSRVAE": (24.16, 0.7197),
}
_PAPER_2 = {"bicubic": 288.47, "SRCNN": 256.78, "SRGAN": 179.7, "EDSR": 129.93, "RDN": 162.03, "SSRVAE": 98.61}
_PAPER_3 = {"SRCNN": (256.78, 198.75), "EDSR": (129.93, 107.63)}
_PAPER_4 = {"none": 30.08, "local": 30.18, "global": 30.27, "both": 30.43}
_PAPER_5 = {"bicubic": 31.20, "none": 26.6, "mi": 25.78, "adain": 24.63, "both": 18.77}
_ATTENTIONS = {"none": "no attention", "local": "local", "global": "global", "both": "both"}
_STYLES = {"none": "neither", "mi": "MI", "adain": "AdaIN", "both": "AdaIN and MI", "classical": "hand-made"}
_PEOPLE = {"identity": "same person (cosine)", "found": "faces found"}
# Which variant must beat which.
_ORDER_4 = (("both", "global"), ("both", "local"), ("global", "none"), ("local", "none"))
_ORDER_5 = (("both", "adain"), ("both", "mi"), ("adain", "none"), ("mi", "none"))


def table(title: str, about: str, columns: list[str], rows: list[dict], claims: list[dict], figures: dict) -> dict:
    """What a part of the plan leaves. Rows are {"name", column: text}, `figures` the same as numbers."""
    found = {"title": title, "about": about, "columns": columns, "rows": rows, "claims": claims, "figures": figures}
    return json.loads(json.dumps(found, default=float))


def result(folder: str) -> dict:
    """That of a finished part."""
    return json.loads(Path(folder, DONE).read_text())["result"]


def _interval(value: float, low: float, high: float, digits: int, sign: str = "") -> str:
    return f"{value:{sign}.{digits}f} ({low:{sign}.{digits}f} to {high:{sign}.{digits}f})"


def _psnr(quality: str) -> np.ndarray:
    return np.load(Path(quality) / "psnr.npy")


def _ssim(quality: str) -> np.ndarray:
    return np.load(Path(quality) / "ssim.npy")


def _people(row: dict) -> dict[str, float]:
    """What was asked for about the persons on a network's results: figures by their columns."""
    found = result(row["people"]) if "people" in row else {}
    return {column: found[name] for name, column in _PEOPLE.items() if found.get(name) is not None}


def _spent(quality: str, shipped: bool = False) -> dict[str, str]:
    """What a network had: cells. Of one that was trained elsewhere, only its last training is known."""
    found, end = result(quality), " or more" if shipped else ""
    ends = {"weights": "", "patches": end}
    return {name: f"{found[name]:,}{end}" if found.get(name) else "" for name, end in ends.items()}


def table_1(options: dict, folder: Path) -> dict:
    """PSNR and SSIM on LFW in learnt styles."""
    resamples, rows, figures, gains = options["resamples"], [], {}, {}
    plain = options["rows"][0]
    own_column = "gain in the weights' own styles, dB"
    for row in options["rows"]:
        name, values, paper = row["name"], _psnr(row["quality"]), _PAPER_1.get(row["name"])
        gain = mean_interval(values - _psnr(plain["quality"]), resamples)
        cells = {"name": name, "PSNR, dB": f"{values.mean():.2f}", "SSIM": f"{_ssim(row['quality']).mean():.4f}"}
        figures[name] = {"PSNR": values.mean(), "gain": gain, "SSIM": _ssim(row["quality"]).mean()}
        if row is not plain:
            cells["gain over bicubic, dB"] = _interval(*gain, 2, "+")
        if "own" in row:
            before, after = map(_psnr, row["own"])
            gains[name] = mean_interval(after - before, resamples)
            cells[own_column] = _interval(*gains[name], 2, "+")
            figures[name]["own gain"] = gains[name]
        known = _people(row)
        figures[name].update(known)
        cells.update({column: f"{value:.3f}" for column, value in known.items()})
        if paper:
            cells["paper"] = f"{paper[0]:.2f}" + (f" / {paper[1]:.4g}" if paper[1] else "")
        rows.append({**cells, **_spent(row["quality"], row.get("shipped", False))})
    by_name = {row["name"]: _psnr(row["quality"]) for row in options["rows"]}
    ours = by_name.get("SSRVAE")
    claims = []
    for name in by_name:
        if name in _PAPER_1 and name != "SSRVAE":
            found = mean_interval(ours - by_name[name], resamples)
            paper = f"{_PAPER_1['SSRVAE'][0] - _PAPER_1[name][0]:+.2f} dB"
            claims.append(claim(f"SSRVAE beats {name}", [Evidence("PSNR, dB", *found, 2)], paper))
    for name in by_name:
        if name in _PAPER_1 and name not in ("SSRVAE", "bicubic"):
            found = mean_interval(by_name["bicubic"] - by_name[name], resamples)
            paper = f"{_PAPER_1['bicubic'][0] - _PAPER_1[name][0]:+.2f} dB"
            text = f"{name}, trained on bicubic pairs, falls below bicubic"
            claims.append(claim(text, [Evidence("PSNR, dB", *found, 2)], paper))
    network = "SSRVAE's network, bicubic pairs"
    found = mean_interval(ours - by_name[network], resamples)
    claims.append(claim("SSRVAE beats its own network on bicubic pairs", [Evidence("PSNR, dB", *found, 2)]))
    for row in options["rows"]:
        if row.get("shipped") and "own" in row:
            plan_styles = mean_interval(by_name[row["name"]] - by_name["bicubic"], resamples)
            evidence = [
                Evidence("PSNR in the styles of its own styleVAE, dB", *gains[row["name"]], 2, least=_GAIN),
                Evidence("in those of this plan's, dB", *plan_styles, 2, counts=False, least=_GAIN),
            ]
            claims.append(claim(f"{row['name']} beats bicubic by {_GAIN} dB or more", evidence, f"+{_GAIN} dB"))
    count = result(plain["quality"])["photos"]
    about = (
        f"{count} photos of LFW, centres, shrunk by this plan's styleVAE in the styles of real small faces that it has "
        "not seen; RGB, no border cut. Networks that are measured as they are had a budget of their own, of which the "
        "patches of the last training are known; their own styles are those of the styleVAE that made their pairs."
    )
    columns = [
        "PSNR, dB",
        "gain over bicubic, dB",
        "SSIM",
        *_PEOPLE.values(),
        own_column,
        "paper",
        "weights",
        "patches",
    ]
    used = [column for column in columns if any(row.get(column) for row in rows)]
    return table("Table 1: LFW in learnt styles", about, used, rows, claims, figures)


class _Judges:
    """Distances to one set of photos on several networks.

    Args:
        names: of the networks.
        reference: folder of the activations that distances are measured to.
        resamples: for intervals.
    """

    def __init__(self, names: Iterable[str], reference: str, resamples: int):
        self.names = [Path(name).name for name in names]
        self.resamples, self.count = resamples, result(reference)["photos"]
        self._to = {name: self._of(reference, name) for name in self.names}

    @staticmethod
    def _of(features: str, name: str) -> np.ndarray:
        return np.load(Path(features) / f"{name}.npy")

    def columns(self, ratio: bool = True) -> list[str]:
        ends = ("FD({})", "{}: of bicubic's", "KD({})") if ratio else ("FD({})", "KD({})")
        return [end.format(name) for name in self.names for end in ends]

    def cells(self, features: str, plain: str | None = None) -> tuple[dict[str, str], dict[str, Any]]:
        """(texts, numbers) of a row."""
        cells, figures = {}, {}
        for name in self.names:
            found, to = self._of(features, name), self._to[name]
            mark = " †" if name in result(features).get("taught_by", ()) else ""
            distance = frechet_distance(found, to)
            interval = frechet_interval(found, to, resamples=self.resamples)
            kernel = kernel_distance(found, to)
            cells[f"FD({name})"] = _interval(distance, *interval, _digits(distance)) + mark
            cells[f"KD({name})"] = f"{kernel:.4f}{mark}"
            figures[f"FD({name})"], figures[f"KD({name})"] = (distance, *interval), kernel
            if plain:
                ratio = distance / frechet_distance(self._of(plain, name), to)
                cells[f"{name}: of bicubic's"], figures[f"{name}: of bicubic's"] = f"{ratio:.2f}{mark}", ratio
        return cells, figures

    def nearer(self, better: str, worse: str, what: str = "") -> Iterator[Evidence]:
        """How much farther `worse` is than `better`. A network that was trained on a judge may lose by it, not win."""
        for name in self.names:
            first, second = self._of(worse, name), self._of(better, name)
            found = frechet_difference(first, second, self._to[name], resamples=self.resamples)
            evidence = Evidence(f"{what}FD({name})", *found, _digits(max(map(abs, found))))
            taught = [name in result(each).get("taught_by", ()) for each in (better, worse)]
            evidence.counts = not (taught[0] or (taught[1] and evidence.verdict != HELD))
            yield evidence


def _digits(distance: float) -> int:
    """After the point: each network has a scale of its own."""
    return 3 if distance < 10 else 2 if distance < 100 else 1


_TAUGHT = "† trained on this network's features, whose distance then decides nothing in its favour."


def table_2(options: dict, folder: Path) -> dict:
    """Distances on real small faces."""
    judges = _Judges(options["judges"], options["sharp"], options["resamples"])
    rows, figures, of = [], {}, {row["name"]: row for row in options["rows"]}
    plain = of["bicubic"]["features"]
    for name, row in of.items():
        cells, figures[name] = judges.cells(row["features"], plain)
        cells["PSNR in learnt styles, dB"] = f"{_psnr(row['quality']).mean():.2f}"
        cells.update({column: f"{value:.3f}" for column, value in _people(row).items()})
        rows.append({"name": name, **cells, "paper (FID)": f"{_PAPER_2[name]:g}" if name in _PAPER_2 else ""})
    claims = []
    for name in of:
        if name != "SSRVAE" and not of[name].get("shipped"):
            evidence = judges.nearer(of["SSRVAE"]["features"], of[name]["features"])
            paper = f"{_PAPER_2[name] - _PAPER_2['SSRVAE']:.2f} lower" if name in _PAPER_2 else ""
            claims.append(claim(f"SSRVAE is nearer to sharp faces than {name}", evidence, paper))
    peer = "Real-ESRGAN x4plus"
    for name in of:
        if of[name].get("shipped") and name != peer:
            found = {key: value for key, value in figures[name].items() if "bicubic" in key}
            ratios = ", ".join(f"{key} {value:.2f}" for key, value in found.items())
            if peer in of:
                evidence = judges.nearer(of[name]["features"], of[peer]["features"])
                claims.append(claim(f"{name} is nearer than {peer}", evidence))
            evidence = judges.nearer(of[name]["features"], plain)
            claims.append(claim(f"{name} is nearer than bicubic ({ratios})", evidence, "SSRVAE: 0.34 of bicubic's"))
    count = result(plain)["photos"]
    about = (
        f"{count} real small faces, enlarged, to {judges.count} sharp faces that nothing was trained on here. A "
        f"distance alone is fooled by texture: see PSNR beside it, and the pictures. {_TAUGHT}"
    )
    if peer not in of:
        about += f' {peer} was not measured: pip install -e ".[peers]" brings it.'
    people = [column for column in _PEOPLE.values() if rows[0].get(column)]
    columns = [*judges.columns(), "PSNR in learnt styles, dB", *people, "paper (FID)"]
    return table("Table 2: real small faces", about, columns, rows, claims, figures)


def table_3(options: dict, folder: Path) -> dict:
    """Other networks on bicubic and on styleVAE pairs."""
    judges = _Judges(options["judges"], options["sharp"], options["resamples"])
    plain, rows, figures, claims = options["bicubic"]["features"], [], {}, []
    for before, after in options["pairs"]:
        name = before["name"]
        for row, pairs, paper in zip((before, after), ("bicubic", "styleVAE"), _PAPER_3[name]):
            title = f"{name}, {pairs} pairs"
            cells, figures[title] = judges.cells(row["features"], plain)
            dB = f"{_psnr(row['quality']).mean():.2f}"
            rows.append({"name": title, **cells, "PSNR in learnt styles, dB": dB, "paper (FID)": f"{paper:g}"})
        evidence = judges.nearer(after["features"], before["features"])
        paper = f"{_PAPER_3[name][0] - _PAPER_3[name][1]:.2f} lower"
        claims.append(claim(f"{name} is nearer when trained on styleVAE pairs", evidence, paper))
    about = "The photos of table 2; the same network, steps and patches, other pairs."
    columns = [*judges.columns(), "PSNR in learnt styles, dB", "paper (FID)"]
    return table("Table 3: plug and play", about, columns, rows, claims, figures)


def table_4(options: dict, folder: Path) -> dict:
    """Attentions, at as many steps or, where speeds are given, at as much time."""
    resamples = options["resamples"]
    found = {name: np.stack([_psnr(each["quality"]) for each in runs]) for name, runs in options["variants"].items()}
    plain, similar = (measure(options["bicubic"]).mean() for measure in (_psnr, _ssim))
    rows = [{"name": "bicubic", "PSNR, dB": f"{plain:.3f}", "SSIM": f"{similar:.4f}"}]
    figures = {"bicubic": {"PSNR": plain, "SSIM": similar}}
    speeds = result(options["speeds"])["step"] if options.get("speeds") else {}
    for name, runs in options["variants"].items():
        values, similar = found[name], np.mean([_ssim(each["quality"]).mean() for each in runs])
        cells = {"name": _ATTENTIONS[name], "PSNR, dB": f"{values.mean():.3f}", "SSIM": f"{similar:.4f}"}
        cells["each training"] = ", ".join(f"{each:.3f}" for each in values.mean(1))
        if name != "none":
            gain = difference_interval(values, found["none"], resamples)
            cells["gain over none, dB"] = _interval(*gain, 3, "+")
        if speeds:
            cells["ms a step"] = f"{1000 * speeds[name]:.0f}"
        cells["paper"] = f"{_PAPER_4[name]:.2f}"
        rows.append({**cells, **_spent(runs[0]["quality"])})
        figures[name] = {"PSNR": list(values.mean(1)), "SSIM": similar, "seconds": speeds.get(name)}
    claims = []
    for better, worse in _ORDER_4:
        difference = difference_interval(found[better], found[worse], resamples)
        paper = f"{_PAPER_4[better] - _PAPER_4[worse]:+.2f} dB"
        text = f"{_ATTENTIONS[better]} beats {_ATTENTIONS[worse]}"
        claims.append(claim(text, [Evidence("PSNR, dB", *difference, 3)], paper))
    trainings, photos = found["both"].shape
    about = f"{photos} photos of LFW, centres, shrunk bicubically; {trainings} trainings of each, on bicubic pairs. "
    if speeds:
        about += "All as long as the one with both attentions, by steps timed in turn: cheaper ones see more patches."
    else:
        about += "All see as many patches."
    title = "Table 4, at equal time: attentions" if speeds else "Table 4: attentions, at equal steps"
    columns = ["PSNR, dB", "gain over none, dB", "each training", "SSIM", "ms a step", "paper", "weights", "patches"]
    used = [column for column in columns if any(row.get(column) for row in rows)]
    return table(title, about, used, rows, claims, figures)


def table_5(options: dict, folder: Path) -> dict:
    """Distances of degraded faces to real small ones."""
    judges = _Judges(options["judges"], options["real"], options["resamples"])
    rows, figures, of = _degraded_rows(options["rows"], judges, _PAPER_5)
    claims = []
    for better, worse in _ORDER_5:
        evidence = [
            each
            for way in ("posterior", "drawn")
            for each in judges.nearer(of[better, way], of[worse, way], f"{way} styles, ")
        ]
        paper = f"{_PAPER_5[worse] - _PAPER_5[better]:.2f} lower"
        text = f"{_STYLES[better]} is nearer to real small faces than {_STYLES[worse]}"
        claims.append(claim(text, evidence, paper))
    for rival in ("bicubic", "classical"):
        evidence = [
            each
            for way in ("posterior", "drawn")
            for each in judges.nearer(of["both", way], of[rival, ""], f"{way} styles, ")
        ]
        paper = f"{_PAPER_5['bicubic'] - _PAPER_5['both']:.2f} lower" if rival == "bicubic" else ""
        claims.append(claim(f"AdaIN and MI is nearer than {_STYLES.get(rival, rival)} degradation", evidence, paper))
    about = (
        f"Sharp faces that nothing was trained on, degraded, to {judges.count} real small faces that no styleVAE has "
        "seen. Posterior: in the styles of these; drawn: in styles from the sampler. Without AdaIN the style is joined "
        "to the features once. The hand-made degradation is random blur, rescaling, noise and JPEG."
    )
    columns = [*judges.columns(ratio=False), "paper (FID)"]
    return table("Table 5: styleVAE's parts", about, columns, rows, claims, figures)


def _degraded_rows(given: list[dict], judges: _Judges, paper: dict) -> tuple[list[dict], dict, dict]:
    """(rows, figures, {(name, way): folder of features})."""
    rows, figures, of = [], {}, {}
    for row in given:
        name, way = row["name"], row.get("way", "")
        of[name, way] = row["features"]
        title = _STYLES.get(name, name) + (f", {way}" if way else "")
        cells, figures[title] = judges.cells(row["features"])
        known = paper.get(name) if way in ("", "posterior") else None
        rows.append({"name": title, **cells, "paper (FID)": f"{known:g}" if known else ""})
    return rows, figures, of


def table_6(options: dict, folder: Path) -> dict:
    """Kinds of small faces that the hand-made degradation was not set for."""
    rows, figures, claims, counts = [], {}, [], []
    for domain, found in options["domains"].items():
        real = _Judges(options["judges"], found["real"], options["resamples"])
        sharp = _Judges(options["judges"], options["sharp"], options["resamples"])
        counts.append(f"{real.count} of {domain}")
        degraded, numbers, of = _degraded_rows(found["degraded"], real, {})
        rows += [{**row, "name": f"{domain}, degraded: {row['name']}"} for row in degraded]
        figures[f"{domain}, degraded"] = numbers
        evidence = [
            each
            for way in ("posterior", "drawn")
            for each in real.nearer(of["styleVAE of this domain", way], of["classical", ""], f"{way} styles, ")
        ]
        text = f"{domain}: a styleVAE of these alone degrades more like them than hand-made degradation"
        claims.append(claim(text, evidence))
        enlarged = {row["name"]: row["features"] for row in found["enlarged"]}
        numbers = {}
        for name, features in enlarged.items():
            cells, numbers[name] = sharp.cells(features)
            rows.append({"name": f"{domain}, enlarged: {name}", **cells})
        figures[f"{domain}, enlarged"] = numbers
        hand_made = enlarged["SSRVAE's network, hand-made pairs"]
        ours = enlarged["SSRVAE's network, pairs of this domain's styleVAE"]
        text = f"{domain}: a network on that styleVAE's pairs is nearer to sharp faces than on hand-made pairs"
        claims.append(claim(text, sharp.nearer(ours, hand_made)))
    about = (
        f"Degraded: sharp faces to real small ones of the domain, {', '.join(counts)}, that nothing was trained on. "
        "Enlarged: these, to sharp faces; each network had the same steps. Few photos make distances large and their "
        "intervals wide."
    )
    judged = _Judges(options["judges"], options["sharp"], 2)
    return table("Table 6: a domain of its own", about, judged.columns(ratio=False), rows, claims, figures)
