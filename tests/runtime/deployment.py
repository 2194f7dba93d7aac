"""A database as a deployment has it: the roles of deploy/postgres, migrated by the owner."""

import asyncio
import os
from pathlib import Path

from holdfast.embedded.temporal import bundled_program

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
PASSWORDS = {f"HOLDFAST_{name}_PASSWORD": f"secret-{name}" for name in ("OWNER", "SERVICE", "TOOLBOX")}


def login(who: str, port: int) -> str:
    return f"postgresql://holdfast_{who}:secret-{who.upper()}@127.0.0.1:{port}/holdfast"


async def run_sh(*command: str, **environment: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *command,
        env={"PATH": f"{bundled_program().parent}:{os.environ['PATH']}", **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
