"""What is imported is what is read: any format, by any executor, after kills, beside another importer, or nothing."""

from __future__ import annotations

import bz2
import gzip
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from synthetic import HAS_MPI, environment, files_below, random_frames, run_script, script

from hiertl_dist import executor, read_frames
from hiertl_dist.algebra.byte_cache import Kept
from hiertl_dist.cli.commands import main as command
from hiertl_dist.dataset import importing, part_reader, streaming, unpacking
from hiertl_dist.dataset.dataset import Dataset
from hiertl_dist.dataset.folder import finish
from hiertl_dist.dataset.sources import sorted_out
from hiertl_dist.errors import FrameError, HiertlWarning, InputError, LockError, StoreError
from hiertl_dist.executors import progress
from hiertl_dist.files.locks import held, locked
from hiertl_dist.files.paths import replacing
from hiertl_dist.files.store_use import use_stores
from hiertl_dist.units import EV


def text_of(frames, keys=("energy", "forces", "stress")):
    """Extended XYZ."""
    energy, forces, stress = keys
    lines = []
    for frame in frames:
        lattice = " ".join(map(repr, frame.cell.ravel().tolist()))
        xx, yy, zz, xy, xz, yz = (-frame.stress / EV).tolist()
        tensor = " ".join(map(repr, (xx, xy, xz, xy, yy, yz, xz, yz, zz)))
        lines += [
            str(len(frame)),
            f'Lattice="{lattice}" Properties=species:S:1:pos:R:3:{forces}:R:3 {energy}={frame.energy / EV!r} '
            f'{stress}="{tensor}" pbc="T T T" config_type={frame.group}',
        ]
        for name, *rows in zip(frame.species, frame.positions.tolist(), (frame.forces / EV).tolist(), strict=True):
            lines.append(" ".join([name, *(repr(x) for row in rows for x in row)]))
    return "\n".join(lines) + "\n"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "a.extxyz"
    path.write_text(text_of(random_frames({"C": 9, "CN": 20}, groups=("liquid", "solid"))))
    return path


@pytest.fixture
def small_runs(monkeypatch):
    monkeypatch.setattr(importing, "RUN", 4000)
    monkeypatch.setattr(streaming, "MOST_FRAMES", 4)


def create(folder, sources, **options):
    return Dataset.create(folder, sources, **{"executor": executor("serial"), **options})


def same(data, frames):
    assert [f.digest for f in data] == [f.digest for f in frames]
    assert [(f.origin, f.group) for f in data] == [(f.origin, f.group) for f in frames]
    assert [f.labels.keys for f in data] == [f.labels.keys for f in frames]


@pytest.fixture(scope="module")
def dask():
    with executor("dask", workers=2) as runner:
        yield runner


@pytest.fixture(params=["serial", "two_processes", "dask"])
def anyone(request):
    """Who imports."""
    return executor("serial") if request.param == "serial" else request.getfixturevalue(request.param)


def test_the_frames_are_those_that_are_read(tmp_path, file, small_runs, anyone):
    other = tmp_path / "b.extxyz"
    other.write_bytes(gzip.compress(text_of(random_frames({"N": 25}, seed=3)).encode()))
    data = create(tmp_path / "d", str(tmp_path / "?.extxyz"), executor=anyone, group_key="config_type")
    same(data, read_frames(str(tmp_path / "?.extxyz"), group_key="config_type"))
    assert len(data._index.parts) > 5


def test_a_packed_file_whose_name_does_not_say_so(tmp_path, file):
    path = tmp_path / "p.extxyz"
    path.write_bytes(gzip.compress(file.read_bytes()))
    same(create(tmp_path / "d", path), read_frames(path))


@pytest.mark.parametrize("kind", ["packed", "odd", "sliced"])
def test_a_file_that_changes_while_it_is_streamed(tmp_path, file, kind, monkeypatch):
    path, write = file, importing.write_part
    if kind == "packed":
        path = tmp_path / "p.extxyz.gz"
        path.write_bytes(gzip.compress(file.read_bytes()))
    if kind == "odd":
        path.write_bytes(file.read_bytes().replace(b"\n", b"\r"))

    def after_a_change(*args):
        os.utime(path, ns=(1, 1))
        write(*args)

    monkeypatch.setattr(importing, "write_part", after_a_change)
    with pytest.raises(FrameError, match="changed while it was read"):
        create(tmp_path / "d", [{"path": [path]} | ({"stop": 20} if kind == "sliced" else {})])
    assert not (tmp_path / "d" / "dataset.json").exists()


