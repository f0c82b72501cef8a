"""supervisord from PyPI, in the foreground, over its unix socket."""

from __future__ import annotations

from collections.abc import Sequence
from xmlrpc.client import ServerProxy

from supervisor.xmlrpc import SupervisorTransport

from benchmarks.peers.base import Program, System, first_line
from benchmarks.peers.venv import bench_venv

_HEAD = """[unix_http_server]
file={folder}/s.sock
[supervisord]
logfile={folder}/supervisord.log
pidfile={folder}/supervisord.pid
minfds=8192
minprocs=4096
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://{folder}/s.sock
"""


class Supervisord(System):
    name = "supervisord"

    @classmethod
    def version(cls) -> str | None:
        return first_line([str(bench_venv() / "supervisord"), "--version"])

    def start(self, programs: Sequence[Program]) -> None:
        text = _HEAD.format(folder=self.folder)
        for program in programs:
            env = ",".join(f'{key}="{value}"' for key, value in program.env.items())
            text += (f"[program:{program.name}]\ncommand={' '.join(program.argv)}\nenvironment={env}\nautorestart=true\nstartsecs=0\n"
                     f"startretries=1000\nstopwaitsecs=10\nstdout_logfile={self.folder}/{program.name}.out\nredirect_stderr=true\n")
            text += f"directory={program.cwd}\n" if program.cwd else ""
            text += f"stopsignal={program.stop_signal}\n" if program.stop_signal else ""
        (self.folder / "s.conf").write_text(text)
        self.spawn([str(bench_venv() / "supervisord"), "-n", "-c", str(self.folder / "s.conf")])

    def proxy(self) -> ServerProxy:
        """Return its XML-RPC interface, which supervisorctl uses too."""
        return ServerProxy("http://localhost", transport=SupervisorTransport(None, None, f"unix://{self.folder}/s.sock"))

    def list_command(self) -> list[str]:
        return [str(bench_venv() / "supervisorctl"), "-c", str(self.folder / "s.conf"), "status"]

    def stop(self) -> None:
        self.end()
