"""The plan of all tables: which networks are trained on what, and what is measured of them."""

from __future__ import annotations

from typing import Any, Sequence

from ssrvae_tf.reproduction.budget import Budget
from ssrvae_tf.reproduction.plan import Plan

RIVALS = ("srcnn", "srgan", "edsr", "rdn")
TITLES = {"srcnn": "SRCNN", "srgan": "SRGAN", "edsr": "EDSR", "rdn": "RDN", "ssrvae": "SSRVAE"}
ATTENTIONS = {"none": (False, False), "local": (False, True), "global": (True, False), "both": (True, True)}
STYLES = {"none": (False, False), "mi": (False, True), "adain": (True, False), "both": (True, True)}
# Seconds of a step, somewhere. The plan's own finished parts say what they are here.
_STEP = {"style": 0.6, "srcnn": 0.09, "edsr": 0.12, "rdn": 0.3, "srgan": 0.3, "srgan_gan": 0.7}
_STEP.update(none=0.12, local=0.25, **{"global": 0.17}, ssrvae=0.3)
_STYLED = 0.06
_MEASURE, _PSNR, _TABLE = 40.0, 15.0, 200.0
_SWITCHES = "global_attention", "local_attention"
_TABLES = 4  # to be raised when tables are made in another way: they are made anew then
_ATTENTION = 2  # when networks with attention are trained in another way


def build(
    plan: Plan,
    budget: Budget,
    features: Sequence[str],
    weights: Sequence[str] = (),
    peer: bool = False,
    domains: Sequence[str] = (),
    train_photos: int = 0,
    people: dict[str, Any] | None = None,
) -> None:
    """Add all parts.

    Args:
        plan: that knows photos.train, .sharp, .lr_train, .lr_test, .lfw, .domain.NAME, .domain_test.NAME, .pictures;
            features.NAME, weights.NAME, style_of.NAME (a styleVAE, where one made the pairs of those weights), peer.
        features: names of the networks for distances.
        weights: names of networks that are measured, not trained.
        peer: measure Real-ESRGAN x4plus.
        domains: names of the kinds of small faces for table 6.
        train_photos: how many photos there are to train on.
        people: {"identity": None or "@identity", "range": of its input, "find": whether to find faces}, if asked for.
    """
    builder = _Builder(plan, budget, features, train_photos, people)
    builder.check_networks()
    builder.style("both")
    builder.tables_1_to_3(weights, peer)
    for domain in domains:
        builder.domain(domain)
    if domains:
        builder.table_6(domains)
    builder.table_5(weights)
    builder.table_4()


