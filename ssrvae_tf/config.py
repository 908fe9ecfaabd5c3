"""Every setting of a training, from YAML and the command line, typed and named for a reader of the paper."""

from __future__ import annotations

import dataclasses
import functools
import math
import sys
from pathlib import Path
from typing import Annotated, Any, Callable, List, Literal, Optional, Tuple, Union

import jsonargparse
import yaml

from ssrvae_tf import command_line
from ssrvae_tf.errors import UserError, one_line
from ssrvae_tf.photos.writing import replacing

# What may change when a run goes on: how long it lasts, not what it is.
MAY_CHANGE = (
    *("out", "epochs", "max_minutes", "hr", "lr", "everyday", "features", "patience"),
    *("checkpoint_steps", "checkpoint_minutes", "log_steps", "picture_steps"),
)
# Fields that name folders, files, or models.
_PLACES = ("hr", "lr", "everyday", "val", "features", "style", "out", "init")
# Fields that only one stage looks at, besides models' own. The judges' are checked wherever they come from.
_OF_STAGE = {
    "style": ("features",),
    "sr": ("network", "everyday", "patience", "zoom", "colour_weight", "tile_weight", "sharpen")
    + ("bicubic_share", "classical_share", "wide_share", "everyday_share"),
}
# Degradations that need no styleVAE.
NO_MODEL = ("bicubic", "classical", "wide")
# The configurations that come with the package: inside it where it is installed, beside it in a checkout.
_FOLDERS = (Path(__file__).with_name("configs"), Path(__file__).parents[1] / "configs")


@dataclasses.dataclass
class LossWeights:
    """Weights of styleVAE's losses; the paper's lambda_1 to lambda_3 are kl, reconstruction and mutual_information.

    Args:
        kl: of the posterior to N(0, I), in nats (eq. 3).
        reconstruction: squared error to the shrunk face (eq. 4), mean over pixels; transfer: after a 5x5 mean.
        mutual_information: of the real LR face and the one generated in its style, in nats (eq. 5).
        transfer: L1 to the known answer of the synthetic batch, mostly after a 3x3 mean.
        energy: L1 between the log energies of its high-pass bands.
        adversarial: of both discriminators.

    Examples:
        >>> LossWeights(kl=0.02).kl
        0.02
    """

    kl: float = 0.01
    reconstruction: float = 100.0
    mutual_information: float = 0.2
    transfer: float = 10.0
    energy: float = 1.0
    adversarial: float = 0.5


@dataclasses.dataclass
class StyleVAESettings:
    """Stage 1's networks and losses; see `ssrvae_tf.models.StyleVAE`.

    Args:
        form: transfer (learns, the default) or paper (eqs. 3-6 and nothing else).
        latent_dim: size of the style code z.
        filters: width of the encoders and the generator.
        adain: style by AdaIN; false joins the code to the features once (table 5).
        mutual_information: train with MINE's bound (table 5).
        encoder_strides: stride of each of E_LR's 8 blocks; early strides trade a little detail for much time.
        weights: of the losses.
    """

    form: Literal["transfer", "paper"] = "transfer"
    latent_dim: int = 256
    filters: int = 64
    adain: bool = True
    mutual_information: bool = True
    encoder_strides: List[int] = dataclasses.field(default_factory=lambda: [1, 1, 2, 1, 1, 2, 1, 1])
    weights: LossWeights = dataclasses.field(default_factory=LossWeights)


@dataclasses.dataclass
class SRNetworkSettings:
    """Stage 2's network; see `ssrvae_tf.models.SRNetwork`.

    Args:
        filters: width; a multiple of 8.
        global_blocks: blocks with global attention (GARB).
        local_blocks: blocks with local relation attention (LARB).
        global_attention: false leaves plain residual blocks (table 4).
        local_attention: false leaves plain residual blocks (table 4).
        chunk: queries of global attention held at once; bounds memory on large inputs.
        kernel_size: window of local relation, in pixels.
        share: channels that share one weight map.
        geometry: LR-Net's geometry prior.
        keep_colours: hold the colours of even areas to those of the small photo; the paper does not.
    """

    filters: int = 64
    global_blocks: int = 8
    local_blocks: int = 8
    global_attention: bool = True
    local_attention: bool = True
    chunk: Optional[int] = None
    kernel_size: int = 7
    share: int = 8
    geometry: bool = False
    keep_colours: bool = False


