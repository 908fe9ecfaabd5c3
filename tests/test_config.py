from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from ssrvae_tf import config
from ssrvae_tf.errors import UserError

CONFIGS = Path(__file__).parents[1] / "configs"


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.name)
def test_every_shipped_configuration_is_valid(path):
    settings = config.parse(["--config", str(path)])
    given = config.flat(yaml.safe_load(path.read_text()))
    values = config.flat(config.resolved(settings))
    shared = values.keys() & given.keys()  # smoke.yaml holds both stages' models
    assert "batch_size" in shared and {name: values[name] for name in shared} == {name: given[name] for name in shared}
    assert path.read_text().startswith("#"), "say what it is for"


def test_shipped_configurations_go_by_name_wherever_one_is_and_a_file_of_that_name_goes_before(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shipped = config.parse(["--config", "sr_x4"])
    assert shipped == config.parse([f"--config={CONFIGS / 'sr_x4.yaml'}"]) != config.FitConfig()
    (tmp_path / "sr_x4").write_text("epochs: 3")
    assert config.parse(["--config", "sr_x4"]) == config.FitConfig(epochs=3)


def test_an_installed_packages_own_configurations_go_before_what_lies_beside_it(tmp_path, monkeypatch):
    for name in ("inside", "beside"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.yaml").touch()
    monkeypatch.setattr(config, "_FOLDERS", (tmp_path / "inside", tmp_path / "beside"))
    assert [*config.shipped()] == ["inside"]
    monkeypatch.setattr(config, "_FOLDERS", (tmp_path / "nowhere", tmp_path / "beside"))
    assert [*config.shipped()] == ["beside"]


def test_both_paper_configurations_have_the_papers_sizes():
    style = config.parse(["--config", str(CONFIGS / "style_x4.yaml")])
    assert (style.stage, style.style_vae.filters, style.style_vae.latent_dim, style.epochs) == ("style", 64, 256, 10)
    sr = config.parse(["--config", str(CONFIGS / "sr_x4.yaml")])
    network = sr.sr_network
    assert (sr.stage, network.filters, network.global_blocks, network.local_blocks) == ("sr", 64, 8, 8)
    for settings in (style, sr):
        assert (settings.learning_rate, settings.schedule, settings.ema) == (1e-4, "constant", 0.0)


def test_options_take_dashes_and_underscores_lists_and_nested_names():
    settings = config.parse(
        ["--hr_size=64", "--patch-size", "32", "--sr-network.filters", "32", "--sr_network.chunk", "null"]
        + ["--style-vae.weights.kl", "0.1", "--style-vae.encoder-strides", "[2,1,1]", "--max-minutes", "null"]
        + ["--learning-rate", "1e-5", "--style-vae.adain", "false"]
    )
    assert (settings.hr_size, settings.patch_size, settings.sr_network.filters) == (64, 32, 32)
    assert settings.sr_network.chunk is None and settings.max_minutes is None
    assert settings.style_vae.weights == config.LossWeights(kl=0.1)
    assert settings.style_vae.encoder_strides == [2, 1, 1] and settings.style_vae.adain is False
    assert settings.learning_rate == 1e-5


@pytest.mark.parametrize("order", [1, -1])
def test_the_command_line_overrides_the_file_wherever_it_stands(order, tmp_path):
    file = tmp_path / "own.yaml"
    file.write_text("epochs: 3\nbatch_size: 4\nstyle_vae:\n  filters: 24\n")
    parts = [["--epochs", "5"], [f"--config={file}"]][::order]
    settings = config.parse(sum(parts, []))
    assert (settings.epochs, settings.batch_size, settings.style_vae.filters) == (5, 4, 24)


def test_a_file_of_comments_alone_sets_nothing(tmp_path):
    (tmp_path / "own.yaml").write_text("# epochs: 3\n")
    assert config.parse(["--config", str(tmp_path / "own.yaml"), "--epochs", "5"]).epochs == 5


@pytest.mark.parametrize(
    ["words", "message"],
    [
        ("--epochz 3", "--epochz: no such option: did you mean epochs?"),
        ("--style-vae.weights.kll 1", "did you mean style-vae.weights.kl?"),
        ("--epochs ten", "--epochs ten: it must be a whole number"),
        ("--epochs 2.5", "--epochs 2.5: it must be a whole number"),
        ("--epochs 0", "--epochs 0: it must be at least 1"),
        ("--stage both", "--stage both: it must be one of style, sr"),
        ("--scale 3", "--scale 3: it must be one of 2, 4, 8"),
        ("--style-vae.adain maybe", "--style-vae.adain maybe: it must be true or false"),
        ("--style-vae.encoder-strides 1,2", "it must be a list such as [1,2,1]"),
        ("--hr-size 130", "--hr-size 130: it must be a multiple of --scale, 4"),
        ("--sr-network.filters -8", "--sr-network.filters -8: it must be at least 1"),
        ("--sr-network.share 0", "--sr-network.share 0: it must be at least 1"),
        ("--sr-network.chunk -5", "--sr-network.chunk -5: it must be at least 1"),
        ("--sr-network.local-blocks -1", "--sr-network.local-blocks -1: it must be at least 0"),
        ("--style-vae.encoder-strides [1,0]", "--style-vae.encoder-strides [1, 0]: it must be of numbers from 1 on"),
        ("--learning-rate .inf", "--learning-rate inf: it must be above 0 and finite"),
        ("--learning-rate .nan", "--learning-rate nan: it must be above 0 and finite"),
        ("--critic-learning-rate .inf", "--critic-learning-rate inf: it must be above 0 and finite"),
        ("--colour-weight .inf", "--colour-weight inf: it must be at least 0 and finite"),
        ("--style-vae.weights.kl .nan", "--style-vae.weights.kl nan: it must be at least 0 and finite"),
        ("--style-vae.weights.energy -1", "--style-vae.weights.energy -1.0: it must be at least 0"),
        *((f"--{name}=", f"--{name} '': an empty name: name a place, or") for name in ("hr", "lr", "everyday", "val")),
        *((f"--{name}=", f"--{name} '': an empty name: name a place, or") for name in ("style", "out", "init")),
        ("--stage style --features=", "--features '': an empty name: name a place, or leave the option out"),
        ("--adversarial 0.1 --init a --lr b --patch-size 192", "--patch-size 192: with --adversarial, photos of --lr"),
        ("--ema 1", "--ema 1.0: it must be at least 0 and below 1"),
        ("--bicubic-share 2", "--bicubic-share 2.0: it must be from 0 to 1"),
        ("--bicubic-share 0.5 --classical-share 0.6", "--wide-share are 1.1 together: at most 1 is wanted"),
        ("--zoom 0.5", "--zoom 0.5: it must be from 1 to 8"),
        ("--zoom 2", "--zoom and --everyday: a styleVAE degrades faces of one size only"),
        ("--everyday scenes", "such as --wide-share 0.1"),
        ("--sharpen -1", "--sharpen -1.0: it must be at least 0"),
        ("--adversarial -1", "--adversarial -1.0: it must be at least 0"),
        ("--adversarial 0.1", "--adversarial: needs weights that L1 has trained: add --init RUN"),
        ("--perceptual net:1", "--perceptual: needs weights that L1 has trained: add --init RUN"),
        ("--perceptual net --init a", "--perceptual net: PATH:WEIGHT is wanted, such as"),
        ("--perceptual net:-1 --init a", "--perceptual net:-1: PATH:WEIGHT is wanted, such as"),
        ("--adversarial 0.1 --init a --patience 2", "--patience watches PSNR, which --adversarial gives up"),
        ("--stage style --adversarial 0.1 --init a", "--adversarial: only for --stage sr: leave it out"),
        ("--max-minutes 0", "--max-minutes 0.0: it must be above 0"),
        ("--seed -1", "--seed -1: it must be from 0"),
        ("--hr", "--hr: expected one argument"),
        ("photos", "unrecognized arguments: photos"),
        ("--config", "--config (nothing): no such file"),
        ("--config nowhere.yaml", "--config nowhere.yaml: no such file: give a YAML file"),
        ("--config sr_x5", "or one of fast_sr_x4, fast_style_x4, smoke, sr_x4, style_x4"),
    ],
)
def test_mistakes_on_the_command_line_are_told_in_one_line(words, message):
    with pytest.raises(UserError) as error:
        config.parse(words.split())
    assert message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ["text", "message"],
    [
        ("epoch: 3", "epoch: no such field: did you mean epochs?"),
        ("sr_network:\n  filter: 3", "sr_network.filter: no such field: did you mean filters?"),
        ("style_vae:\n  weights:\n    k1: 3", "style_vae.weights.k1: no such field: did you mean kl?"),
        ("sr_network: 3", "sr_network is '3': fields are wanted"),
        ("- stage", "the file is \"['stage']\": fields are wanted"),
        ("a: [1", "not YAML, line 1: "),
        ("epochs: ten", "--epochs ten: it must be a whole number"),
        ("style_vae:\n  filters: wide", "--style-vae.filters wide: it must be a whole number"),
    ],
)
def test_mistakes_in_a_file_are_told_in_one_line(text, message, tmp_path):
    file = tmp_path / "own.yaml"
    file.write_text(text)
    with pytest.raises(UserError) as error:
        config.parse(["--config", str(file)])
    assert message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ["words", "message"],
    [
        ("--stage style --zoom 2", "--zoom: has no effect in stage style: leave it out"),
        ("--stage style --everyday=scenes", "--everyday: has no effect in stage style"),
        ("--stage=style --network edsr", "--network: has no effect in stage style"),
        ("--features net", "--features: has no effect in stage sr"),
        ("--patience 3 --val 0", "--patience: has no effect with --val 0"),
    ],
)
def test_an_option_without_an_effect_is_refused(words, message):
    with pytest.raises(UserError) as error:
        config.parse(words.split())
    assert message in str(error.value)


