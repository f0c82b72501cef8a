"""circus from PyPI. It finds dead programs by looking at all of them every `check_delay`: a tenth of a second for one program, where
the row is about restarts, its default of 5 s for many, where the row is about what idling costs."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.peers.base import Program, System, first_line
from benchmarks.peers.venv import bench_venv


class Circus(System):
    name = "circus"

    @classmethod
    def version(cls) -> str | None:
        return first_line([str(bench_venv() / "circusd"), "--version"])

    def start(self, programs: Sequence[Program]) -> None:
        text = (f"[circus]\nendpoint = ipc://{self.folder}/c.sock\npubsub_endpoint = ipc://{self.folder}/p.sock\n"
                f"check_delay = {0.1 if len(programs) == 1 else 5}\nwarmup_delay = 0\nstatsd = False\n")
        for program in programs:
            text += (f"[watcher:{program.name}]\ncmd = {' '.join(program.argv)}\nnumprocesses = 1\nmax_retry = -1\nwarmup_delay = 0\n"
                     f"graceful_timeout = 10\ncopy_env = True\nstdout_stream.class = FileStream\n"
                     f"stdout_stream.filename = {self.folder}/{program.name}.out\n[env:{program.name}]\n")
            text += "".join(f"{key} = {value}\n" for key, value in program.env.items())
        (self.folder / "c.ini").write_text(text)
        self.spawn([str(bench_venv() / "circusd"), str(self.folder / "c.ini")])

    def list_command(self) -> list[str]:
        return [str(bench_venv() / "circusctl"), "--endpoint", f"ipc://{self.folder}/c.sock", "status"]

    def stop(self) -> None:
        self.end()