@dataclasses.dataclass
class BaselineSettings:
    """Stage 2's network if it is one that the paper compares with; see `ssrvae_tf.models.baselines`.

    Args:
        filters: width; 256 for the large EDSR.
        blocks: residual or dense blocks; 32 for the large EDSR.
        layers_per_block: convolutions in each of RDN's blocks.
    """

    filters: int = 64
    blocks: int = 16
    layers_per_block: int = 8


@dataclasses.dataclass
class FitConfig:
    """Train one of the two stages.

    Args:
        stage: style (styleVAE, from unpaired faces) or sr (the super-resolution network, on pairs).
        network: of stage sr: ssrvae, or srcnn, edsr, rdn, srgan, which take the same pairs.
        hr: high-resolution photos: a folder, shards by ssrvae shards, or tfds:NAME.
        lr: real low-resolution photos, likewise: needed by stage style; stage sr takes real styles from them.
        everyday: folder of sharp photos of anything but faces, for stage sr: what it shall not harm.
        val: folder of sharp photos for validation, or the share of --hr to hold back for it; 0 for none; unset, 2 %.
        features: SavedModel images -> features, to measure stage style's validation by the Frechet distance as well.
        patience: end stage sr after so many epochs without a better validation; unset, never.
        style: where stage sr's pairs come from: a styleVAE's run folder or name, bicubic, classical or wide.
        out: the run's folder. A run that is there already goes on.
        init: run folder, name, exported model or .keras file whose weights to start from.
        scale: 2, 4 or 8.
        hr_size: side of the faces in stage style, in pixels.
        patch_size: side of the HR patches in stage sr, in pixels.
        crop: fit shrinks larger photos to hr_size first (folders of faces), random cuts patches at full size.
        bicubic_share: share of stage sr's pairs that is shrunk bicubically, so that clean photos do not suffer.
        classical_share: share that is degraded by random blur, rescaling, noise and JPEG; calms what real styles lack.
        wide_share: share that is degraded in more ways than real small faces show, so that no photo is new to it.
        everyday_share: share of stage sr's patches that are of --everyday.
        zoom: half of stage sr's patches of faces are enlarged by up to this, so that it knows larger faces.
        colour_weight: of the error of a patch's mean colour beside L1, which alone lets colours drift.
        tile_weight: of the difference between a part enlarged alone and in its patch.
        perceptual: of the L1 between features of a SavedModel with a signature `levels`.
        adversarial: of a discriminator beside stage sr's network, such as 0.006; needs --init.
        sharpen: amount of an unsharp mask, 1 pixel wide, on stage sr's targets; 0.5 makes results crisper.
        batch_size: samples of a step, over all devices.
        epochs: epochs to train in all.
        steps_per_epoch: steps of an epoch; unset, as many as one pass over the HR photos takes.
        max_minutes: stop, resumable, after this long.
        checkpoint_steps: save what a run needs to go on every so many steps, besides at the end of each epoch.
        checkpoint_minutes: save it every so many minutes, too.
        log_steps: steps of which a row in steps.csv tells the means.
        picture_steps: steps from one sheet of pictures in TensorBoard to the next, besides those of epochs.
        learning_rate: of Adam.
        critic_learning_rate: of the Adam of stage style's critics, and of the discriminator in stage sr.
        schedule: constant, or cosine down to 1 % over all epochs.
        warmup_steps: of a linear rise of the learning rate at the beginning.
        ema: momentum of the average of weights that is kept as the result; 0 keeps the last weights.
        precision: float32, mixed_bfloat16 or mixed_float16.
        seed: of weights, batches and noise.
        style_vae: stage style's model.
        sr_network: stage sr's model.
        baseline: stage sr's model where --network is another than ssrvae.
    """

    stage: Literal["style", "sr"] = "sr"
    network: Literal["ssrvae", "srcnn", "edsr", "rdn", "srgan"] = "ssrvae"
    hr: Optional[str] = None
    lr: Optional[str] = None
    everyday: Optional[str] = None
    val: Union[float, command_line.Folder, None] = None
    features: Optional[str] = None
    patience: Optional[int] = None
    style: str = "faces-style"
    out: Optional[str] = None
    init: Optional[str] = None
    scale: Literal[2, 4, 8] = 4
    hr_size: int = 128
    patch_size: int = 64
    crop: Literal["fit", "random"] = "fit"
    bicubic_share: float = 0.0
    classical_share: float = 0.0
    wide_share: float = 0.0
    everyday_share: float = 0.25
    zoom: float = 1.0
    colour_weight: float = 0.0
    tile_weight: float = 0.0
    perceptual: Optional[Annotated[str, "PATH:WEIGHT"]] = None
    adversarial: float = 0.0
    sharpen: float = 0.0
    batch_size: int = 16
    epochs: int = 10
    steps_per_epoch: Optional[int] = None
    max_minutes: Optional[float] = None
    checkpoint_steps: Optional[int] = None
    checkpoint_minutes: Optional[float] = 10.0
    log_steps: int = 50
    picture_steps: Optional[int] = 1000
    learning_rate: float = 1e-4
    critic_learning_rate: float = 2e-4
    schedule: Literal["constant", "cosine"] = "constant"
    warmup_steps: int = 0
    ema: float = 0.0
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    seed: int = 0
    style_vae: StyleVAESettings = dataclasses.field(default_factory=StyleVAESettings)
    sr_network: SRNetworkSettings = dataclasses.field(default_factory=SRNetworkSettings)
    baseline: BaselineSettings = dataclasses.field(default_factory=BaselineSettings)

    def __post_init__(self) -> None:
        counts: tuple[str, ...] = ("batch_size", "epochs", "steps_per_epoch", "hr_size", "patch_size", "patience")
        counts += ("checkpoint_steps", "log_steps", "picture_steps", "style_vae.filters", "style_vae.latent_dim")
        counts += ("sr_network.filters", "sr_network.chunk", "sr_network.share", "baseline.filters")
        for name in (*counts, "baseline.layers_per_block"):
            self._check(name, lambda value: value >= 1, "at least 1")
        for name in ("sr_network.global_blocks", "sr_network.local_blocks", "baseline.blocks"):
            self._check(name, lambda value: value >= 0, "at least 0")
        self._check("style_vae.encoder_strides", lambda value: all(each >= 1 for each in value), "of numbers from 1 on")
        for name in _PLACES:
            if getattr(self, name) == "":  # as of a variable of the shell that is not set
                raise UserError(f"{command_line.flag(name)} '': an empty name: name a place, or leave the option out")
        for name in ("max_minutes", "checkpoint_minutes"):
            self._check(name, lambda value: value > 0, "above 0")
        for name in ("learning_rate", "critic_learning_rate"):
            self._check(name, lambda value: 0 < value < math.inf, "above 0 and finite")
        for name in ("hr_size", "patch_size"):
            self._check(name, lambda value: value % self.scale == 0, f"a multiple of --scale, {self.scale}")
        self._check("warmup_steps", lambda value: value >= 0, "at least 0")
        for name in ("bicubic_share", "classical_share", "wide_share", "everyday_share"):
            self._check(name, lambda value: 0 <= value <= 1, "from 0 to 1")
        shares = self.bicubic_share + self.classical_share + self.wide_share
        if shares > 1 + 1e-9:  # of 0.33, 0.56 and 0.11 it is 1.0000000000000002
            raise UserError(
                f"--bicubic-share, --classical-share and --wide-share are {shares:g} together: at most 1 is wanted"
            )
        if self.stage == "sr" and not shares and (self.zoom > 1 or self.everyday) and self.style not in NO_MODEL:
            raise UserError(
                "--zoom and --everyday: a styleVAE degrades faces of one size only: give the other patches a kind of "
                "their own, such as --wide-share 0.1"
            )
        self._check("zoom", lambda value: 1 <= value <= 8, "from 1 to 8")
        weights = [f"style_vae.weights.{field.name}" for field in dataclasses.fields(LossWeights)]
        for name in ("sharpen", "colour_weight", "tile_weight", "adversarial", *weights):
            self._check(name, lambda value: 0 <= value < math.inf, "at least 0 and finite")
        self._check_judges()
        self._check("ema", lambda value: 0 <= value < 1, "at least 0 and below 1")
        if not isinstance(self.val, str):
            self._check("val", lambda value: 0 <= value < 1, "a folder, or a share from 0 to below 1")
        self._check("seed", lambda value: 0 <= value < 2**31, "from 0 to 2147483647")

    @property
    def perceptual_features(self) -> Optional[Tuple[str, float]]:
        """(folder of the SavedModel, weight) of `perceptual`."""
        if self.perceptual is None:
            return None
        path, _, weight = self.perceptual.rpartition(":")
        return path, float(weight)

    @property
    def judged(self) -> bool:
        """Whether stage sr is trained by more than pixels, which costs PSNR by intent."""
        return bool(self.adversarial or self.perceptual)

    def _check_judges(self) -> None:
        given = [name for name in ("adversarial", "perceptual") if getattr(self, name)]
        if given and self.stage != "sr":
            raise UserError(f"--{given[0]}: only for --stage sr: leave it out")
        if given and not self.init:
            raise UserError(f"--{given[0]}: needs weights that L1 has trained: add --init RUN, or a shipped name")
        unpaired = self.adversarial and self.lr and self.network != "srgan"
        if unpaired and self.patch_size > self.hr_size:
            raise UserError(
                f"--patch-size {self.patch_size}: with --adversarial, photos of --lr are judged as large as patches, "
                f"and they are brought to --hr-size {self.hr_size} / scale: raise --hr-size, or lower --patch-size"
            )
        if given and self.patience:
            raise UserError(f"--patience watches PSNR, which --{given[0]} gives up by intent: leave one of the two out")
        if self.perceptual is not None:
            try:
                path, weight = self.perceptual_features or ("", 0.0)
                good = bool(path) and 0 <= weight < float("inf")
            except ValueError:
                good = False
            if not good:
                raise UserError(
                    f"--perceptual {self.perceptual}: PATH:WEIGHT is wanted, such as models/efficientnet_lite0:0.05"
                )

    def _check(self, name: str, good: Callable, wanted: str) -> None:
        value = functools.reduce(getattr, name.split("."), self)
        if value is not None and not good(value):
            raise UserError(f"{command_line.flag(name)} {value}: it must be {wanted}")


