"""A side is built as its commit's configuration says, once, on requirements that sides share."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ics_bench.core import UsageError
from ics_bench.gate.environments import BuildError
from ics_bench.gate.repository import Repository
from ics_bench.gate.sides import Workspace

MAKE_WHEEL = """
import pathlib, sys, zipfile
source = pathlib.Path("src/answers.py").read_text()
with zipfile.ZipFile(pathlib.Path(sys.argv[1]) / "small-1.0-py3-none-any.whl", "w") as wheel:
    info = "small-1.0.dist-info"
    wheel.writestr("answers.py", source)
    wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: small\\nVersion: 1.0\\n")
    wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    wheel.writestr(f"{info}/RECORD", "")
print("built")
"""


@pytest.fixture
def workspace(project):
    project.commit()
    with Workspace(project.folder / ".asv/gate", Repository.around(project.folder)) as workspace:
        yield workspace


def add(workspace, name="HEAD"):
    return workspace.add(workspace.repository.resolve(name), "asv.conf.json", "")


def python(side, code):
    side_python = side.folder / "env/bin/python"
    command = [side_python, "-c", code]
    return subprocess.run(command, env=side.variables("a"), capture_output=True, text=True, check=True).stdout.strip()


def test_each_side_has_its_own_project_on_shared_requirements(project, workspace):
    project.replace("src/answers.py", "42", "43")
    project.commit()
    base, head = add(workspace, "HEAD~1"), add(workspace, "HEAD")
    assert [python(side, "import answers; print(answers.ANSWER)") for side in (base, head)] == ["42", "43"]
    import asv_runner

    for side in (base, head):
        assert python(side, "import asv_runner; print(asv_runner.__file__)") == asv_runner.__file__
        assert python(side, "import sys; print(sys.prefix)") == str(side.folder / "env")
    assert len(str(base.folder)) == len(str(head.folder))


def test_the_environment_of_whoever_runs_the_gate_leads_nobody_astray(workspace, monkeypatch, tmp_path):
    (tmp_path / "answers.py").write_text("ANSWER = 0")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    monkeypatch.setenv("PYTHONHASHSEED", "1")
    side = add(workspace)
    assert python(side, "import answers; print(answers.ANSWER)") == "42"
    assert python(side, "import os; print(os.environ['OMP_NUM_THREADS'])") == "1"
    assert python(side, "import os; print('PYTHONHASHSEED' in os.environ)") == "False"


def test_a_wheel_is_built_once(project, workspace):
    project.write("make_wheel.py", MAKE_WHEEL)
    install = "in-dir={env_dir} python -m pip install --no-index --no-deps --force-reinstall {wheel_file}"
    project.configure(build_command=["python make_wheel.py {build_cache_dir}"], install_command=[install])
    project.commit()
    first, second = add(workspace), add(workspace)
    assert (first.found_built, second.found_built) == (False, True)
    assert python(second, "import answers; print(answers.__file__)").startswith(str(second.folder / "env"))
    project.configure(build_command=["python make_wheel.py {build_cache_dir} again"], install_command=[install])
    project.commit()
    assert not add(workspace).found_built  # other commands, other builds


def test_commands_are_read_as_asv_reads_them(project, workspace):
    check = (
        "import os, pathlib; assert os.environ['X'] == 'y z', os.environ['X'];"
        "assert os.environ['ASV_COMMIT'] == '{commit}' and '{project}' == 'small';"
        "assert os.path.samefile(os.getcwd(), '{env_dir}');"
        "assert pathlib.Path('{build_dir}', 'install.py').exists(); assert pathlib.Path('{conf_dir}').exists()"
    )
    commands = [f'X="y z" in-dir={{env_dir}} python -c "{check}"', 'return-code=any python -c "raise SystemExit(9)"']
    commands += ['return-code=3,4 python -c "raise SystemExit(4)"', "python install.py"]
    project.configure(install_command=commands, build_command="true")
    project.commit()
    assert python(add(workspace), "import answers; print(answers.ANSWER)") == "42"


@pytest.mark.parametrize(
    ("settings", "what", "said"),
    [
        ({"build_command": ['python -c "print(1); print(2); 1 / 0"']}, "ended with exit code 1", "ZeroDivisionError"),
        ({"install_command": ["no-such-program x"]}, "cannot be started: .*No such file", None),
        ({"install_command": ["python -m pip install {wheel_file}"]}, r"asv\.conf\.json: .*wheel_file", None),
        ({"install_command": ['python -c "quote']}, r"asv\.conf\.json: .* No closing quotation", None),
        (
            {"install_command": ['python -c "import time; time.sleep(60)"'], "install_timeout": 0.5},
            "took longer than the 0.5 s of install_timeout",
            None,
        ),
        ({"build_command": [""]}, "'' names no program to run; leave it out", None),
        ({"build_command": ["X=1"]}, "'X=1' names no program to run", None),
        (
            {"build_command": ["make {project.x}"]},
            r"asv\.conf\.json: 'make {project.x}' cannot be read .*no attribute 'x'",
            None,
        ),
        ({"install_command": ["true"]}, "left nothing in its environment", None),
        ({"environment_type": "imaginary"}, "its requirements cannot be installed", "imaginary"),
    ],
)
def test_a_build_that_fails_says_what_and_shows_its_last_lines(project, workspace, settings, what, said):
    project.configure(**settings)
    project.commit()
    with pytest.raises(BuildError, match=what) as failure:
        add(workspace)
    assert said is None or any(said in line for line in failure.value.said)


def test_benchmarks_alone_need_no_install(project, workspace):
    project.configure(install_command=[])
    project.write("benchmarks/suite.py", "def track_one():\n    return 1\n")
    project.commit()
    listed = [event["name"] for event in workspace.listing(add(workspace)) if event["event"] == "benchmark"]
    assert listed == ["suite.track_one"]


def test_benchmarks_that_cannot_be_imported_are_an_error_of_their_side(project, workspace):
    project.append("benchmarks/suite.py", "import gone\n")
    project.commit()
    with pytest.raises(
        BuildError, match="its benchmarks cannot be listed: the process ended with exit code 1"
    ) as failure:
        workspace.listing(add(workspace))
    assert failure.value.said[-1] == "ModuleNotFoundError: No module named 'gone'"


def test_nothing_but_builds_is_left(project):
    project.commit()
    cache = project.folder / ".asv/gate"
    with Workspace(cache, Repository.around(project.folder)) as workspace:
        add(workspace)
        assert project.work_trees() == 2
    assert project.work_trees() == 1
    assert {path.name for path in cache.iterdir()} <= {"builds", "lock", ".gitignore", "requirements", "CACHEDIR.TAG"}
    assert project.git("status", "--porcelain") == ""


KILLED = """
import os, signal, sys
from pathlib import Path
from ics_bench.gate.repository import Repository
from ics_bench.gate.sides import Workspace
repository = Repository.around(Path.cwd())
with Workspace(Path(".asv/gate"), repository) as workspace:
    workspace.add(repository.resolve("HEAD"), "asv.conf.json", "")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_run_left_is_removed_by_the_next(project):
    project.commit()
    killed = subprocess.run([sys.executable, "-c", KILLED], cwd=project.folder, check=False)
    assert killed.returncode == -9
    assert project.work_trees() == 2
    with Workspace(project.folder / ".asv/gate", Repository.around(project.folder)):
        assert project.work_trees() == 1


