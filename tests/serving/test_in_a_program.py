"""A server in a program of one's own: in a thread, or in a loop that is there."""

from __future__ import annotations

from pathlib import Path

from serving.servers import Packages


def test_a_server_runs_in_a_thread_and_is_stopped_from_another(packages: Packages) -> None:
    files = [str(packages.make("threaded", version, f"Versioned({version!r})")) for version in "12345"]
    printed = packages.project.run(
        f"""
        import logging, threading, time, requests
        from pathlib import Path
        from tg.common.delivery.serving.client import ServerClient
        from tg.common.delivery.serving.server import Server
        from tg.common.delivery.serving.settings import ServerSettings

        listening = []
        class Listening(logging.Handler):
            def emit(self, record):
                if record.getMessage() == "listening":
                    listening.append(record.facts)
                    heard.set()

        heard = threading.Event()
        logging.getLogger("tg.server").addHandler(Listening())
        logging.getLogger("tg.server").setLevel(logging.INFO)
        server = Server(ServerSettings(port=0, management_port=0, preload=(), keep=1))
        thread = threading.Thread(target=server.run)
        thread.start()
        heard.wait()
        client = ServerClient(listening[0]["management"])
        for file in {files}:
            client.deploy(Path(file))
        print(requests.post(f"http://{{listening[0]['requests']}}/threaded", json={{}}).json())
        while len([path for path in server.settings.store_folder.glob("*") if path.name != "names"]) > 3:
            time.sleep(0.05)  # the live one, the one before, and one that is kept
        server.stop()
        thread.join()
        print("ended")
        """
    )
    assert printed.splitlines() == ["{'version': '5', 'value': 0}", "ended"]


def test_a_server_in_a_loop_of_ones_own_leaves_it_as_if_it_had_not_been(packages: Packages) -> None:
    printed = packages.project.run(
        """
        import asyncio, signal
        from tg.common.delivery.serving.server import Server
        from tg.common.delivery.serving.settings import ServerSettings

        async def main():
            server = Server(ServerSettings(port=0, management_port=0, preload=()))
            serving = asyncio.create_task(server.serve())
            while signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)
            server.stop()
            await serving
            print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL, asyncio.all_tasks() - {asyncio.current_task()})

        asyncio.run(main())
        """
    )
    assert printed == "True set()\n"


def test_a_server_that_ends_ends_what_it_was_about_to_unload_as_well(packages: Packages, tmp_path: Path) -> None:
    files = [str(packages.make("pushed_out", version, "Noting()")) for version in "123"]
    begun = tmp_path / "begun"
    printed = packages.project.run(
        f"""
        import asyncio, logging, requests
        from pathlib import Path
        from tg.common.delivery.serving.client import ServerClient
        from tg.common.delivery.serving.server import Server
        from tg.common.delivery.serving.settings import ServerSettings

        addresses = {{}}
        class Listening(logging.Handler):
            def emit(self, record):
                addresses.update(getattr(record, "facts", {{}}))

        logging.getLogger("tg.server").addHandler(Listening())
        logging.getLogger("tg.server").setLevel(logging.INFO)

        def ask():
            given = {{"file": {str(begun)!r}, "value": 1, "seconds": 60}}
            return requests.post(f"http://{{addresses['requests']}}/pushed_out", json=given).ok

        async def main():
            server = Server(ServerSettings(port=0, management_port=0, preload=(), stop_seconds=0.5))
            serving = asyncio.create_task(server.serve())
            while "management" not in addresses:
                await asyncio.sleep(0.01)
            client = ServerClient(addresses["management"])
            first, *others = {files}
            await asyncio.to_thread(client.deploy, Path(first))
            asking = asyncio.create_task(asyncio.to_thread(ask))
            while not Path({str(begun)!r}).exists():
                await asyncio.sleep(0.01)
            for other in others:
                await asyncio.to_thread(client.deploy, Path(other))
            versions = (await asyncio.to_thread(client.status))["names"]["pushed_out"]["versions"]
            print(*sorted(one["state"] for one in versions))
            server.stop()
            await serving
            print(await asking, asyncio.all_tasks() - {{asyncio.current_task()}})

        asyncio.run(main())
        """
    )
    assert printed.splitlines() == ["draining ready ready", "False set()"]