_NESTED = {
    "style_vae": StyleVAESettings,
    "style_vae.weights": LossWeights,
    "sr_network": SRNetworkSettings,
    "baseline": BaselineSettings,
}


def parse(arguments: list[str] | None = None) -> FitConfig:
    """The configuration that a command line asks for: `--config FILE.yaml` or a shipped one's name, then every field.

    Raises:
        UserError: for an unknown or ill-typed field, in one line with the nearest valid name; for an option that would
            have no effect.
    """
    words = command_line.checked(sys.argv[1:] if arguments is None else arguments, ["--config", *_names().values()])
    files, others, left = [], [], iter(words)
    for word in left:
        option, equals, value = word.partition("=")
        if option == "--config":
            files.append(_file(value if equals else next(left, None)))
        else:
            others.append(word)
    values = {file: read_yaml(file, "--config") for file in files}
    for file in files:
        _check_names(values[file], f"--config {file}: ")
    # Files first: the command line overrides them wherever they stand. One of comments alone has nothing to say.
    given = [f"--config={file}" for file in files if values[file]]
    settings = _typed(lambda parser: parser.parse_args(given + others), others)
    _check_used(settings, others)
    return settings


def _check_used(settings: FitConfig, words: list[str]) -> None:
    """Raises UserError for an option of the command line that nothing would look at. Files may serve both stages, and
    so may models' own settings, which are many."""
    given, known = {word.partition("=")[0] for word in words}, command_line.parameters(FitConfig)
    unused = dict.fromkeys(_OF_STAGE["sr" if settings.stage == "style" else "style"], f"in stage {settings.stage}")
    if settings.val == 0:
        unused["patience"] = "with --val 0"
    for name, why in unused.items():
        if command_line.flag(name) in given and getattr(settings, name) != known[name].default:
            raise UserError(f"{command_line.flag(name)}: has no effect {why}: leave it out")


