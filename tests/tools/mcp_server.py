"""A real MCP server for tests, over stdio or HTTP: `mcp_server.py stdio|<port> [extra]`."""

import asyncio
import os
import sys
import urllib.request

from mcp.server import MCPServer

server = MCPServer("tickets")


@server.tool()
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


@server.tool()
def fail(why: str) -> str:
    """Fails."""
    raise ValueError(why)


@server.tool()
def flood(size: int) -> str:
    """Says much."""
    return "x" * size


@server.tool()
async def wait(seconds: float) -> str:
    """Takes its time."""
    await asyncio.sleep(seconds)
    return "done"


@server.tool()
def who() -> str:
    """Tells its process and what it can see of the host."""
    return f"{os.getpid()} {os.path.exists('/root')} {os.environ.get('A_SECRET_OF_THE_HOST')}"  # noqa: PTH110


@server.tool()
def get(url: str) -> str:
    """Asks an address."""
    with urllib.request.urlopen(url) as answer:  # noqa: S310 - what it may reach is the sandbox's to say
        return str(answer.read().decode())


calls = 0


@server.tool()
def count() -> int:
    """Counts its own calls."""
    global calls  # noqa: PLW0603 - what a server remembers is what is tested
    calls += 1
    return calls


@server.tool()
def die() -> str:
    """Ends its process at once."""
    os._exit(3)


if "extra" in sys.argv:

    @server.tool()
    def extra() -> str:
        """Was not there before."""
        return "new"


if __name__ == "__main__":
    if sys.argv[1] == "stdio":
        server.run()
    else:
        server.run("streamable-http", port=int(sys.argv[1]))