@pytest.mark.parametrize("packed", [gzip, bz2])
def test_packed_files(tmp_path, file, small_runs, packed):
    path = tmp_path / f"p.extxyz.{'gz' if packed is gzip else 'bz2'}"
    path.write_bytes(packed.compress(file.read_bytes()))
    same(create(tmp_path / "d", path), read_frames(path))


class TestPacked:
    """In windows of two runs, of some frames each."""

    @pytest.fixture
    def packed(self, tmp_path, file, small_runs, monkeypatch):
        monkeypatch.setattr(unpacking, "LEAST_RUNS", 2)
        monkeypatch.setattr(unpacking, "RUNS_PER_WORKER", 2)
        path = tmp_path / "p.extxyz.gz"
        path.write_bytes(gzip.compress(file.read_bytes()))
        return path

    def test_parts_are_those_of_the_plain_file(self, tmp_path, file, packed):
        data, plain = (create(tmp_path / name, path, group="a") for name, path in (("d", packed), ("e", file)))
        assert len(data._index.parts) > 6
        assert files_below(data.path, "atoms", "frames") == files_below(plain.path, "atoms", "frames")
        assert not (data.path / unpacking.SCRATCH).exists()

    def test_two_windows_at_most_are_on_disk(self, tmp_path, file, packed, monkeypatch):
        write, sizes = importing.write_part, []

        def counting(*args):
            sizes.append(sum(p.stat().st_size for p in (tmp_path / "d" / unpacking.SCRATCH).iterdir()))
            write(*args)

        monkeypatch.setattr(importing, "write_part", counting)
        create(tmp_path / "d", packed)
        assert len(sizes) > 6
        assert 0 < max(sizes) <= 5 * importing.RUN < file.stat().st_size

    @pytest.mark.parametrize("ending", ["odd", "cut off"])
    def test_faults_are_those_that_readers_raise(self, tmp_path, file, packed, ending):
        text = file.read_bytes()
        lines = text.split(b"\n")
        lines[14 * 20 + 5] = b"C 0 0 x 0 0 0"
        packed.write_bytes(gzip.compress(b"\n".join(lines)))
        self.refused(tmp_path, packed, "frame 21, line 286: expected a finite number for column 4, found 'x'")
        if ending == "odd":
            packed.write_bytes(gzip.compress(text + b"2\n\nC 0 0 0\n"))
            self.refused(tmp_path, packed, "frame 30, line 409: expected 2 atoms, found 1 before the file ends")
        else:
            packed.write_bytes(gzip.compress(text)[:-2000])
            self.refused(tmp_path, packed, "damaged gzip file after line")

    @staticmethod
    def refused(tmp_path, packed, text):
        with pytest.raises(FrameError) as read:
            read_frames(packed)
        with pytest.raises(FrameError) as imported:
            create(tmp_path / "d", packed)
        assert text in str(read.value)
        assert str(imported.value) == str(read.value)
        assert not (tmp_path / "d" / unpacking.SCRATCH).exists()
        assert not (tmp_path / "d" / "dataset.json").exists()

    @pytest.mark.parametrize("elsewhere", [False, True])
    def test_what_is_complete_is_not_parsed_again(self, tmp_path, packed, monkeypatch, elsewhere):
        parse, numbers = importing.parse_run, []

        def stopping(run, *more):
            if len(numbers) == 5:
                raise KeyboardInterrupt
            numbers.append(run.frame)
            return parse(run, *more)

        def in_another_process(*args, **options):
            unpacking.let_reader_go(tmp_path / "d")
            return unpacking.next_window(*args, **options)

        monkeypatch.setattr(importing, "parse_run", stopping)
        if elsewhere:
            monkeypatch.setattr(importing, "next_window", in_another_process)
        with pytest.raises(KeyboardInterrupt):
            create(tmp_path / "d", packed)
        assert not (tmp_path / "d" / unpacking.SCRATCH).exists()
        (tmp_path / "d" / unpacking.SCRATCH).mkdir()
        (tmp_path / "d" / unpacking.SCRATCH / "killed.text").write_text("left there")
        before = len(numbers)
        numbers.append(0)
        data = create(tmp_path / "d", packed)
        same(data, read_frames(packed))
        assert before == 5
        assert len(set(numbers)) == len(numbers) == len(data._index.parts) + 1
        assert not (tmp_path / "d" / unpacking.SCRATCH).exists()

    def test_it_tells_how_many_frames_are_there(self, tmp_path, file, packed, monkeypatch, capsys):
        write = importing.write_part

        def slowly(*args):
            time.sleep(0.03)
            write(*args)

        monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.02)
        monkeypatch.setattr(importing, "write_part", slowly)
        create(tmp_path / "d", [{"path": [packed]}, {"path": [file], "stop": 9}])
        said = capsys.readouterr().err
        assert "import p.extxyz.gz, frames: 29 after 00:0" in said
        assert "import a.extxyz, frames: 9 after 00:0" in said
        assert said.count(" of ") == 0  # and nothing of single windows

    def test_a_text_that_is_removed_under_way(self, tmp_path, packed, monkeypatch):
        parse = importing.parse_run

        def removing(*args):
            for path in (tmp_path / "d" / unpacking.SCRATCH).iterdir():
                path.unlink()
            return parse(*args)

        monkeypatch.setattr(importing, "parse_run", removing)
        with pytest.raises(StoreError, match="was removed before it was read; import again"):
            create(tmp_path / "d", packed)