def from_dict(values: dict) -> FitConfig:
    """A configuration from nested plain values, as YAML gives them.

    Raises:
        UserError: for an unknown or ill-typed field.
    """
    _check_names(values, "")
    return _typed(lambda parser: parser.parse_object(values))


def _typed(read: Callable, words: list[str] | None = None) -> FitConfig:
    """What `read` makes of the parser, types checked, as a configuration."""
    parser, fields = _parser(), command_line.parameters(FitConfig)
    values = command_line.typed(lambda: read(parser), fields, _names(), words or []).as_dict()
    values.pop("config")
    values["style_vae"]["weights"] = LossWeights(**values["style_vae"]["weights"])
    for name in ("style_vae", "sr_network", "baseline"):
        values[name] = _NESTED[name](**values[name])
    return FitConfig(**values)


def _parser() -> jsonargparse.ArgumentParser:
    parser = command_line.new_parser(
        "ssrvae_tf.fit",
        "Train a stage, or go on with a training that is in --out.",
        usage="%(prog)s --stage style|sr [--config NAME|FILE.yaml] [--FIELD VALUE]...",
    )
    parser.add_argument("--config", action="config", metavar="NAME|FILE.yaml", help="fields, such as those of smoke")
    for name, field in command_line.parameters(FitConfig).items():
        more: dict[str, Any] = {"type": field.kind, "default": field.default, "metavar": field.metavar}
        parser.add_argument(command_line.flag(name), help=field.help, **more)
    return parser


