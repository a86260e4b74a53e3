"""Tensors in the payload: their memory lies beside the pickle and is mapped, shared memory stays shared.

Torch is too big to come with every set-up: `make test-torch` installs it into an environment of its own and runs this.
"""

from __future__ import annotations

from projects import Project

MODEL = """
import torch

class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.wide = torch.nn.Linear(300, 400)
        self.tied = torch.nn.Linear(300, 400)
        self.tied.weight = self.wide.weight
        self.small = torch.nn.Parameter(torch.arange(3.0))
        self.register_buffer('rounded', torch.arange(100_000).to(torch.bfloat16))

class Job:
    def __init__(self):
        torch.manual_seed(0)
        self.model = Model()
        self.view = torch.arange(100_000)[10:20]
        self.empty = torch.empty(0)

    def run(self):
        x = torch.ones(2, 300)
        return float((self.model.wide(x) + self.model.tied(x)).sum()), self.view.tolist(), self.empty.shape[0]
"""

COMPARE = """
import pickle, sys
from tg.common.delivery.delivery import install_package_and_get_loader
entry_point = install_package_and_get_loader({file!r}, silent=True)
job = entry_point.load_resource('job')
"""


def test_a_model_gives_the_same_where_it_lands(project: Project) -> None:
    project.write("tg/my/job.py", MODEL)
    here = project.run("from tg.my.job import Job; print(Job().run())")
    there = project.run(COMPARE.format(file=str(project.deliver())) + "print(job.run())", with_project=False)
    assert there == here


def test_big_tensors_lie_beside_the_pickle_and_small_ones_in_it(project: Project) -> None:
    project.write("tg/my/job.py", MODEL)
    printed = project.run(
        COMPARE.format(file=str(project.deliver()))
        + """
sizes = sorted(path.stat().st_size for path in entry_point.resources_location.glob('job.buffers/*'))
print(sizes, (entry_point.resources_location / 'job').stat().st_size < 20_000)
"""
    )
    assert printed.strip() == "[200000, 480000, 800000] True"  # rounded, the one shared weight, the memory of the view


def test_parameters_that_share_memory_share_it_when_loaded(project: Project) -> None:
    project.write("tg/my/job.py", MODEL)
    printed = project.run(
        COMPARE.format(file=str(project.deliver()))
        + """
print(job.model.wide.weight is job.model.tied.weight, job.model.rounded.dtype, job.model.rounded[7].item())
"""
    )
    assert printed.strip() == "True torch.bfloat16 7.0"


def test_tensors_that_are_views_of_one_memory_stay_so(project: Project) -> None:
    project.write(
        "tg/my/job.py",
        """
        import torch
        class Job:
            def __init__(self):
                self.whole = torch.zeros(50_000)
                self.part = self.whole[100:200]
            def run(self):
                self.part += 1
                return float(self.whole.sum())
        """,
    )
    printed = project.run(COMPARE.format(file=str(project.deliver())) + "print(job.run())", with_project=False)
    assert printed.strip() == "100.0"


def test_tensors_that_begin_together_and_differ_in_length_keep_their_lengths(project: Project) -> None:
    """As views of one array of numpy, each of which is a storage of its own for torch."""
    project.write(
        "tg/my/job.py",
        """
        import numpy, torch
        class Job:
            def __init__(self):
                array = numpy.arange(50_000.0)
                self.part = torch.from_numpy(array[:20_000])
                self.whole = torch.from_numpy(array)
            def run(self):
                return self.part.untyped_storage().nbytes(), len(self.part), float(self.whole[-1])
        """,
    )
    printed = project.run(COMPARE.format(file=str(project.deliver())) + "print(job.run())", with_project=False)
    assert printed.strip() == "(160000, 20000, 49999.0)"


def test_a_loaded_tensor_can_be_trained_and_the_file_stays_as_it_was(project: Project) -> None:
    project.write("tg/my/job.py", MODEL)
    printed = project.run(
        COMPARE.format(file=str(project.deliver()))
        + """
import torch
optimizer = torch.optim.SGD(job.model.parameters(), lr=0.1)
job.model.wide(torch.ones(1, 300)).sum().backward()
before = job.run()
optimizer.step()
print(job.run() != before, entry_point.load_resource('job').run() == before)
"""
    )
    assert printed.strip() == "True True"


def test_plain_pickle_loads_a_tensor_with_nothing_of_ours(project: Project) -> None:
    project.write("tg/my/job.py", MODEL)
    file = project.deliver()
    folder = project.elsewhere / "unpacked"
    printed = project.run(
        f"""
        import pickle, sys, zipfile
        from pathlib import Path
        zipfile.ZipFile({str(file)!r}).extractall({str(folder)!r})
        sys.path.insert(0, {str(folder)!r})
        resources = Path({str(folder)!r}, 'my_job__1_0_0/resources')
        buffers = [bytearray(path.read_bytes()) for path in sorted(resources.glob('job.buffers/*'))]
        print(pickle.load((resources / 'job').open('rb'), buffers=buffers).run()[1])
        print([name for name in sys.modules if 'delivery' in name])
        """,
        with_project=False,
        with_delivery=False,
    )
    assert printed.splitlines() == [str(list(range(10, 20))), "[]"]


def test_the_same_tensors_give_the_same_bytes(project: Project) -> None:
    project.write("tg/my/job.py", MODEL)
    files = {project.deliver(version=None, PYTHONHASHSEED=str(seed)).name for seed in (1, 2)}
    assert len(files) == 1