@pytest.mark.parametrize("change", [
    lambda text: text.replace("\n", "\r\n"), lambda text: text.replace("\n", "\r"), lambda text: "\n\n" + text,
    lambda text: text.replace("liquid", "flüssig"), lambda text: text.rstrip("\n"),
])  # fmt: skip
def test_files_of_another_structure(tmp_path, file, small_runs, change):
    file.write_bytes(change(file.read_text()).encode("latin-1"))
    data = create(tmp_path / "d", file, group_key="config_type")
    same(data, read_frames(file, group_key="config_type"))
    lines = file.read_text(encoding="latin-1").split("\n")  # line ends of all kinds
    assert [int(lines[int(f.origin.rpartition(", line ")[2]) - 1]) for f in data] == [len(f) for f in data]
    assert data.origins() == [f.origin for f in data]


def test_parts_of_files_and_tables(tmp_path, file, small_runs):
    other = tmp_path / "b.xyz"
    other.write_text(text_of(random_frames({"N": 5}, seed=3), keys=("REF_energy", "REF_forces", "stress")))
    keys = {"energy_key": "REF_energy", "forces_key": "REF_forces"}
    data = create(tmp_path / "d", [{"path": [file], "start": 3, "stop": 12}, {"path": [other], **keys}])
    same(data, [*read_frames(file)[3:12], *read_frames(other, **keys)])


class TestKeys:
    def test_a_named_key_that_no_frame_has(self, tmp_path, file, small_runs):
        with pytest.raises(FrameError, match=r"no frame has the energy key 'REF_energy'; there are \['Lattice'"):
            create(tmp_path / "d", file, energy_key="REF_energy")
        same(create(tmp_path / "d", file), read_frames(file))  # nothing of it has stayed

    def test_look_alikes_are_told(self, tmp_path, file):
        file.write_text(text_of(random_frames({"N": 5}), keys=("energy", "REF_forces", "stress")))
        with pytest.warns(HiertlWarning, match=r"^Dataset\.create: .*5 of 5 frames are without forces"):
            create(tmp_path / "d", file)


