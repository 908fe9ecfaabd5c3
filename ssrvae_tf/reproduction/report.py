"""REPORT.md and report.html: the tables that are there beside the paper's figures, verdicts, curves and pictures."""

from __future__ import annotations

import base64
import csv
import io
import json
from pathlib import Path

import jinja2
import yaml

from ssrvae_tf.markdown import cell
from ssrvae_tf.photos.writing import replacing
from ssrvae_tf.reproduction.plan import RUN, Part, Plan

TABLES = {
    "table-1": "Table 1: LFW in learnt styles",
    "table-2": "Table 2: real small faces",
    "table-3": "Table 3: plug and play",
    "table-6": "Table 6: a domain of its own",
    "table-5": "Table 5: styleVAE's parts",
    "table-4": "Table 4: attentions, at equal steps",
    "table-4b": "Table 4, at equal time: attentions",
}
PICTURES = "pictures"
SHOWN = {"table_1", "table_2", "table_3", "table_4", "table_5", "table_6", PICTURES}
SHEETS = {
    "comparison.webp": "Faces in learnt styles, enlarged by all (as the paper's figure 3)",
    "styles.webp": "One face in many styles: those of real small faces, and drawn ones (as figure 7)",
    "pairs.webp": "The same networks on bicubic and on styleVAE pairs (as figure 8)",
}


def write(plan: Plan) -> Path:
    """Write anew what there is to be seen so far: REPORT.md, report.html, figures.json and pictures/.

    Returns:
        the path of REPORT.md.
    """
    finished = {name: part.finished() for name, part in plan.parts.items()}
    tables = [found["result"] for name in TABLES if (found := finished.get(name))]
    missing = [title for name, title in TABLES.items() if name in plan.parts and not finished[name]]
    pictures = [*_sheets(plan), *_curves(plan)]
    told = {
        "tables": tables,
        "missing": missing,
        "done": sum(found is not None for found in finished.values()),
        "count": len(plan.parts),
        "about": plan.about,
        "budget": yaml.safe_dump(plan.about["budget"], sort_keys=False).strip(),
        "trainings": [_training(part) for part in plan.parts.values() if part.kind == "fit" and finished[part.name]],
        "minutes": sum(found["seconds"] for found in finished.values() if found) / 60,
    }
    (plan.out / PICTURES).mkdir(parents=True, exist_ok=True)
    by_file, inside = [], []
    for name, title, data in pictures:
        with replacing(plan.out / PICTURES / name) as part:
            part.write_bytes(data)
        by_file.append((title, f"{PICTURES}/{name}"))
        kind = name.rpartition(".")[2]
        inside.append((title, f"data:image/{kind};base64,{base64.b64encode(data).decode()}"))
    loader = jinja2.PackageLoader(__package__)
    environment = jinja2.Environment(
        loader=loader, autoescape=jinja2.select_autoescape(["html"]), trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["cell"] = cell
    for name, target, shown in (("report.md", "REPORT.md", by_file), ("report.html", "report.html", inside)):
        text = environment.get_template(name).render(**told, pictures=shown)
        with replacing(plan.out / target) as part:
            part.write_text(text, encoding="utf-8")
    figures = [{key: each[key] for key in ("title", "about", "figures", "claims")} for each in tables]
    with replacing(plan.out / "figures.json") as part:
        part.write_text(json.dumps(figures, indent=1) + "\n")
    return plan.out / "REPORT.md"


def _training(part: Part) -> dict:
    found = part.finished()
    return {"name": part.name, "patches": found["result"]["patches"], "minutes": found["seconds"] / 60}


def _sheets(plan: Plan) -> list[tuple[str, str, bytes]]:
    """(file, title, bytes) of the sheets, if they are there."""
    part = plan.parts.get(PICTURES)
    if not part or not part.finished():
        return []
    return [(name, title, Path(part.folder, name).read_bytes()) for name, title in SHEETS.items()]


def _curves(plan: Plan) -> list[tuple[str, str, bytes]]:
    """(file, title, PNG): how trainings went, of those that have begun: on photos held back or, where no training of a
    sheet has such a figure, its loss."""
    runs = {name: Path(part.folder, RUN) for name, part in plan.parts.items() if part.kind == "fit"}
    psnr = "val_psnr", "PSNR of photos held back, dB"
    distance = "val_band_distance", "distance of photos held back, nats"
    groups = {
        "curves-bicubic.png": ("Learning curves: bicubic pairs", psnr, "loss", "-bicubic"),
        "curves-styled.png": ("Learning curves: styleVAE and hand-made pairs", psnr, "loss", "-styled"),
        "curves-styles.png": ("Learning curves: styleVAEs", distance, "transfer", "style-"),
    }
    found = []
    for name, (title, (score, unit), loss, part) in groups.items():
        paths = {run: path for run, path in runs.items() if _belongs(run, part)}
        for file, column, axes in (("metrics.csv", score, ("epoch", unit)), ("steps.csv", loss, ("step", loss))):
            curves = {run: points for run, path in paths.items() if (points := _curve(path / file, column))}
            if curves:
                found.append((name, title, _plot(curves, title, *axes)))
                break
    return found


def _belongs(run: str, part: str) -> bool:
    if part == "style-":
        return run.startswith(part)
    if part == "-bicubic":
        return run.startswith("sr-") and part in run and "seed" not in run
    return run.startswith("sr-") and "-bicubic" not in run


def _curve(table: Path, column: str) -> list[tuple[float, float]]:
    """(the row's number, its figure) of a run's table; nothing if it has none."""
    try:
        with table.open(newline="") as rows:
            return [(float(next(iter(row.values()))), float(row[column])) for row in csv.DictReader(rows)]
    except (OSError, KeyError, ValueError):
        return []


def _plot(curves: dict[str, list], title: str, across: str, upwards: str) -> bytes:
    from matplotlib.figure import Figure  # slow

    figure = Figure((8, 4.5), layout="constrained")
    axes = figure.add_subplot(xlabel=across, ylabel=upwards, title=title)
    for name, points in curves.items():
        axes.plot(*zip(*points), marker=".", label=name)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110)
    return file.getvalue()
