"""Where the program is that this package calls."""

import os
import shutil
import sysconfig


def path() -> str:
    """The program: what ``PLUMMET_BINARY`` names, what was installed with this package, or what
    the shell finds."""
    chosen = os.environ.get("PLUMMET_BINARY")
    if chosen is not None:
        if not os.access(chosen, os.X_OK):
            raise FileNotFoundError(f"PLUMMET_BINARY = {chosen}: allowed is a program")
        return chosen
    schemes = sysconfig.get_default_scheme(), sysconfig.get_preferred_scheme("user")
    folders = [sysconfig.get_path("scripts", scheme) for scheme in schemes]
    found = shutil.which("plummet", path=os.pathsep.join(folders)) or shutil.which("plummet")
    if found is None:
        raise FileNotFoundError(
            "the program plummet is not installed: pip install ./python, or name it in PLUMMET_BINARY"
        )
    return found