class TestAgain:
    def test_the_same_call_does_nothing(self, tmp_path, file, small_runs):
        create(tmp_path / "d", file)
        before = files_below(tmp_path / "d", "atoms", "frames", "ledger")
        same(create(tmp_path / "d", file), read_frames(file))
        assert files_below(tmp_path / "d", "atoms", "frames", "ledger") == before

    def test_a_file_counts_once(self, tmp_path, file):
        create(tmp_path / "d", file)
        other, pattern = tmp_path / "b.extxyz", str(tmp_path / "*.extxyz")
        other.write_text(text_of(random_frames({"N": 5}, seed=3)))
        passed = r"Dataset\.create: {} passed over, in the data set already and unchanged since: \S*a\.extxyz"
        with pytest.warns(HiertlWarning, match=passed.format("1 file") + "$"):
            data = create(tmp_path / "d", pattern, append=True)
        same(data, read_frames(pattern))
        with pytest.warns(HiertlWarning, match=passed.format("2 files") + r", \S*b\.extxyz$"):
            same(create(tmp_path / "d", pattern, append=True), data)
        (tmp_path / "c.extxyz").write_text(text_of(random_frames({"N": 5}, seed=4)))
        for change, sources, options, why in (
            (None, pattern, {"group": "b"}, r"read in another way \(group not named then, 'b' now\)"),
            (None, [{"path": [file], "stop": 3}], {}, "its frames would count twice"),
            (lambda: os.utime(file, ns=(1, 1)), pattern, {}, r"has changed since \(written again\); its frames would"),
            (lambda: file.write_text("3\n"), pattern, {}, r"has changed since \(\d+ bytes then, 2 now\)"),
        ):
            if change is not None:
                change()
            with pytest.raises(InputError, match=rf"a\.extxyz: it is in the data set already.*{why}"):
                create(tmp_path / "d", sources, append=True, **options)
        assert len(Dataset(tmp_path / "d")) == len(data)

    def test_other_files_are_appended(self, tmp_path, file, small_runs):
        create(tmp_path / "d", file)
        other = tmp_path / "b.extxyz"
        other.write_text(text_of(random_frames({"N": 5}, seed=3)))
        with pytest.raises(StoreError, match="data set of 29 frames already"):
            create(tmp_path / "d", other)
        same(create(tmp_path / "d", other, append=True), [*read_frames(file), *read_frames(other)])


class TestDamage:
    def test_a_bad_frame_leaves_nothing(self, tmp_path, file, small_runs):
        text = file.read_text()
        lines = text.split("\n")
        lines[14 * 20 + 5] = "C 0 0 x 0 0 0"
        file.write_text("\n".join(lines))
        with pytest.raises(FrameError) as read:
            read_frames(file)
        with pytest.raises(FrameError) as imported:
            create(tmp_path / "d", file)
        assert str(imported.value) == str(read.value)
        assert "frame 21, line 286: expected a finite number for column 4, found 'x'" in str(read.value)
        assert not (tmp_path / "d" / "dataset.json").exists()
        file.write_text(text)
        same(create(tmp_path / "d", file), read_frames(file))

    def test_workers_tell_of_it_alike(self, tmp_path, file, anyone):
        file.write_text(file.read_text() + "2\n\nC 0 0 0\n")
        with pytest.raises(FrameError, match=r"frame 30.*expected 2 atoms, found 1"):
            create(tmp_path / "d", file, executor=anyone)

    def test_a_file_that_changes_between_the_looks(self, tmp_path, file, monkeypatch):
        given = sorted_out(file, {})
        runs = importing._cut(given[0].files[0], size=4000).runs
        text = file.read_text()
        file.write_text("  " + text)
        item = importing._Item(importing.following(None, runs[1].frames, runs[1].atoms), runs[1], given[0].files[0])
        with pytest.raises(FrameError, match="changed while it was read"):
            importing._import(item, lock=held(tmp_path))


def stop_before_the_end(folder, sources, monkeypatch):
    """An import of which all parts are written, and which is stopped then."""

    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(importing, "finish", stopped)
    with pytest.raises(KeyboardInterrupt):
        create(folder, sources)
    monkeypatch.setattr(importing, "finish", finish)


