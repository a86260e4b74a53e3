"""The logger: one for all versions in the process, and where the program sends it."""

from __future__ import annotations

import re

import pytest
from projects import Project

pytestmark = pytest.mark.usefixtures("unchecked")


def test_lines_go_to_the_output_in_the_format_of_the_page_when_nothing_is_configured(project: Project) -> None:
    printed = project.run("from tg.common import Logger; Logger.info('SUCCESS')")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6} INFO: SUCCESS\n", printed)


def test_a_program_that_configures_logging_has_the_lines_once_and_its_way(project: Project) -> None:
    printed = project.run("""
        import logging, sys
        from tg.common import Logger
        Logger.info('before')
        logging.basicConfig(stream=sys.stdout, format='mine %(levelname)s %(message)s')
        Logger.info('after')
    """)
    assert printed.splitlines()[0].endswith("INFO: before")
    assert printed.splitlines()[1:] == ["mine INFO after"]


def test_a_delivered_job_logs_to_where_the_running_program_configured_it(project: Project) -> None:
    file = project.deliver(job="tg.common.delivery.delivery.example_job:ExampleJob()")
    printed = project.run(f"""
        import logging, sys
        from tg.common.delivery.delivery import install_package_and_get_loader
        logging.basicConfig(stream=sys.stdout, format='mine %(message)s in %(filename)s')
        install_package_and_get_loader({str(file)!r}, silent=True).load_resource('job').run()
    """)
    assert printed == "mine SUCCESS in example_job.py\n"


def test_two_versions_write_each_line_once(project: Project) -> None:
    project.write(
        "tg/my/job.py", "from ..common import Logger\nclass Job:\n    def run(self):\n        Logger.info('line')\n"
    )
    files = [str(project.deliver(version=version)) for version in ("1.0.0", "1.0.1")]
    printed = project.run(f"""
        from tg.common import Logger
        from tg.common.delivery.delivery import install_package_and_get_loader
        Logger.info('line')
        for file in {files!r}:
            install_package_and_get_loader(file, silent=True).load_resource('job').run()
    """)
    assert [line.split(" ", 2)[2] for line in printed.splitlines()] == ["INFO: line"] * 3


def test_importing_configures_nothing(project: Project) -> None:
    printed = project.run("""
        import logging, tg.common.logger
        print(logging.getLogger('tg').handlers, logging.getLogger('tg').level)
    """)
    assert printed.strip() == "[] 0"


def test_a_level_that_the_program_sets_is_kept(project: Project) -> None:
    printed = project.run("""
        import logging
        from tg.common import Logger
        logging.getLogger('tg').setLevel(logging.ERROR)
        Logger.warning('not shown')
        Logger.error('shown')
    """)
    assert printed.split(" ", 2)[2] == "ERROR: shown\n"


def test_a_line_that_cannot_be_written_takes_no_job_down(project: Project) -> None:
    printed = project.run("""
        import logging
        from tg.common import Logger
        logging.raiseExceptions = False
        Logger.info('%d apples', 'three')
        Logger.info('done')
    """)
    assert [line.partition(" INFO: ")[2] for line in printed.splitlines()] == ["done"]
