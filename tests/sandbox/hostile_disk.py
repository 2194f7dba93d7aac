"""Programs that fill what is not memory: disk, inodes, paths, descriptors, output."""

from tests.sandbox.cases import Case

_MIB = 1024 * 1024

DISK = (
    Case(
        name="disk_bytes",
        language="sh",
        program="i=0; while dd if=/dev/zero of=f$i bs=1M count=4 2>/dev/null; do i=$((i+1)); done; exit 1",
        ends=("disk",),
        limits={"disk_mb": 16},
        check=lambda r: (r.usage.disk_bytes or 0) <= 16 * _MIB,
    ),
    Case(
        name="disk_unlinked",
        program="fs = []\nfor i in range(100):\n  f = open('x', 'wb'); fs.append(f)\n  import os; os.unlink('x'); f.write(b'x' * (1 << 20)); f.flush()\n",
        ends=("disk", "error"),
        limits={"disk_mb": 16},
        check=lambda r: (r.usage.disk_bytes or 0) <= 16 * _MIB,
    ),
    Case(
        name="inodes",
        program="i = 0\nwhile True:\n  open(f'f{i}', 'w').close(); i += 1",
        ends=("disk",),
        limits={"inodes": 300},
    ),
    Case(
        name="inodes_in_tmp",
        program="import os\nfor i in range(5000): os.mkdir(f'/tmp/d{i}')\nprint('ESC'+'APED')",
        ends=("error", "disk"),
        limits={"inodes": 300},
    ),
    Case(
        name="file_size",
        language="sh",
        program="dd if=/dev/zero of=f bs=1M count=40",
        ends=("disk", "signal"),
        limits={"file_mb": 2},
    ),
    Case(
        name="sparse_files",
        program="for i in range(400):\n  with open(f'f{i}', 'wb') as f: f.truncate(60 << 20)\nprint('made')",
        says="made",
        within_s=8,
    ),
    Case(
        name="sparse_beyond_file_limit",
        program="open('f', 'wb').truncate(1 << 40)\nprint('ESC'+'APED')",
        ends=("error", "disk", "signal"),
    ),
    Case(
        name="many_files_do_not_delay_the_end",
        program="import time\nfor i in range(19000): open(f'f{i}', 'w').close()\nprint('made', flush=True)\ntime.sleep(60)",
        ends=("timeout",),
        says="made",
        limits={"wall_s": 3},
        within_s=4.5,
    ),
    Case(
        name="one_large_file_does_not_delay_the_end",
        program=(
            "import time\nf = open('big', 'wb')\nfor _ in range(700): f.write(b'x' * (1 << 20))\n"
            "f.flush(); print('made', flush=True)\ntime.sleep(60)"
        ),
        ends=("timeout",),
        says="made",
        limits={"wall_s": 4, "file_mb": 800},
        within_s=5.5,
    ),
    Case(
        name="deep_directories",
        program=("import os\nfor i in range(1500):\n  os.mkdir('d'); os.chdir('d')\nprint('made')"),
        says="made",
        within_s=8,
    ),
    Case(
        name="descriptors",
        program="import os\nfs = []\ntry:\n  while True: fs.append(os.open('/dev/null', 0))\nexcept OSError: print(len(fs))",
        limits={"open_files": 32},
        check=lambda r: int(r.stdout) < 32,
    ),
    Case(
        name="flood_stdout",
        language="sh",
        program="yes",
        ends=("output_limit",),
        limits={"output_kb": 64},
        check=lambda r: len(r.stdout) < 70_000 and r.stdout_truncated,
    ),
    Case(
        name="flood_both_streams",
        language="sh",
        program="yes >&2 & yes",
        ends=("output_limit",),
        limits={"output_kb": 64},
        check=lambda r: len(r.stdout) < 70_000 and len(r.stderr) < 70_000,
    ),
    Case(
        name="flood_of_bytes_that_are_no_text",
        language="sh",
        program="head -c 300000 /dev/zero; head -c 300000 /dev/urandom >&2",
        limits={"output_kb": 64},
        check=lambda r: max(len(r.stdout.encode()), len(r.stderr.encode())) < 66_000 and r.stdout_truncated,
    ),
    Case(
        name="output_cut_with_a_mark",
        language="sh",
        program="echo first; seq 1 10000; echo last",
        limits={"output_kb": 4},
        check=lambda r: r.stdout.startswith("first\n") and r.stdout.endswith("last\n") and "cut" in r.stdout,
    ),
    Case(
        name="watches_of_the_host",
        program=(
            "import ctypes\nlibc = ctypes.CDLL(None)\nmade = 0\n"
            "while libc.inotify_init() >= 0: made += 1\nprint(made)\n"
        ),
        check=lambda r: int(r.stdout) <= 4,
    ),
    Case(
        name="long_paths",
        program="import os\nfor _ in range(300):\n  os.mkdir('n' * 250); os.chdir('n' * 250)\nprint('made')",
        says="made",
        within_s=8,
    ),
    Case(
        name="locked_tree",
        language="sh",
        program="mkdir -p a/b/c; echo x > a/b/c/f; chmod 000 a/b/c/f a/b/c a/b a; chmod 000 .; echo made",
        says="made",
    ),
)