class TestWhatIdentifiesAnImport:
    def test_slices(self, tmp_path, file, small_runs):
        frames = read_frames(file)
        same(create(tmp_path / "d", [{"path": [file], "stop": 10}]), frames[:10])
        same(create(tmp_path / "d", [{"path": [file], "stop": 10}]), frames[:10])
        with pytest.raises(StoreError, match="data set of 10 frames already"):
            create(tmp_path / "d", [{"path": [file]}])
        with pytest.raises(InputError, match="in the data set already"):
            create(tmp_path / "d", [{"path": [file], "start": 9}], append=True)
        same(create(tmp_path / "d", [{"path": [file], "start": 10, "stop": 20}], append=True), frames[:20])
        parts = [{"path": [file], "stop": 10}, {"path": [file], "start": 20, "stop": 25}]
        with pytest.warns(HiertlWarning, match=r"1 file passed over, in the data set already .*a\.extxyz$"):
            same(create(tmp_path / "d", parts, append=True), frames[:25])

    def test_a_stopped_import_of_another_slice_leaves_nothing(self, tmp_path, file, small_runs, monkeypatch):
        stop_before_the_end(tmp_path / "d", [{"path": [file], "stop": 10}], monkeypatch)
        same(create(tmp_path / "d", [{"path": [file], "start": 12, "stop": 22}]), read_frames(file)[12:22])

    def test_a_file_in_two_tables(self, tmp_path, file):
        link = tmp_path / "link.extxyz"
        link.symlink_to(file)
        for tables in ([{"path": [file]}] * 2, [{"path": [file]}, {"path": [link]}]):
            with pytest.raises(InputError, match=r"a\.extxyz: it is named twice"):
                create(tmp_path / "d", tables)

    def test_keys_that_mean_nothing(self, tmp_path, file):
        with pytest.raises(InputError, match=r"import: unknown key.*grup"):
            create(tmp_path / "d", [{"path": [file], "grup": "x"}])

    def test_keys_count_for_their_own_table(self, tmp_path, file):
        other = tmp_path / "b.extxyz"
        other.write_text(text_of(random_frames({"N": 5}, seed=3)))
        with pytest.raises(FrameError, match=r"b\.extxyz: no frame has the energy key 'nope'"):
            create(tmp_path / "d", [{"path": [file]}, {"path": [other], "energy_key": "nope"}])

    def test_frames_of_python_keep_their_own_origins(self, tmp_path, file, small_runs, monkeypatch):
        frames = read_frames(file)
        copy = tmp_path / "b.extxyz"
        copy.write_bytes(file.read_bytes())

        stop_before_the_end(tmp_path / "d", frames, monkeypatch)
        again = read_frames(copy, group="a")
        same(create(tmp_path / "d", again), again)

    def test_no_frames(self, tmp_path, file):
        with pytest.raises(InputError, match=r"no frames from a\.extxyz"):
            create(tmp_path / "d", [{"path": [file], "start": 500}])


class TestLateWorkers:
    def test_a_ledger_of_another_import_is_not_taken(self, tmp_path, file, small_runs, monkeypatch):
        def after_another(folder, *more):
            path = sorted((folder / "ledger").iterdir())[1]
            path.write_text(
                path.read_text().replace('"part": 1', '"part": 7').replace('first_byte": ', 'first_byte": 1')
            )
            return finish(folder, *more)

        monkeypatch.setattr(importing, "finish", after_another)
        with pytest.raises(StoreError, match="which a worker that outlived its import wrote meanwhile: import again"):
            create(tmp_path / "d", file)

    def test_a_ledger_that_is_changed_afterwards(self, tmp_path, file, small_runs, monkeypatch):
        data = create(tmp_path / "d", file)
        path = sorted((tmp_path / "d" / "ledger").iterdir())[-1]
        path.write_text(path.read_text().replace('["C", "N"]', '["N", "C"]'))
        monkeypatch.setattr(part_reader, "_ledgers", Kept(0, lambda _: 1))
        with pytest.raises(StoreError, match=r"expected SHA-256 .* it was changed"):
            list(data)

    def test_an_index_that_is_changed(self, tmp_path, file):
        create(tmp_path / "d", file)
        path = tmp_path / "d" / "dataset.json"
        path.write_text(path.read_text().replace('"a.extxyz, frame "', '"b.extxyz, frame "'))
        with pytest.raises(StoreError, match=r"dataset\.json: expected SHA-256"):
            Dataset(tmp_path / "d")