def test_a_file_may_serve_both_stages_and_defaults_are_no_mistake(tmp_path):
    (tmp_path / "own.yaml").write_text("zoom: 2\nwide_share: 0.1\n")
    words = ["--stage", "style", "--config", str(tmp_path / "own.yaml"), "--everyday", "null", "--sharpen", "0"]
    assert config.parse([*words, "--sr-network.filters", "8"]).zoom == 2


def test_shares_whose_sum_is_one_but_for_rounding_are_taken():
    shares = config.parse("--bicubic-share 0.33 --classical-share 0.56 --wide-share 0.11".split())
    assert shares.bicubic_share + shares.classical_share + shares.wide_share > 1


def test_settings_survive_their_file_with_the_model_of_their_stage_only(tmp_path):
    settings = config.parse("--stage style --style-vae.weights.kl 1e-5 --hr photos --max-minutes 2".split())
    config.write(settings, tmp_path / "config.yaml")
    assert config.read(tmp_path / "config.yaml") == settings
    assert "sr_network" not in (tmp_path / "config.yaml").read_text()


def test_a_run_of_another_version_may_hold_unknown_fields_of_the_other_stage(tmp_path):
    (tmp_path / "config.yaml").write_text("stage: sr\nstyle_vae:\n  weights:\n    gone: 1.0\n")
    assert config.read(tmp_path / "config.yaml") == config.FitConfig(stage="sr")


@pytest.mark.parametrize(
    "text", ["", "- 1", "hr: 3", "a: [", "stage: [sr]", "stage: sr\nepochs: x", "stage: both", "stage: sr\nnew: 1"]
)
def test_a_damaged_settings_file_is_told(text, tmp_path):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(UserError):
        config.read(tmp_path / "config.yaml")


def test_help_names_every_field_with_its_default(capsys):
    with pytest.raises(SystemExit) as end:
        config.parse(["--help"])
    text = capsys.readouterr().out
    assert end.value.code == 0
    assert "--sr-network.local-blocks" in text and "--style-vae.weights.kl" in text and "[0.0001]" in text
    assert len(text.splitlines()) < 100


def test_what_is_shipped_names_its_judge_and_beginning_but_no_folders():
    given = {"perceptual": "/home/me/net:0.05", "init": "/home/me/runs/start", "hr": "/home/me/faces"}
    shipped = config.portable(config.from_dict({**given, "adversarial": 0.01}))
    assert (shipped.hr, shipped.init, shipped.perceptual) == (None, "start", "net:0.05")
    assert config.portable(config.from_dict({"init": "/home/me/runs/start"})).init is None
