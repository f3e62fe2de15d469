"""Runners as an array of jobs of Slurm, through submitit."""

import importlib.util
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.launchers.errand import Errand
from experiments.launchers.launcher import LauncherError
from tfew_pl.errors import UserError

MINUTES = 24 * 60
"""Time limit of a job, if the options say no other; the command can be given again, and goes on."""


_GIVE_TIME = "trap '' TERM"
"""When a job is cancelled or its time is up, everything in it is told to end. Were the shell to end at once, Slurm may
kill the rest before the runner has given its leases back."""


class SlurmCluster:
    """The Slurm of this machine.

    Args:
        folder: for the jobs' scripts, pickled calls and logs; on the shared file system.
        threads: processors of a runner.
        gpus: of a runner.
        options: submitit's, such as `slurm_partition`, `slurm_account`, `timeout_min`, `mem_gb`; `slurm_setup` is a
            line of shell.

    Raises:
        UserError: submitit or Slurm is not installed.
    """

    def __init__(self, folder: Path, threads: int, gpus: int = 0, options: Mapping[str, Any] | None = None) -> None:
        if importlib.util.find_spec("submitit") is None:
            raise UserError("--launcher slurm needs the package submitit: pip install 'tfew_pl[slurm]'")
        if shutil.which("sbatch") is None:
            raise UserError("--launcher slurm needs Slurm: there is no sbatch on this machine")
        self._folder = folder
        options = dict(options or {})
        setup = [_GIVE_TIME, *([options.pop("slurm_setup")] if "slurm_setup" in options else [])]
        self._parameters = {
            "name": "tfew",
            "timeout_min": MINUTES,
            "cpus_per_task": threads,
            **({"gpus_per_node": gpus} if gpus else {}),
            "slurm_use_srun": False,
            "slurm_setup": setup,
            **options,
        }
        self._jobs: list[Any] = []

    def start(self, errand: Errand, count: int) -> None:
        """Submits the array."""
        import submitit

        executor = submitit.AutoExecutor(folder=self._folder, cluster="slurm")
        try:
            executor.update_parameters(**{"slurm_array_parallelism": count, **self._parameters})
            self._jobs = executor.map_array(_do, [errand] * count)
        except (NameError, AssertionError, TypeError, ValueError) as error:  # of names, and of values
            raise UserError(f"--launcher-option: {str(error).splitlines()[0]}") from error
        except (submitit.core.utils.FailedJobError, subprocess.CalledProcessError, OSError) as error:
            raise LauncherError(f"Slurm takes no jobs: {str(error).strip().splitlines()[-1]}") from error

    def running(self) -> int:
        """How many have neither left a result nor left the queue; asked of `squeue`, which needs no accounting."""
        open_jobs = [job for job in self._jobs if not job.paths.result_pickle.exists()]
        if not open_jobs:
            return 0
        array = self._jobs[0].job_id.partition("_")[0]
        command = ["squeue", "--noheader", "--array", "--format=%i", f"--jobs={array}"]
        listed = subprocess.run(command, capture_output=True, text=True, check=False)
        if listed.returncode and "Invalid job id" not in listed.stderr:
            return len(open_jobs)  # the controller does not answer at present
        names = set(listed.stdout.split())
        return sum(job.job_id in names for job in open_jobs)

    def trouble(self) -> str:
        """The end of the first job's log that ended badly."""
        for job in self._jobs:
            log = Path(job.paths.stderr)
            lines = log.read_text(errors="replace").strip().splitlines() if log.is_file() else []
            if not job.paths.result_pickle.exists() or "Error" in "".join(lines[-1:]):
                return f"{lines[-1] if lines else 'no log'} ({log})"
        return ""

    def stop(self) -> None:
        """Cancels those that still run."""
        if self._jobs and self.running():
            subprocess.run(["scancel", self._jobs[0].job_id.partition("_")[0]], capture_output=True, check=False)


def _do(errand: Errand) -> int:
    return errand()