class TestTwoImporters:
    @pytest.mark.parametrize("use", [{"wait": 0}, {"in_use": "refuse"}])
    def test_the_second_waits_or_says_who_has_it(self, tmp_path, file, use):
        (tmp_path / "d").mkdir()
        with use_stores(**use), locked(tmp_path / "d"), pytest.raises(LockError, match="is with process"):
            create(tmp_path / "d", file)
        same(create(tmp_path / "d", file), read_frames(file))

    def test_a_complete_data_set_is_only_read(self, tmp_path, file):
        data = tmp_path / "d"
        create(data, file)
        before = {p: p.lstat().st_mtime_ns for p in [data, *data.rglob("*")]}
        same(create(data, file), read_frames(file))
        assert {p: p.lstat().st_mtime_ns for p in [data, *data.rglob("*")]} == before

    def test_what_killed_importers_left_goes_and_what_is_being_written_stays(self, tmp_path, file):
        data = tmp_path / "d"
        create(data, file)
        chunk = data / "atoms/positions/c/7/0"  # of a part that does not belong
        with replacing(chunk):
            for left in (chunk.with_name("0.a.partial"), data / "ledger/9.json.b.partial", data / "zarr.c.partial"):
                left.write_bytes(b"half")
            other = tmp_path / "b.extxyz"
            other.write_text(text_of(random_frames({"N": 5}, seed=3)))
            create(data, other, append=True)
            (still,) = data.rglob("*.partial")
            assert still.parent == chunk.parent

    def test_at_once(self, tmp_path, file):
        jobs = [
            subprocess.Popen(
                script("import_script.py", file, tmp_path / "d", 1), env=environment(), stdout=subprocess.PIPE
            )
            for _ in range(2)
        ]
        assert [job.wait(60) for job in jobs] == [0, 0]
        for job in jobs:
            job.stdout.close()
        same(Dataset(tmp_path / "d"), read_frames(file, group_key="config_type"))


