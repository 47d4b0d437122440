"""How the tools start ranks on this machine: by the functions of tests/support/launch.bash, which knows the
launchers."""

import os
import subprocess

LAUNCH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests", "support", "launch.bash")


def environment(*functions, **more):
    """The environment as these functions of launch.bash leave it, and `more` in it."""
    script = 'source "$0" && ' + " && ".join(functions) + " && exec env -0"
    left = subprocess.run(["bash", "-c", script, LAUNCH], stdout=subprocess.PIPE, check=True).stdout
    found = dict(entry.partition(b"=")[::2] for entry in left.split(b"\0") if entry)
    return dict({os.fsdecode(name): os.fsdecode(value) for name, value in found.items()}, **more)
