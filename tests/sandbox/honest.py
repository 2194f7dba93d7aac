"""Programs that do what hostile ones do, but for a good reason and within their limits. None of them may be stopped."""

from typing import Any

from tests.sandbox.cases import Case

_LIMITS = {"memory_mb": 256, "wall_s": 40}
_TOUCH = "def touch(mib):\n    big = bytearray(mib << 20)\n    big[::4096] = b'x' * len(big[::4096])\n    return big\n"
_SPAWN = """
import math, multiprocessing
if __name__ == '__main__':
    for start in ('fork', 'spawn', 'forkserver'):
        with multiprocessing.get_context(start).Pool(4) as pool:
            assert pool.map(math.isqrt, range(100), chunksize=1)[-1] == 9
    print('done')
"""
_CONNECTIONS = """
import multiprocessing
def work(queue):
    while (end := queue.get()) is not None:
        end.send('heard')
if __name__ == '__main__':
    context = multiprocessing.get_context('fork')
    queue = context.SimpleQueue()
    worker = context.Process(target=work, args=(queue,))
    worker.start()
    for _ in range(100):
        ours, theirs = context.Pipe()
        queue.put(theirs)
        assert ours.recv() == 'heard'
    queue.put(None)
    worker.join()
    print('done')
"""
_SUBPROCESSES = """
import asyncio
async def cat():
    child = await asyncio.create_subprocess_exec('cat', stdin=-1, stdout=-1, stderr=-1)
    out, _ = await child.communicate(b'x' * 200_000)
    assert len(out) == 200_000
async def main():
    for _ in range(3):
        await asyncio.gather(*(cat() for _ in range(30)))
asyncio.run(main())
print('done')
"""
_SERVERS = """
import asyncio
async def answer(reader, writer):
    writer.write(await reader.readexactly(100_000))
    await writer.drain()
    writer.close()
async def main():
    server = await asyncio.start_server(answer, '127.0.0.1', 0)
    await asyncio.start_unix_server(answer, 'socket')
    async def ask(number):
        internet = asyncio.open_connection(*server.sockets[0].getsockname())
        reader, writer = await (internet if number % 2 else asyncio.open_unix_connection('socket'))
        internet.close()
        writer.write(b'x' * 100_000)
        assert len(await reader.read()) == 100_000
        writer.close()
    for _ in range(3):
        await asyncio.gather(*map(ask, range(80)))
asyncio.run(main())
print('done')
"""
_JOBSERVER = r"""
set -e
mkdir part
printf 'all: part\npart:\n\t@+$(MAKE) -s -C part\n.PHONY: part\n' > Makefile
printf 'all: 1 2 3 4 5 6 7 8 9\n%%:\n\t@head -c 1000000 /dev/zero | gzip | gzip -d | wc -c > $@\n' > part/Makefile
make -s -j 8
cat part/? | sort -u
echo done
"""
_ARCHIVE = """
set -e
mkdir d
for name in $(seq 1 20); do head -c 1000000 /dev/urandom > d/$name; done
tar c d | gzip -1 | split -b 1M - part.
cat part.* | gzip -d | tar x --to-stdout | wc -c
echo done
"""
_LONG_PIPES = """
pipe='seq 100000'; for _ in $(seq 1 40); do pipe="$pipe | cat"; done
eval "$pipe | sort -n --parallel=4 | tail -1"
diff <(seq 50000) <(seq 50000) && echo done
"""


def _honest(name: str, program: str, language: str = "python", **more: Any) -> Case:
    return Case(name=f"honest_{name}", program=program, language=language, says="done", within_s=55, **more)


HONEST = (
    _honest(
        "descriptors_passed_beside_150_mib",
        f"import os, socket\n{_TOUCH}ours, theirs = socket.socketpair()\nif os.fork() == 0:\n"
        "    for _ in range(200):\n        for got in socket.recv_fds(theirs, 1, 8)[1]:\n"
        "            assert os.read(got, 9) == b'hello'\n            os.close(got)\n    os._exit(0)\nkept = touch(150)\n"
        "for _ in range(200):\n    r, w = os.pipe(); os.write(w, b'hello'); os.close(w)\n"
        "    socket.send_fds(ours, [b'x'], [r]); os.close(r)\nassert os.wait()[1] == 0\nprint('done')",
        limits=_LIMITS,
    ),
    _honest(
        "descriptors_that_wait_beside_200_mib",
        f"import socket\n{_TOUCH}ours, theirs = socket.socketpair()\nwith open('x', 'w') as file:\n"
        "    for _ in range(20): socket.send_fds(ours, [b'x'], [file.fileno()])\nfor _ in range(5): kept = None; kept = touch(200)\n"
        "for _ in range(20): assert len(socket.recv_fds(theirs, 1, 1)[1]) == 1\nprint('done')",
        limits=_LIMITS,
    ),
    _honest(
        "twelve_children_share_190_mib",
        f"import os\n{_TOUCH}kept = touch(190)\nfor _ in range(12):\n"
        "    if os.fork() == 0: sum(kept[::4096]); os._exit(0)\nfor _ in range(12): assert os.wait()[1] == 0\nprint('done')",
        limits=_LIMITS,
    ),
    _honest("pools_of_every_kind", _SPAWN, limits=_LIMITS),
    _honest("connections_passed_by_a_queue", _CONNECTIONS, limits=_LIMITS),
    _honest("thirty_children_with_pipes", _SUBPROCESSES, limits=_LIMITS),
    _honest("eighty_connections_at_once", _SERVERS, limits=_LIMITS | {"open_files": 512}),
    _honest("make_with_a_jobserver", _JOBSERVER, "sh", limits=_LIMITS),
    _honest("an_archive_in_parts", _ARCHIVE, "sh", limits=_LIMITS),
    _honest("long_pipes", _LONG_PIPES, "bash", limits=_LIMITS),
)