def test_parts_that_another_import_wrote_over_are_written_anew(tmp_path, monkeypatch):
    """An import is stopped, another into the same folder too, whose part has chunks of several of the first."""
    monkeypatch.setattr(importing, "RUN", 4000)
    small, large = tmp_path / "small.extxyz", tmp_path / "large.extxyz"
    small.write_text(text_of(random_frames({"C": 60})))
    large.write_text(text_of(random_frames({"CN": 900}, atoms=27)))
    folder, runner = tmp_path / "d", executor("serial")

    def stopped(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(importing, "finish", stopped)
        with pytest.raises(KeyboardInterrupt):
            Dataset.create(folder, small, executor=runner)
        patch.setattr(importing, "RUN", 2**30)
        with pytest.raises(KeyboardInterrupt):
            Dataset.create(folder, large, executor=runner)
    assert len(list((folder / "ledger").iterdir())) > 3
    same(Dataset.create(folder, small, executor=runner), read_frames(small))


def test_files_are_called_apart_from_those_of_earlier_imports(tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.extxyz").write_text(text_of(random_frames({"C": 2}, seed=ord(name))))
    folder, runner = tmp_path / "d", executor("serial")
    Dataset.create(folder, tmp_path / "a" / "x.extxyz", executor=runner)
    Dataset.create(folder, tmp_path / "b" / "x.extxyz", append=True, executor=runner)
    with pytest.warns(HiertlWarning, match="2 files passed over"):
        data = Dataset.create(folder, f"{tmp_path}/*/x.extxyz", append=True, executor=runner)
    assert [f.group for f in data] == ["x", "x", "b/x", "b/x", "c/x", "c/x"]
    assert [f.origin.partition(",")[0] for f in data][::2] == ["x.extxyz", "b/x.extxyz", "c/x.extxyz"]
    tables = [{"path": tmp_path / name / "x.extxyz", "group": name} for name in "ab"]
    data = Dataset.create(tmp_path / "e", tables, executor=runner)
    assert [(f.origin.partition(",")[0], f.group) for f in data][::2] == [("a/x.extxyz", "a"), ("b/x.extxyz", "b")]


def test_frames_that_are_there_under_another_name_are_told(tmp_path):
    file, folder, runner = tmp_path / "a.extxyz", tmp_path / "d", executor("serial")
    file.write_text(text_of(random_frames({"C": 3})))
    Dataset.create(folder, file, executor=runner)
    file.rename(tmp_path / "b.extxyz")
    text = r"3 of 3 frames added now have .* that was in the data set, such as b\.extxyz, frame 1, .* of a\.extxyz"
    with pytest.warns(HiertlWarning, match=text):
        Dataset.create(folder, tmp_path / "b.extxyz", append=True, executor=runner)
    frames = random_frames({"N": 2})
    Dataset.create(folder, frames, append=True, executor=runner)
    with pytest.warns(HiertlWarning, match="2 of 2 frames added now"):
        Dataset.create(folder, frames, append=True, executor=runner)


def test_an_index_that_lacks_parts_has_none_written_over(tmp_path):
    folder, (a, b, c) = tmp_path / "d", (random_frames({kind: 2}) for kind in ("C", "N", "CN"))
    create(folder, a)
    stale = (folder / "dataset.json").read_bytes()
    create(folder, b, append=True)
    (folder / "dataset.json").write_bytes(stale)
    expected = [f.digest for f in (*a, *b, *c)]
    assert [f.digest for f in create(folder, c, append=True)] == expected
    assert [f.digest for f in Dataset(folder)] == expected


def test_kills_and_a_resume_leave_the_same_data_set(tmp_path, monkeypatch):
    monkeypatch.setattr(importing, "RUN", 4000)
    file, folder = tmp_path / "a.extxyz", tmp_path / "killed"
    file.write_text(text_of(random_frames({"C": 60, "CN": 100})))
    Dataset.create(tmp_path / "whole", file, group_key="config_type", executor=executor("serial"))
    total = len(list((tmp_path / "whole" / "ledger").iterdir()))
    counts = [0, *map(int, run_script("import_kills_script.py", file, folder, total, 5).split())]
    # and with its workers
    process = subprocess.Popen(
        script("import_script.py", file, folder, 2, counts[-1] + 3), env=environment(), stdout=subprocess.PIPE,
        text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stdout.readline() == "begin\n"
    while len(list((folder / "ledger").glob("*.json"))) <= counts[-1] and process.poll() is None:
        time.sleep(0.001)
    os.killpg(process.pid, signal.SIGKILL)
    process.stdout.close()
    assert process.wait(60) == -signal.SIGKILL
    counts.append(len(list((folder / "ledger").glob("*.json"))))
    assert not (folder / "dataset.json").exists()
    assert counts == sorted(counts)
    assert len(set(counts)) > 3
    Dataset.create(folder, file, group_key="config_type", executor=executor("serial"))
    parts = ("atoms", "frames", "ledger")
    assert files_below(folder, *parts) == files_below(tmp_path / "whole", *parts)
    contents = [json.loads((f / "dataset.json").read_text()) for f in (folder, tmp_path / "whole")]
    assert all(c.pop("id") and c.pop("sha256") for c in contents)
    assert contents[0] == contents[1]


@pytest.mark.skipif(not HAS_MPI, reason="needs mpi4py and mpiexec")
def test_ranks_import_together(tmp_path):
    from mpi_commands import command as words
    from mpi_commands import mpiexec

    file, packed = tmp_path / "a.extxyz", tmp_path / "b.extxyz.gz"
    file.write_text(text_of(random_frames({"C": 9, "CN": 20})))
    packed.write_bytes(gzip.compress(text_of(random_frames({"N": 5}, seed=3)).encode()))
    done = mpiexec(*words("import", tmp_path / "d", file, packed, "--json"), ranks=2)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["frames"] == 34
    same(Dataset(tmp_path / "d"), read_frames([file, packed]))


ORDERED = """
import sys
from mpi4py import MPI
from hiertl_dist import Dataset, executor
folder, *files = sys.argv[1:]
with executor("mpi") as runner:
    Dataset.create(folder, files[::-1] if MPI.COMM_WORLD.rank else files, executor=runner)
"""


@pytest.mark.skipif(not HAS_MPI, reason="needs mpi4py and mpiexec")
def test_ranks_with_files_in_another_order_are_refused(tmp_path, file):
    from mpi_commands import mpiexec

    other = tmp_path / "b.extxyz"
    other.write_text(text_of(random_frames({"N": 5}, seed=3)))
    done = mpiexec(sys.executable, "-c", ORDERED, tmp_path / "d", file, other, ranks=2)
    assert done.returncode != 0
    assert "the ranks were given different sources" in done.stderr
    assert not (tmp_path / "d").exists()


class TestCommand:
    def test_it_says_what_there_is(self, tmp_path, file, capsys):
        words = ["import", str(tmp_path / "d"), str(file), "--group-key", "config_type", "--executor", "serial"]
        assert command(words) == 0
        out = capsys.readouterr().out
        assert "29 frames, 348 atoms, 2 groups; 29 frames added now\nC 9, CN 20\n" in out
        assert "\nlabels, of 29 frames: energy 29, forces 29, stress 29\n" in out
        assert "energy 29 (key energy), forces 29 (key forces), stress 29 (key stress)" in out
        assert "have the key" not in out
        assert command(words) == 0
        out = capsys.readouterr().out
        assert "0 frames added now" in out
        assert "\nnote: nothing is new: no frames were added, and" in out
        copy = tmp_path / "d" / "dataset.json.copy"
        copy.unlink()  # as after a kill between the two
        assert command(words) == 0
        assert "0 frames added now" in capsys.readouterr().out
        assert copy.read_bytes() == (tmp_path / "d" / "dataset.json").read_bytes()
        other = tmp_path / "b.extxyz"
        other.write_text(text_of(random_frames({"N": 5})))
        assert command([*words[:2], str(other), "--executor", "serial"]) == 2
        assert "data set of 29 frames already; append=True (--append) adds to it" in capsys.readouterr().err
        assert command([*words[:2], str(other), "--append", "--executor", "serial", "--json"]) == 0
        facts = json.loads(capsys.readouterr().out)
        assert (facts["frames"], facts["added"], facts["element_sets"]) == (34, 5, {"C": 9, "CN": 20, "N": 5})
        assert command([*words[:2], str(other), str(file), "--group-key", "config_type", "--append"]) == 2
        assert "b.extxyz: it is in the data set already, read in another way (group_key" in capsys.readouterr().err
        words = [*words[:2], str(other), "--append", "--executor", "serial", "--json"]
        assert command(words) == 0
        assert (facts := json.loads(capsys.readouterr().out))["added"] == 0
        assert facts["notes"] == ["nothing is new: no frames were added, and those that are there were not read again"]

    def test_frames_without_labels_are_kept_and_that_is_told(self, tmp_path, file, capsys):
        bare = tmp_path / "bare.extxyz"
        bare.write_text('1\nLattice="9 0 0 0 9 0 0 0 9"\nN 0 0 0\n' * 3)
        words = ["--executor", "serial"]
        assert command(["import", str(tmp_path / "d"), str(bare), *words]) == 0
        out = capsys.readouterr().out
        assert "\nlabels: NONE\n" in out
        assert "\nWARNING: no frame has an energy, forces or a stress: such frames can be predicted and selected" in out
        assert command(["import", str(tmp_path / "d"), str(file), *words, "--append"]) == 0
        out = capsys.readouterr().out
        assert "\nlabels, of 32 frames: energy 29, forces 29, stress 29; 3 without any\n" in out
        assert "note: frames have the key 'config_type', and groups are the names of the files" in out
        assert "WARNING" not in out
        (tmp_path / "more.extxyz").write_bytes(bare.read_bytes())
        assert (
            command(["import", str(tmp_path / "d"), str(tmp_path / "more.extxyz"), *words, "--append", "--json"]) == 0
        )
        facts = json.loads(capsys.readouterr().out)
        assert facts["labelled"] == {"energy": 29, "forces": 29, "stress": 29, "none": 6}
        assert facts["notes"][0].startswith(
            "3 of 3 frames added now have the atoms, positions and cell of an earlier one"
        )
        assert facts["notes"][1].startswith("WARNING: no frame that was added now has an energy")