def _names() -> dict[str, str]:
    """The option of each field."""
    return {name: command_line.flag(name) for name in command_line.parameters(FitConfig)}


def shipped() -> dict[str, Path]:
    """The configurations that come with the package, by name."""
    return {path.stem: path for path in sorted(folder_of_shipped().glob("*.yaml"))}


def folder_of_shipped() -> Path:
    """Where they lie."""
    return next((each for each in _FOLDERS if each.is_dir()), _FOLDERS[0])


def _file(given: str | None) -> str:
    """The file that `--config` means: a file, or a shipped configuration by its name."""
    known = shipped()
    if given and Path(given).is_file():
        return given
    if given in known:
        return str(known[given])
    raise UserError(f"--config {given or '(nothing)'}: no such file: give a YAML file, or one of {', '.join(known)}")


def read_yaml(path: str | Path, option: str) -> Any:
    """What a YAML file holds; {} if that is nothing.

    Args:
        option: that gave it.

    Raises:
        UserError: if it is no YAML.
    """
    try:
        values = yaml.safe_load(Path(path).read_text())
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        raise UserError(f"{option} {path}: not YAML, line {line}: {error.problem}") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{option} {path}: cannot be read: {one_line(error)}") from error
    return {} if values is None else values


def _check_names(values: Any, source: str, prefix: str = "") -> None:
    if not isinstance(values, dict):
        what = prefix[:-1] or "the file"
        raise UserError(f"{source}{what} is {str(values)[:40]!r}: fields are wanted, each as `name: value`")
    kind = _NESTED[prefix[:-1]] if prefix else FitConfig
    known = [field.name for field in dataclasses.fields(kind)]
    for name, value in values.items():
        if name not in known:
            raise UserError(f"{source}{prefix}{name}: no such field{command_line.nearest(str(name), known)}")
        if prefix + name in _NESTED:
            _check_names(value, source, f"{prefix}{name}.")


def flat(values: dict, prefix: str = "") -> dict:
    """Nested values by dotted names."""
    found = {}
    for name, value in values.items():
        found.update(flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value})
    return found


def resolved(config: FitConfig) -> dict:
    """All fields as nested plain values, without the models that are not its own."""
    values = dataclasses.asdict(config)
    for name in _other_models(config.stage, config.network):
        del values[name]
    return values


def _other_models(stage: str, network: str) -> list[str]:
    own = "style_vae" if stage == "style" else "sr_network" if network == "ssrvae" else "baseline"
    return [name for name in ("style_vae", "sr_network", "baseline") if name != own]


def with_place(config: FitConfig) -> FitConfig:
    """A configuration that says where its run goes, if it did not."""
    return dataclasses.replace(config, out=config.out or f"runs/my_{config.stage}")


def portable(config: FitConfig) -> FitConfig:
    """A configuration without the folders of its maker."""
    nowhere: dict[str, Any] = dict.fromkeys(("hr", "lr", "everyday", "val", "features", "out", "init"))
    nowhere["style"] = Path(config.style).name
    if config.judged and config.init:  # which says what it began from, and who judged it
        nowhere["init"] = Path(config.init).name
    if config.perceptual_features:
        path, weight = config.perceptual_features
        nowhere["perceptual"] = f"{Path(path).name}:{weight:g}"
    return dataclasses.replace(config, **nowhere)


def write(config: FitConfig, path: str | Path) -> None:
    """Write `resolved(config)` as YAML, beside and renamed."""
    with replacing(Path(path)) as part:
        part.write_text(yaml.safe_dump(resolved(config), sort_keys=False))


def read(path: str | Path) -> FitConfig:
    """Read what `write` wrote.

    Raises:
        UserError: if it is damaged.
    """
    try:
        values = yaml.safe_load(Path(path).read_text())
        for name in _other_models(values["stage"], values.get("network", "ssrvae")):
            values.pop(name, None)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not the settings of a run: restore the file, or take another folder") from error
    return from_dict(values)
