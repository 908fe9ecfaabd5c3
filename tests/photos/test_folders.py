"""Which photos are found, and where their results go."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from ssrvae_tf.errors import UserError
from ssrvae_tf.photos import folders, writing
from ssrvae_tf.photos.folders import Source, check_folder, check_not_swapped, find_photos, find_sources, plan


def make(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (6, 5), (90, 60, 30)).save(path)


def test_photos_are_found_nested_and_sorted(tmp_path):
    wanted = ["a/2.jpeg", "a/b/1.PNG", "b.webp"]
    make(tmp_path, *reversed(wanted), ".hidden.png", ".thumbnails/1.png")
    (tmp_path / "notes.txt").write_text("not a photo")
    assert find_photos(tmp_path) == [tmp_path / name for name in wanted]


def test_a_link_that_leads_back_up_ends(tmp_path):
    make(tmp_path, "a/1.png")
    os.symlink(tmp_path, tmp_path / "a" / "up")
    assert find_photos(tmp_path) == [tmp_path / "a" / "1.png"]


def test_a_folder_that_cannot_be_read_is_told_and_does_not_stop_the_others(tmp_path, monkeypatch, capsys):
    make(tmp_path, "a.png", "closed/b.png")
    scandir = os.scandir

    def refused(path):  # by the system, of which the tests' user may be the administrator
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    told = f"{tmp_path / 'closed'}: cannot be looked into (Permission denied): its photos are left out"
    assert find_photos(tmp_path) == [tmp_path / "a.png"] and capsys.readouterr().err == f"{told}\n"
    sources, failed = find_sources([str(tmp_path)], recursive=True)
    assert [source.path.name for source in sources] == ["a.png"] and failed == [told]
    for finding in (find_photos, lambda folder: find_sources([str(folder)])):
        with pytest.raises(UserError, match=r"^.*closed: cannot be looked into \(Permission denied\)"):
            finding(tmp_path / "closed")


def test_a_missing_folder_a_file_and_an_empty_folder_are_named(tmp_path):
    make(tmp_path, "x.png")
    with pytest.raises(UserError, match="--lr .*absent: no such folder"):
        find_photos(tmp_path / "absent", "--lr")
    with pytest.raises(UserError, match="a file, not a folder"):
        find_photos(tmp_path / "x.png")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no photos found"):
        find_photos(tmp_path / "empty")


def found(*words, recursive=False, apart=()) -> dict[str, str]:
    sources, failed = find_sources([str(word) for word in words], recursive, apart)
    assert not failed
    return {str(source.path): source.inside.as_posix() for source in sources}


def test_files_folders_and_globs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make(tmp_path, "a.png", "d/b.jpg", "d/e/c.webp", "d/[x].png")
    Path("d/notes.txt").write_text("no photo")
    assert found("a.png") == {"a.png": "a.png"}
    assert found("d") == {"d/[x].png": "[x].png", "d/b.jpg": "b.jpg"}
    assert set(found("d", recursive=True).values()) == {"[x].png", "b.jpg", "e/c.webp"}
    assert found("d/*.jpg", "d/b.jpg") == {"d/b.jpg": "b.jpg"}
    assert set(found("**/*.webp", "d/b*").values()) == {"c.webp", "b.jpg"}
    assert found("d/[x].png") == {"d/[x].png": "[x].png"}, "a name may look like a glob"
    assert found("gone.png") == {"gone.png": "gone.png"}, "it fails in its turn"


def test_several_folders_keep_their_names_apart(tmp_path):
    make(tmp_path, "one/a.png", "two/a.png")
    assert set(found(tmp_path / "one", tmp_path / "two").values()) == {"one/a.png", "two/a.png"}


def test_a_folder_in_two_spellings_is_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make(tmp_path, "faces/a.png", "other/b.png")
    os.symlink(tmp_path / "faces", tmp_path / "link")
    assert found("faces", "./faces/", "faces/../faces", str(tmp_path / "faces"), "link") == {"faces/a.png": "a.png"}
    assert set(found("faces/", "other", "faces").values()) == {"faces/a.png", "other/b.png"}


def test_photos_in_folders_of_a_named_folder_are_told(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    make(tmp_path, "d/a.png", "d/e/b.png", "d/e/f/c.jpg", "d/.hidden/d.png", "d/out/a_x4.png", "d/named/e.png")
    Path("d/e/notes.txt").write_text("no photo")
    assert len(found("d", "d/named", apart=[Path("d/out")])) == 2
    assert capsys.readouterr().err == "d: left out 2 photos in folders of it: --recursive looks there, too\n"
    assert len(found("d", recursive=True, apart=[Path("d/out")])) == 4 and capsys.readouterr().err == ""
    Path("d/a.png").unlink()
    with pytest.raises(UserError, match="^d: no photos found, but 3 photos in folders of it: --recursive looks there"):
        found("d", apart=[Path("d/out")])
    monkeypatch.setattr(folders, "_NAMES", 1)
    make(tmp_path, "d/a.png")
    found("d", apart=[Path("d/out"), Path("d/named")])
    assert "left out at least 1 photo" in capsys.readouterr().err


def test_no_more_than_some_names_of_a_tree_are_looked_at_to_say_what_is_left_out(tmp_path, monkeypatch):
    make(tmp_path, "a.png", *(f"{number:02}/b.png" for number in range(40)))
    looked, walk = [], os.walk
    monkeypatch.setattr(os, "walk", lambda *given, **more: (looked.append(1) or each for each in walk(*given, **more)))
    monkeypatch.setattr(folders, "_NAMES", 10)
    assert len(found(tmp_path)) == 1 and len(looked) < 12


def test_photos_of_kinds_that_cannot_be_read_are_told_with_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(folders, "suffixes", lambda: frozenset([".png"]))
    make(tmp_path, "a.png")
    for name in ("1.HEIC", "2.heic", "3.cr2", "4.avif", "notes.txt"):
        (tmp_path / name).touch()
    lines = [
        f"{tmp_path}: skipped 2 .heic files, such as 1.HEIC: pip install 'ssrvae_tf[heif]' reads them",
        f"{tmp_path}: skipped 1 .cr2 file, such as 3.cr2: make TIFF or JPEG of them by a raw converter",
        f"{tmp_path}: skipped 1 .avif file, such as 4.avif: pip install 'ssrvae_tf[heif]' reads them",
    ]
    for find in (found, find_photos):
        assert len(find(tmp_path)) == 1
        assert capsys.readouterr().err.splitlines() == lines
    (tmp_path / "a.png").unlink()
    for find in (found, find_photos):
        with pytest.raises(UserError, match=r"no photos found, but 4 such as 1.HEIC: pip install 'ssrvae_tf\[heif"):
            find(tmp_path)


def test_swapped_folders_are_noticed_by_the_sizes_of_their_photos(tmp_path):
    for name, size in (("hr/1.png", (200, 90)), ("hr/2.png", (80, 99)), ("lr/1.png", (79, 300)), ("lr/2.png", (9, 9))):
        make(tmp_path, name)
        Image.new("1", size).save(tmp_path / name)
    (tmp_path / "lr/bad.png").write_text("no photo")
    hr, lr = (find_photos(tmp_path / name) for name in ("hr", "lr"))
    check_not_swapped(hr, lr)
    check_not_swapped(hr, hr)
    check_not_swapped([165, 165], [166, 240])  # blurred ones may be as large as sharp ones
    check_not_swapped(lr[-1:], hr)  # nothing can be said of what cannot be read
    with pytest.raises(
        UserError, match=r"--hr and --from: photos of --hr are smaller \(at .* 44 .* than those of --from \(85\)"
    ):
        check_not_swapped(lr, hr, lr_option="--from")


def test_results_inside_a_named_folder_are_no_photos(tmp_path):
    make(tmp_path, "a.png", "out/a_x4.png")
    assert set(found(tmp_path, recursive=True, apart=[tmp_path / "out"]).values()) == {"a.png"}
    assert set(found(tmp_path, recursive=True, apart=[tmp_path]).values()) == {"a.png", "out/a_x4.png"}


@pytest.mark.parametrize("word, message", [("empty", "no photos found"), ("*.png", "no file matches")])
def test_nothing_found_is_an_error(tmp_path, monkeypatch, word, message):
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    with pytest.raises(UserError, match=message):
        found(word)


def test_what_holds_no_photo_does_not_stop_the_others(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make(tmp_path, "a.png", "d/e/b.png")
    Path("empty").mkdir()
    sources, failed = find_sources(["a.png", "empty", "*.tif", "d", "x" * 300])
    assert [source.path.name for source in sources] == ["a.png", "x" * 300]
    assert [line.split(":")[0] for line in failed] == ["empty", "*.tif", "d"] and "--recursive" in failed[2]


def test_sheets_are_passed_over_unless_they_are_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    make(tmp_path, "d/a.png", "d/mine/b.png", "d/sheets/a.png", "d/sheets/deep/c.png")
    Path("d/sheets/before_after.html").touch()
    assert list(found("d", recursive=True)) == list(found("d/**/*.png")) == list(found("**/*.png"))
    assert list(found("d", recursive=True)) == ["d/a.png", "d/mine/b.png"] and not capsys.readouterr().err
    found("d")
    assert "left out 1 photo" in capsys.readouterr().err
    assert len(found("d/sheets", recursive=True)) == len(found("d/sheets/**/*.png")) == 2
    assert list(found("d/sheets/a.png")) == ["d/sheets/a.png"]


def targets(names, out=Path("out")) -> list[str]:
    sources = [Source(Path(name), Path(name)) for name in names]
    items = plan(sources, out, lambda s, apart: f"{s.path.name if apart else s.path.stem}_x4.png")
    return [item.target.as_posix() for item in items]


def test_no_two_photos_share_a_target_whatever_their_order():
    names = ["a.png", "a.jpg", "b.png", "d/a.png"]
    wanted = {"out/a.png_x4.png", "out/a.jpg_x4.png", "out/b_x4.png", "out/d/a_x4.png"}
    assert set(targets(names)) == set(targets(names[::-1])) == wanted


def test_names_that_some_disks_take_for_one_are_told_apart():
    assert len({name.casefold() for name in targets(["a.png", "A.png", "a.PNG"])}) == 3


def test_earlier_results_beside_the_photos_are_left_out():
    assert targets(["a.png", "a_x4.png", "b_x4.png"], None) == ["a_x4.png", "b_x4_x4.png"]


def test_earlier_results_in_the_folder_of_the_photos_are_left_out():
    assert targets(["p/a.png", "p/a_x4.png"], Path()) == ["p/a_x4.png"]


def test_earlier_results_that_tell_kinds_apart_are_left_out():
    earlier = targets(["a.png", "a.jpg"], None)
    assert earlier == ["a.png_x4.png", "a.jpg_x4.png"]
    assert targets(["a.png", "a.jpg", *earlier], None) == earlier


def test_earlier_results_with_a_mark_are_left_out():
    names = ["a.png", "A.png", "b/a.png"]
    earlier = targets(names, None)
    assert targets([*names, *earlier], None) == earlier


def test_a_mark_tells_photos_of_one_name_apart_whichever_are_there():
    def all_in(names):
        sources = [Source(Path(name), Path(Path(name).name)) for name in names]
        items = plan(sources, Path("out"), lambda s, apart: f"{s.path.name if apart else s.path.stem}_x4.png")
        return {item.source.as_posix(): item.target.name for item in items}

    three = all_in(["x/a.png", "y/a.png", "z/a.png"])
    assert len(set(three.values())) == 3
    assert all_in(["z/a.png", "y/a.png"]).items() <= three.items()


def test_a_folder_that_cannot_be_written_is_found_before_the_work(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="--out .*file/out: cannot be written"):
        check_folder(tmp_path / "file" / "out", "--out")


def test_a_link_to_itself_is_no_folder_for_results(tmp_path):
    os.symlink(tmp_path / "loop", tmp_path / "loop")
    (item,) = plan([Source(Path("a.png"), Path("a.png"))], tmp_path / "loop", lambda source, apart: "a_x4.png")
    with pytest.raises(UserError, match=r"--out .*loop: cannot be written \(File exists\)"):
        check_folder(item.target.parent, "--out")


def test_what_a_killed_process_left_is_removed_unless_another_machine_may_be_at_work_on_it(tmp_path, monkeypatch):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()

    def part(name, process, machine=None):
        with monkeypatch.context() as patch:
            patch.setattr(os, "getpid", lambda: process)
            if machine:
                patch.setattr(writing, "machine", lambda: machine)
            path = writing.part_of(tmp_path / name)
        path.write_text("half")
        return path.name

    kept = {part("b.png", os.getpid()), part("c.png", dead.pid, "0123abcd"), ".hidden.png"}
    (tmp_path / ".hidden.png").write_text("not ours")
    for name in ("a.png", "x" * 251 + ".jpg", "before_after.html"):
        part(name, dead.pid)
    os.utime(tmp_path / part("old.png", dead.pid, "0123abcd"), (1, 1))
    check_folder(tmp_path, "--out")
    assert {path.name for path in tmp_path.iterdir()} == kept
