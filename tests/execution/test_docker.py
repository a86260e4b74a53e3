"""Runs in real containers: here, and on a server behind ssh, whose engine is reached through one connection."""

from __future__ import annotations

import itertools
import json
import os
import platform
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from extensions import extension
from projects import REPOSITORY, Project
from waiting import until

from tg.common.delivery.delivery import Containering
from tg.common.delivery.execution import DockerExecutor
from tg.common.delivery.images.engine import Engine
from tg.common.delivery.runtime.errors import (
    EngineProblem,
    InvalidName,
    JobFailed,
    MissingVariables,
    OutOfMemory,
    RunCancelled,
    RunFailed,
    RunNotFound,
    TimeLimitReached,
)

pytestmark = pytest.mark.usefixtures("image_cache")

Deliver = Callable[..., Path]


@pytest.fixture
def deliver(project: Project, unchecked: None) -> Deliver:
    """Make a package of a job whose `run` has this body."""

    def deliver(body: str, version: str = "1.0.0", **options: Any) -> Path:
        lines = "".join(f"        {line}\n" for line in body.strip("\n").splitlines())
        project.write("tg/my/job.py", f"class Job:\n    def run(self):\n{lines}")
        return project.deliver("run_job", version, **options)

    return deliver


@pytest.fixture(params=["local", "ssh"])
def host(request: pytest.FixtureRequest) -> str | None:
    """Both places: the engine here, and that of a server."""
    return None if request.param == "local" else request.getfixturevalue("ssh_host")


@pytest.fixture
def executor(host: str | None) -> Iterator[DockerExecutor]:
    with DockerExecutor(host=host) as made:
        yield made


def test_the_result_comes_back_and_the_lines_that_were_logged(executor: DockerExecutor, deliver: Deliver) -> None:
    package = deliver("print('at work')\nreturn {'answer': 42, 'folder': __import__('pathlib').Path.cwd()}")
    run = executor.start(package)
    lines = list(run.logs())
    assert "at work" in lines
    assert run.wait() == 0
    assert (run.state, run.exit_code) == ("succeeded", 0)
    assert run.result() == {"answer": 42, "folder": Path("/home/job")}
    assert run.result() is run.result()
    with pytest.raises(RunNotFound):  # its result was taken, so the container is gone
        executor.find(run.id)
    with pytest.raises(RunNotFound, match=f"no run {run.id} on .*its result was taken"):
        list(run.logs())


def test_a_result_of_a_class_of_the_tree_is_of_the_local_class(project: Project, image_cache: Path) -> None:
    project.write("tg/my/result.py", "class Result:\n    def __init__(self, value):\n        self.value = value\n")
    project.write(
        "tg/my/job.py",
        """
        from .result import Result

        class Job:
            def run(self):
                return Result(7)
        """,
    )
    printed = project.run("""
        from tg.common.delivery.delivery import Packaging
        from tg.common.delivery.execution import DockerExecutor
        from tg.my.job import Job
        from tg.my.result import Result
        packaging = Packaging('class_job', '1.0.0', dict(job=Job()))
        packaging.silent = True
        with DockerExecutor() as executor:
            result = executor.start(packaging).result()
        print(type(result) is Result, result.value)
    """)
    assert printed.splitlines()[-1] == "True 7"


def test_a_compiled_root_runs_in_an_image_of_its_python(project: Project, image_cache: Path) -> None:
    project.write("mycompany/__init__.py", "")
    extension(project.folder / "mycompany", "fast")
    project.write(
        "mycompany/job.py",
        """
        from . import fast

        class Job:
            def run(self):
                return fast.__name__, fast.count()
        """,
    )
    package = project.deliver("compiled_job", job="mycompany.job:Job()")
    assert package.name.endswith(f"-{platform.system().lower()}_{platform.machine()}.whl")
    with DockerExecutor() as executor:
        assert executor.start(package).result() == ("compiled_job__1_0_0.mycompany.fast", 1)


def test_a_job_that_raises_is_told_with_the_traceback_of_there(executor: DockerExecutor, deliver: Deliver) -> None:
    run = executor.start(deliver("values = {}\nreturn values['missing']"))
    with pytest.raises(JobFailed, match="KeyError") as caught:
        run.result()
    assert caught.value.error_type.endswith("KeyError")
    assert "/opt/tg/lib/python3.11/site-packages/run_job__1_0_0/tg/my/job.py" in caught.value.traceback
    assert caught.value.exit_code == 1
    assert run.state == "failed"
    assert executor.find(run.id).exit_code == 1  # it stays, to be looked at
    run.remove()