def test_two_gates_do_not_share_a_machine_unknowingly(project, workspace):
    with pytest.raises(UsageError, match="another gate runs in"), Workspace(workspace.cache, workspace.repository):
        pass


@pytest.mark.parametrize("foreign_tag", [False, True])
def test_a_folder_that_is_somebody_elses_is_refused_and_left_as_it_was(project, tmp_path, foreign_tag):
    project.commit()
    mine = {
        ".gitignore": "*.pyc\n",
        "run/results.csv": "1,2\n",
        **{f"builds/{i:02}/thesis.tex": "x" for i in range(20)},
    }
    if foreign_tag:
        mine["CACHEDIR.TAG"] = "Signature: 8a477f597d28d172789f06886806bc55\n# This file was made by another program.\n"
    for name, text in mine.items():
        (tmp_path / "mine" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mine" / name).write_text(text)
    with (
        pytest.raises(UsageError, match=r"mine' holds something else than builds of the gate.*with --cache"),
        Workspace(tmp_path / "mine", Repository.around(project.folder)) as workspace,
    ):
        add(workspace)
    found = {
        p.relative_to(tmp_path / "mine").as_posix(): p.read_text()
        for p in (tmp_path / "mine").rglob("*")
        if p.is_file()
    }
    assert found == mine


def test_a_folder_that_is_empty_or_of_an_earlier_gate_is_taken(project, tmp_path):
    project.commit()
    (tmp_path / "cache").mkdir()
    for _ in range(2):
        with Workspace(tmp_path / "cache", Repository.around(project.folder)):
            pass
    assert (tmp_path / "cache/CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f06886806bc55\n")


def test_a_cache_that_cannot_be_written_is_named(project, tmp_path):
    project.commit()
    (tmp_path / "file").touch()
    repository = Repository.around(project.folder)
    with pytest.raises(UsageError, match="cannot be written: Not a directory; --cache names another"):
        Workspace(Path(tmp_path / "file" / "cache"), repository).__enter__()