class _Builder:
    def __init__(
        self,
        plan: Plan,
        budget: Budget,
        features: Sequence[str],
        train_photos: int,
        people: dict[str, Any] | None,
    ):
        self.plan, self.budget, self.train_photos, self.people = plan, budget, train_photos, people
        self.features = [f"@features.{name}" for name in features]
        self.fields = budget.of_style()
        self.size, self.scale = self.fields.get("hr_size", 128), self.fields.get("scale", 4)

    def check_networks(self) -> None:
        known = self.people or {"identity": None, "range": None}
        options = {"judges": self.features, "identity": known["identity"], "range": known["range"]}
        options["sharp"] = [["--hr", self._sharp("@photos.sharp")], ["--lfw", self._sharp("@photos.lfw")]]
        domains = sorted(name for name in self.plan.places if name.startswith("photos.domain_test."))
        options["small"] = [["--lr", "@photos.lr_train"], ["--lr-test", "@photos.lr_test"]]
        options["small"] += [["--domain-test", f"@{name}"] for name in domains]
        self.plan.add("networks", "networks", options, _PSNR)

    # Trainings

    def style(self, variant: str, lr: str = "@photos.lr_train", name: str = "") -> str:
        adain, mutual_information = STYLES[variant]
        model = {"adain": adain, "mutual_information": mutual_information}
        fields = self.budget.of_style(hr="@photos.train", lr=lr, style_vae=model)
        return self._fit(name or f"style-{variant}", {"fields": fields}, _STEP["style"], "style")

    def sr(
        self, network: str, style: str, pairs: str, lr: str = "@photos.lr_train", seed: int = 0, attention: str = "both"
    ) -> str:
        """Train a network.

        Args:
            style: bicubic, classical or "@" and a styleVAE's name, which gets its styles from `lr`.
            pairs: a word for these.
        """
        more: dict[str, Any] = {"hr": "@photos.train", "style": style, "seed": seed}
        more.update({"lr": lr} if style.startswith("@") else {})
        name, step = f"sr-{network}-{pairs}", _STEP[network if attention == "both" else attention]
        if attention != "both":
            name += f"-{attention}"
            more["sr_network"] = _switched(attention)
        name += f"-seed{seed}" if seed else ""
        step += _STYLED if style.startswith("@") else 0.0
        fields = self.budget.of_network(network, **more)
        if network != "srgan":
            return self._fit(name, {"fields": fields}, step, network)
        epochs = fields.get("epochs", 10)
        first = self._fit(f"{name}-first", {"fields": {**fields, "epochs": epochs - epochs // 2}}, step, network)
        judged = {key: value for key, value in self.budget.srgan.items() if key != "perceptual"}
        options = {"fields": {**fields, **judged, "epochs": epochs // 2, "init": first}}
        if self.budget.srgan.get("perceptual"):
            options["perceptual"] = {"among": self.features, "weight": self.budget.srgan["perceptual"]}
        return self._fit(name, options, _STEP["srgan_gan"], "srgan_gan")

    def _fit(self, name: str, options: dict, step: float, like: str, longer: float = 1.0) -> str:
        fields = options["fields"]
        steps = fields.get("steps_per_epoch") or max(1, self.train_photos // fields.get("batch_size", 16))
        work = step * steps * fields.get("epochs", 10) * longer
        given = fields.get("sr_network", {})
        attends = like in ("ssrvae", *ATTENTIONS) and any(given.get(name, True) for name in _SWITCHES)
        return self.plan.add(name, "fit", options, work, like, version=_ATTENTION if attends else 1)

    # Measurements

    def _sharp(self, photos: str) -> dict:
        """How sharp photos are read: LFW's have a wide margin, those of --hr are as the trainings see them."""
        lfw = photos == "@photos.lfw"
        more = {"framing": "centre", "limit": self.budget.lfw} if lfw else {"framing": "fit", "limit": None}
        return {"hr": photos, "size": self.size, "scale": self.scale, **more}

    def degraded(self, photos: str, by: str, how: str, styles: str | None = None) -> str:
        name = f"lr-{photos.rpartition('.')[2]}-{how}"
        return self.plan.add(name, "degrade", {"photos": self._sharp(photos), "by": by, "styles": styles}, _PSNR)

    def quality(self, pairs: str, network: str, name: str) -> str:
        options = {"photos": self._sharp("@photos.lfw"), "pairs": pairs, "network": network}
        work = _PSNR * (10 if network == "@peer" else 1)
        return self.plan.add(f"psnr-{name}-{pairs.partition('lfw-')[2]}", "quality", options, work)

    def judged(self, name: str, work: float = _MEASURE, **options: Any) -> str:
        """Activations of photos on all feature networks."""
        sizes = {"size": self.size, "scale": self.scale}
        return self.plan.add(f"features-{name}", "features", {**sizes, **options, "judges": self.features}, work)

    def enlarged(self, network: str, name: str, lr: str = "lr_test") -> str:
        options = {"of": "enlarged", "lr": f"@photos.{lr}", "network": network}
        return self.judged(f"{name}-{lr.rpartition('.')[2]}", **options)

    def sharp(self) -> str:
        return self.judged("sharp", of="sharp", photos=self._sharp("@photos.sharp"))

    def table(self, number: int, options: dict) -> str:
        options = {**options, "resamples": self.budget.resamples}
        return self.plan.add(f"table-{number}", f"table_{number}", options, _TABLE, version=_TABLES)

    # Tables

    def tables_1_to_3(self, weights: Sequence[str], peer: bool) -> None:
        styled = self.degraded("@photos.lfw", "@style-both", "styled", "@photos.lr_test")
        own = {each: f"@style_of.{each}" for each in weights if f"style_of.{each}" in self.plan.places}
        for style in own.values():  # pairs as those that the weights were trained on
            self.degraded("@photos.lfw", style, style[1:], "@photos.lr_test")
        rows = [self._row("bicubic", "bicubic", "bicubic", styled)]
        rows += [
            self._row(TITLES[each], self.sr(each, "bicubic", "bicubic"), f"{each}-bicubic", styled) for each in RIVALS
        ]
        network = self.sr("ssrvae", "bicubic", "bicubic")
        rows.append(self._row("SSRVAE's network, bicubic pairs", network, "ssrvae-bicubic", styled))
        rows.append(self._row("SSRVAE", self.sr("ssrvae", "@style-both", "styled"), "ssrvae-styled", styled))
        for each in weights:
            row = self._row(f"{each} (as it is)", f"@weights.{each}", each, styled)
            if each in own:
                pairs = f"@lr-lfw-{own[each][1:]}"
                row["own"] = [self.quality(pairs, "bicubic", "bicubic"), self.quality(pairs, f"@weights.{each}", each)]
            rows.append({**row, "shipped": True})
        if peer:
            rows.append({**self._row("Real-ESRGAN x4plus", "@peer", "x4plus", styled), "shipped": True})
        self.table(1, {"rows": [{k: v for k, v in row.items() if k != "features"} for row in rows]})
        judges = {"sharp": self.sharp(), "judges": self.features}
        self.table(2, {"rows": rows, **judges})
        again = {}
        for each in ("srcnn", "edsr"):
            network = self.sr(each, "@style-both", "styled")
            again[each] = self._row(f"{TITLES[each]}, styleVAE pairs", network, f"{each}-styled", styled)
        by_name = {row["name"]: row for row in rows}
        pairs = [[by_name[TITLES[each]], row] for each, row in again.items()]
        self.table(3, {"bicubic": rows[0], "pairs": pairs, **judges})
        networks = {row["name"]: row["network"] for row in (*rows, *again.values())}
        sheets = {"comparison": list(by_name), "pairs": [row["name"] for both in pairs for row in both]}
        options = {"networks": networks, "sheets": sheets, "style": "@style-both", "styles": "@photos.lr_test"}
        sizes = {"size": self.size, "scale": self.scale}
        self.plan.add("pictures", "pictures", {"photos": "@photos.pictures", **options, **sizes}, _MEASURE)

    def _row(self, title: str, network: str, name: str, pairs: str) -> dict:
        found = {"name": title, "network": network, "quality": self.quality(pairs, network, name)}
        if self.people:
            options = {"photos": self._sharp("@photos.lfw"), "pairs": pairs, "network": network, **self.people}
            work = self.budget.lfw or 1000
            found["people"] = self.plan.add(f"people-{name}", "people", options, 0.5 * work)
        return {**found, "features": self.enlarged(network, name)}

    def table_4(self) -> None:
        clean = self.degraded("@photos.lfw", "bicubic", "clean")
        at_steps: dict[str, list] = {}
        for seed in range(self.budget.seeds):
            for attention in ATTENTIONS:
                network = self.sr("ssrvae", "bicubic", "bicubic", seed=seed, attention=attention)
                found = self.quality(clean, network, network[len("@sr-") :])
                at_steps.setdefault(attention, []).append({"network": network, "quality": found})
        bicubic = self.quality(clean, "bicubic", "bicubic")
        self.table(4, {"bicubic": bicubic, "variants": at_steps})
        fields = {each: self._attention(each) for each in ATTENTIONS}
        options = {"fields": fields, "repetitions": self.budget.speed_repetitions}
        speeds = self.plan.add("speeds", "speeds", options, _MEASURE, version=2)
        at_time: dict[str, list] = {"both": at_steps["both"]}
        for seed in range(self.budget.seeds):
            for attention in (each for each in ATTENTIONS if each != "both"):
                both = at_steps["both"][0]["network"]
                longer = {"speeds": speeds, "mine": attention, "its": "both", "run": both}
                fields = self.budget.of_network("ssrvae", hr="@photos.train", style="bicubic", seed=seed)
                fields = {**fields, "sr_network": self._attention(attention)["sr_network"]}
                name = f"sr-ssrvae-bicubic-{attention}-seed{seed}-equal-time"
                ratio = _STEP["ssrvae"] / _STEP[attention]
                network = self._fit(name, {"fields": fields, "as_long_as": longer}, _STEP[attention], attention, ratio)
                found = self.quality(clean, network, network[len("@sr-") :])
                at_time.setdefault(attention, []).append({"network": network, "quality": found})
        options = {"bicubic": bicubic, "variants": {each: at_time[each] for each in ATTENTIONS}, "speeds": speeds}
        self.plan.add("table-4b", "table_4", {**options, "resamples": self.budget.resamples}, _TABLE, version=_TABLES)

    def _attention(self, attention: str) -> dict:
        return self.budget.of_network("ssrvae", style="bicubic", sr_network=_switched(attention))

    def table_5(self, weights: Sequence[str]) -> None:
        rows = [self._degraded_row(each, each, each) for each in ("bicubic", "classical")]
        for variant in STYLES:
            rows += self._style_rows(variant, self.style(variant), f"style-{variant}", "@photos.lr_test")
        for each in weights:
            if f"style_of.{each}" in self.plan.places:
                name = f"style_of.{each}"
                rows += self._style_rows(f"styleVAE of {each} (as it is)", f"@{name}", name, "@photos.lr_test")
        # As many as are degraded, where there are: distances fall with the number of photos.
        features = self._small("lr_train", limit=self.budget.held_back)
        seen = {"name": "real small faces that were trained on", "features": features}
        options = {"rows": [*rows, seen], "real": self._small("lr_test"), "judges": self.features}
        self.table(5, options)

    def _small(self, photos: str, **limit: int) -> str:
        return self.judged(photos, of="small", lr=f"@photos.{photos}", **limit)

    def _degraded_row(self, title: str, by: str, how: str, styles: str | None = None) -> dict:
        made = self.degraded("@photos.sharp", by, how, styles)
        return {"name": title, "by": by, "features": self.judged(f"lr-{how}", of="made", pairs=made)}

    def _style_rows(self, title: str, style: str, name: str, styles: str) -> list[dict]:
        posterior = self._degraded_row(title, style, f"{name}-posterior", styles)
        drawn = self._degraded_row(title, style, f"{style[1:]}-drawn")
        return [{**posterior, "way": "posterior"}, {**drawn, "way": "drawn"}]

    def domain(self, domain: str) -> None:
        photos = f"@photos.domain.{domain}"
        self.style("both", photos, f"style-domain-{domain}")
        self.sr("ssrvae", "classical", "classical")
        self.sr("ssrvae", f"@style-domain-{domain}", f"domain-{domain}", photos)

    def table_6(self, domains: Sequence[str]) -> None:
        found = {}
        for domain in domains:
            name, test = f"style-domain-{domain}", f"domain_test.{domain}"
            rows = [self._degraded_row(each, each, each) for each in ("bicubic", "classical")]
            rows += self._style_rows("styleVAE of this domain", f"@{name}", name, f"@photos.{test}")
            rows += self._style_rows("styleVAE of all", "@style-both", f"style-both-{domain}", f"@photos.{test}")
            networks = {
                "bicubic": "bicubic",
                "SSRVAE's network, bicubic pairs": "@sr-ssrvae-bicubic",
                "SSRVAE's network, hand-made pairs": "@sr-ssrvae-classical",
                "SSRVAE's network, pairs of this domain's styleVAE": f"@sr-ssrvae-domain-{domain}",
            }
            enlarged = [
                {"name": title, "network": each, "features": self.enlarged(each, each.lstrip("@"), test)}
                for title, each in networks.items()
            ]
            real = self.judged(test, of="small", lr=f"@photos.{test}")
            found[domain] = {"degraded": rows, "enlarged": enlarged, "real": real}
        self.table(6, {"domains": found, "sharp": self.sharp(), "judges": self.features})


def _switched(attention: str) -> dict[str, bool]:
    """Fields of a network with one of `ATTENTIONS`."""
    return dict(zip(_SWITCHES, ATTENTIONS[attention]))