def test_variables_travel_in_the_request_and_nowhere_else(
    executor: DockerExecutor, deliver: Deliver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROLE_OF_MINE", "swordfish-in-the-sea")
    executor.propagate = ("ROLE_OF_MINE",)
    package = deliver("import os, time\nprint('up', flush=True)\ntime.sleep(2)\nreturn os.environ['ROLE_OF_MINE']")
    run = executor.start(package)
    logs = run.logs()
    lines = [next(line for line in logs if line == "up")]
    shown = subprocess.run(["ps", "-eww", "-o", "args"], capture_output=True, text=True, check=True).stdout
    lines += list(logs)
    assert run.result() == "swordfish-in-the-sea"
    assert "swordfish" not in shown
    assert "swordfish" not in "\n".join(lines)
    assert b"swordfish" not in package.read_bytes()
    image = subprocess.run(["docker", "inspect", "run_job:1.0.0"], capture_output=True, text=True, check=True).stdout
    assert "swordfish" not in image


def test_variables_that_are_not_set_are_refused_before_anything_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOT_SET_ONE", raising=False)
    monkeypatch.delenv("NOT_SET_TWO", raising=False)
    executor = DockerExecutor(propagate=["NOT_SET_ONE", "NOT_SET_TWO"], host="ssh://nowhere.invalid")
    with pytest.raises(MissingVariables, match="NOT_SET_ONE, NOT_SET_TWO"):
        executor.start("no-such-package.whl")


def test_files_go_in_and_come_out(executor: DockerExecutor, deliver: Deliver, tmp_path: Path) -> None:
    (tmp_path / "in/deep").mkdir(parents=True)
    (tmp_path / "in/deep/words.txt").write_text("hello", encoding="utf-8")
    (tmp_path / "in/link").symlink_to("deep/words.txt")
    (tmp_path / "one.txt").write_text("single", encoding="utf-8")
    executor.inputs = {
        "data": tmp_path / "in",
        "one.txt": tmp_path / "one.txt",
        "/opt/given/one.txt": tmp_path / "one.txt",
    }
    executor.outputs = {"out": tmp_path / "results"}
    package = deliver(
        """
from pathlib import Path
text = Path("data/deep/words.txt").read_text() + Path("one.txt").read_text() + Path("/opt/given/one.txt").read_text()
Path("out/below").mkdir()
Path("out/below/shout.txt").write_text(text.upper())
Path("out/link").symlink_to("below/shout.txt")
Path("out/away").symlink_to("/etc/passwd")
assert Path("data/link").read_text() == "hello"
try:
    Path("data/deep/words.txt").write_text("changed")
except OSError:
    pass
"""
    )
    run = executor.start(package)
    assert run.wait() == 0
    assert (tmp_path / "results/below/shout.txt").read_text() == "HELLOSINGLESINGLE"
    assert (tmp_path / "results/link").readlink() == Path("below/shout.txt")
    assert (tmp_path / "in/deep/words.txt").read_text() == "hello"
    run.remove()


def test_an_output_that_the_job_has_removed_is_missed_and_the_result_is_not(
    ssh_host: str, deliver: Deliver, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    package = deliver("import os\nos.rmdir('gone')\nopen('kept/file', 'w').write('kept')\nreturn 7")
    outputs = {"gone": tmp_path / "gone", "kept": tmp_path / "kept"}
    with DockerExecutor(host=ssh_host, outputs=outputs) as executor:
        run = executor.start(package)
        assert run.result() == 7
    assert f"the run {run.id} has left no output gone" in caplog.text
    assert os.listdir(tmp_path / "gone") == []
    assert (tmp_path / "kept/file").read_text() == "kept"


def test_a_result_that_another_process_takes_meanwhile_is_told(
    deliver: Deliver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with DockerExecutor() as executor:
        run = executor.start(deliver("return 1"))
        run.wait()
        api = executor._pusher.engine().api
        original = api.get_archive

        def late(*arguments: Any) -> Any:
            run.remove()
            return original(*arguments)

        monkeypatch.setattr(api, "get_archive", late)
        with pytest.raises(RunNotFound, match="its result was taken"):
            run.result()


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="every Python 3.12 has the filter")
def test_a_python_without_filters_brings_back_the_same(
    ssh_host: str, deliver: Deliver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(tarfile, "data_filter", raising=False)
    package = deliver(
        """
import os
open("out/kept.txt", "w").write("kept")
os.symlink("kept.txt", "out/link")
os.symlink("/etc/passwd", "out/away")
"""
    )
    with DockerExecutor(host=ssh_host, outputs={"out": tmp_path / "results"}) as executor:
        run = executor.start(package)
        assert run.wait() == 0
        run.remove()
    assert sorted(os.listdir(tmp_path / "results")) == ["kept.txt", "link"]
    assert (tmp_path / "results/link").read_text() == "kept"


@pytest.mark.engine_alone
def test_a_container_that_does_not_start_is_not_left_behind(deliver: Deliver, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with DockerExecutor(inputs={"/etc/passwd/below": tmp_path / "file"}) as executor:
        before = {run.id for run in executor.runs()}
        with pytest.raises(EngineProblem, match="starting run_job__1_0_0"):
            executor.start(deliver("return 1"))
        assert {run.id for run in executor.runs()} <= before


def test_inputs_that_are_not_there_are_refused(deliver: Deliver, tmp_path: Path) -> None:
    with (
        DockerExecutor(inputs={"data": tmp_path / "nothing"}) as executor,
        pytest.raises(InvalidName, match="not there"),
    ):
        executor.start(deliver("pass"))


def test_what_its_places_do_not_allow_is_refused_before_an_image_is_made(
    ssh_host: str, deliver: Deliver, tmp_path: Path
) -> None:
    none = Containering("none")
    none.base_image = "127.0.0.1:9/no/such:image"
    package = deliver("pass")
    outputs = {"out": tmp_path / "out"}
    with (
        DockerExecutor(host=ssh_host, outputs=outputs, disk="1g", containering=none) as executor,
        pytest.raises(InvalidName, match="disk='1g' keeps the working folder in memory"),
    ):
        executor.start(package)
    if os.getuid() == 0:
        (tmp_path / "out/before").touch()
        with (
            DockerExecutor(outputs=outputs, containering=none) as executor,
            pytest.raises(InvalidName, match="is not empty"),
        ):
            executor.start(package)


def test_one_string_is_no_list_of_variables() -> None:
    with pytest.raises(TypeError, match="propagate is one string, 'TOKEN'"):
        DockerExecutor(propagate="TOKEN").start("no-such-package.whl")


def test_more_memory_than_it_may_take_is_told(deliver: Deliver) -> None:
    with DockerExecutor(memory="64m") as executor:
        run = executor.start(deliver("held = [bytearray(1 << 20) for _ in range(500)]\nreturn len(held)"))
        with pytest.raises(OutOfMemory, match="memory 64m") as caught:
            run.result()
        assert caught.value.exit_code == 137
        assert run.state == "failed"
        run.remove()


def test_that_memory_ran_out_is_told_by_an_engine_that_notes_it_after_the_end(
    deliver: Deliver, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = docker.APIClient.inspect_container
    ends = itertools.count(1)

    def inspected(api: docker.APIClient, container: str) -> Any:
        found = original(api, container)
        if found["State"]["Status"] == "exited":
            found["State"]["OOMKilled"] = next(ends) > 2
        return found

    monkeypatch.setattr(docker.APIClient, "inspect_container", inspected)
    monkeypatch.setattr("tg.common.delivery.execution.container_run._OUT_OF_MEMORY_SECONDS", 60)
    with DockerExecutor(memory="64m") as executor:
        run = executor.start(deliver("held = [bytearray(1 << 20) for _ in range(500)]\nreturn len(held)"))
        with pytest.raises(OutOfMemory, match="memory 64m"):
            run.result()
        assert next(ends) > 3
        run.remove()


def test_more_time_than_it_may_take_is_told(deliver: Deliver) -> None:
    with DockerExecutor(time_seconds=5) as executor:
        run = executor.start(deliver("import time\ntime.sleep(600)"))
        with pytest.raises(TimeLimitReached, match=r"(?s)time 5 s.*sleep\(600\)"):
            run.result()
        run.remove()


def test_processors_are_limited(deliver: Deliver) -> None:
    with DockerExecutor(cpus=0.5) as executor:
        run = executor.start(deliver("return 1"))
        container = executor._pusher.engine().api.inspect_container(run.id)
        assert container["HostConfig"]["NanoCpus"] == 500_000_000
        assert run.result() == 1


def test_a_cancelled_run_ends_and_says_so_to_everybody(executor: DockerExecutor, deliver: Deliver) -> None:
    run = executor.start(deliver("import time\nprint('up', flush=True)\ntime.sleep(600)"))
    next(line for line in run.logs() if line == "up")
    run.cancel()
    assert (run.state, run.exit_code) == ("cancelled", 143)
    run.cancel()  # does nothing
    found = executor.find(run.id)
    assert found.state == "cancelled"
    with pytest.raises(RunCancelled):
        found.result()
    found.remove()


def test_a_run_that_ends_by_itself_as_it_is_cancelled_keeps_its_result(
    deliver: Deliver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with DockerExecutor() as executor:
        run = executor.start(deliver("import time\ntime.sleep(1)\nreturn 5"))
        api = executor._pusher.engine().api
        original = api.rename

        def late(container: str, name: str) -> None:
            api.wait(container)
            original(container, name)

        monkeypatch.setattr(api, "rename", late)
        run.cancel()
        assert (run.state, executor.find(run.id).state) == ("succeeded", "succeeded")
        assert run.result() == 5


def test_a_run_is_cancelled_though_the_answer_to_it_was_lost(deliver: Deliver, monkeypatch: pytest.MonkeyPatch) -> None:
    with DockerExecutor() as executor:
        run = executor.start(deliver("import time\ntime.sleep(600)"))
        api = executor._pusher.engine().api
        original = api.rename

        def unheard(container: str, name: str) -> None:
            original(container, name)
            raise ConnectionError("cut")

        monkeypatch.setattr(api, "rename", unheard)
        run.cancel()
        assert run.state == "cancelled"
        run.remove()


def test_a_job_that_ends_its_process_is_told_by_status(executor: DockerExecutor, deliver: Deliver) -> None:
    run = executor.start(deliver("import os\nos._exit(3)"))
    with pytest.raises(RunFailed, match="status 3") as caught:
        run.result()
    assert caught.value.exit_code == 3
    assert "docker" in str(caught.value)
    run.remove()


def test_a_job_that_ends_its_process_well_has_no_result(executor: DockerExecutor, deliver: Deliver) -> None:
    run = executor.start(deliver("raise SystemExit(0)"))
    with pytest.raises(RunFailed, match="status 0 and returned nothing"):
        run.result()
    run.remove()


def test_another_process_finds_a_run_by_its_id(executor: DockerExecutor, deliver: Deliver, host: str | None) -> None:
    run = executor.start(
        deliver("import time\nfor n in range(5):\n    print('line', n, flush=True)\n    time.sleep(.2)\nreturn [1, 2]")
    )
    executor.close()
    code = (
        "import sys\nfrom tg.common.delivery.execution import DockerExecutor\n"
        f"with DockerExecutor(host={host!r}) as executor:\n"
        f"    run = executor.find({run.id!r})\n"
        "    lines = [line for line in run.logs() if line.startswith('line')]\n"
        "    print(len(lines), run.result(), run.exit_code)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert done.stdout.strip() == "5 [1, 2] 0", done.stderr


@pytest.mark.engine_alone
def test_what_a_crash_leaves_behind_is_listed_and_removed_by_one_call(deliver: Deliver, project: Project) -> None:
    package = deliver("return 1")
    code = f"""
        import os
        from tg.common.delivery.execution import DockerExecutor
        run = DockerExecutor().start({str(package)!r})
        print(run.id, flush=True)
        run.wait()
        os._exit(1)
    """
    name = project.run(code, fails=True).split()[0]
    with DockerExecutor() as executor:
        assert name in [run.id for run in executor.runs()]
        assert name in executor.prune()
        assert name not in [run.id for run in executor.runs()]
        with pytest.raises(RunNotFound, match=r"runs\(\)"):
            executor.find(name)


def test_other_peoples_containers_are_none_of_ours(executor: DockerExecutor) -> None:
    command = ["docker", "run", "--detach", "python:3.11-slim", "true"]
    theirs = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    try:
        assert theirs[:12] not in [run.id for run in executor.runs()]
        with pytest.raises(RunNotFound):
            executor.find(theirs)
    finally:
        subprocess.run(["docker", "rm", "--force", theirs], check=True, capture_output=True)


def test_a_lost_connection_loses_no_line_and_repeats_none(ssh_host: str, deliver: Deliver) -> None:
    body = """
import sys, time
for number in range(3000):
    print(number)
    if number % 10 == 0:
        sys.stdout.flush()
        time.sleep(.01)
return "done"
"""
    with DockerExecutor(host=ssh_host) as executor:
        run = executor.start(deliver(body))
        seen = []
        cut = 0
        for line in run.logs():
            if line.isdigit():
                seen.append(int(line))
                if len(seen) in (200, 1000, 2000):
                    executor._pusher.engine()._tunnel._process.send_signal(signal.SIGKILL)
                    cut += 1
        assert cut == 3
        assert seen == list(range(3000))
        assert run.result() == "done"


def test_a_wait_outlives_its_connection(ssh_host: str, deliver: Deliver) -> None:
    import threading

    with DockerExecutor(host=ssh_host) as executor:
        run = executor.start(deliver("import time\ntime.sleep(3)\nreturn 5"))
        process = executor._pusher.engine()._tunnel._process
        threading.Timer(0.5, process.kill).start()
        assert run.result() == 5


def test_output_that_is_no_text_is_not_lost(executor: DockerExecutor, deliver: Deliver) -> None:
    run = executor.start(
        deliver(
            r"import sys" "\n" r"sys.stdout.buffer.write(b'caf\xe9 \xff\n' + 'schön\n'.encode())" "\nsys.stdout.flush()"
        )
    )
    lines = list(run.logs())
    assert r"caf\xe9 \xff" in lines
    assert "schön" in lines
    run.remove()


def test_a_last_line_without_an_end_and_one_of_a_megabyte_arrive(executor: DockerExecutor, deliver: Deliver) -> None:
    body = "import sys\nprint('x' * (1 << 20), flush=True)\nsys.stderr.write('the end')\nsys.stderr.flush()"
    run = executor.start(deliver(body))
    lines = list(run.logs())
    assert "".join(line for line in lines if set(line) == {"x"}) == "x" * (1 << 20)
    assert max(map(len, lines)) <= 65536
    assert "the end" in lines
    run.remove()


def test_a_line_that_is_written_slowly_arrives_whole(executor: DockerExecutor, deliver: Deliver) -> None:
    body = "import sys, time\nfor letter in 'slow':\n    sys.stdout.write(letter)\n    sys.stdout.flush()\n    time.sleep(.7)\nprint()"
    run = executor.start(deliver(body))
    assert "slow" in list(run.logs())
    run.remove()


def test_much_output_is_streamed_in_constant_memory(deliver: Deliver, project: Project) -> None:
    body = "line = 'y' * 1023\nimport sys\nfor _ in range(48):\n    sys.stdout.write((line + chr(10)) * 1024)"
    package = deliver(body)
    printed = project.run(f"""
        import resource
        from tg.common.delivery.execution import DockerExecutor
        with DockerExecutor() as executor:
            run = executor.start({str(package)!r})
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            count = sum(1 for line in run.logs() if line.startswith('yyy'))
            print(count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 * 1024)
            run.remove()
    """)
    assert printed.splitlines()[-1] == f"{48 * 1024} True"


def test_a_full_disk_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with Engine() as engine:
        error = engine.refused("loading the image x:1", "write /blob: no space left on device")
    assert isinstance(error, EngineProblem)
    assert "Its disk is full" in str(error)
    assert "docker system df" in str(error)


def test_the_executor_closes_its_connection(ssh_host: str) -> None:
    with DockerExecutor(host=ssh_host) as executor:
        socket = executor._pusher.engine()._tunnel.socket
        assert Path(socket).exists()
    until(lambda: not Path(socket).exists(), seconds=10)


def test_the_request_is_a_value(deliver: Deliver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked of the engine, down to the word: nothing of the user's is on a command line."""
    monkeypatch.setenv("TOKEN_OF_MINE", "swordfish")
    (tmp_path / "in").mkdir()
    with DockerExecutor(
        propagate=["TOKEN_OF_MINE"], inputs={"in": tmp_path / "in"}, cpus=2, memory="4g", time_seconds=60
    ) as executor:
        asked: list[dict[str, Any]] = []
        api = executor._pusher.engine().api
        original = api.create_container_from_config
        monkeypatch.setattr(
            api, "create_container_from_config", lambda config, name: (asked.append(config), original(config, name))[1]
        )
        executor.start(deliver("return 1")).result()
    (config,) = asked
    assert config["Cmd"] == ["--result", "/home/job/.tg/result.pickle", "--time-limit-seconds", "60"]
    assert config["Env"] == ["TG_EXECUTOR=docker", "TOKEN_OF_MINE=swordfish"]
    assert config["HostConfig"]["Memory"] == config["HostConfig"]["MemorySwap"] == 4 << 30
    assert config["HostConfig"]["NanoCpus"] == 2_000_000_000
    assert config["HostConfig"]["ReadonlyRootfs"]
    assert config["HostConfig"]["CapDrop"] == ["ALL"]
    assert config["HostConfig"]["SecurityOpt"] == ["no-new-privileges"]
    assert config["Volumes"] == {"/home/job": {}}
    assert "swordfish" not in json.dumps({name: value for name, value in config.items() if name != "Env"})
