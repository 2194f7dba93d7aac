"""What is known of Python's names: which modules only compute or look, and which parts of the others do.

A name that stands in none of these lists is not understood.
"""

# ruff: noqa: SIM905 - word lists read better as text

import builtins
import sys

EVERYTHING = frozenset({"*"})
"""All public names of a module, but for what would run code of somebody else's choosing: `main`, and texts as code."""


def _all(words: str) -> dict[str, frozenset[str]]:
    return dict.fromkeys(words.split(), EVERYTHING)


MODULES: dict[str, frozenset[str]] = _all(
    """json math re datetime time collections collections.abc itertools functools statistics string textwrap decimal
    fractions random calendar uuid hashlib base64 binascii platform dataclasses enum operator bisect heapq pprint difflib
    unicodedata ipaddress csv io struct zlib copy numbers cmath colorsys html locale keyword token tokenize ast abc
    secrets errno pwd grp sysconfig stat fnmatch posixpath os os.path pathlib glob tomllib zoneinfo queue argparse
    email.utils email.header graphlib types array"""
) | {
    name: frozenset(words.split())
    for name, words in {
        "asyncio": "run sleep gather create_task wait wait_for timeout as_completed TaskGroup Queue Lock Event Semaphore "
        "CancelledError TimeoutError iscoroutinefunction",
        "bz2": "open decompress compress",
        "concurrent.futures": "ThreadPoolExecutor as_completed wait Future TimeoutError",
        "configparser": "ConfigParser RawConfigParser NoSectionError NoOptionError Error",
        "contextlib": "contextmanager asynccontextmanager closing suppress nullcontext ExitStack AsyncExitStack "
        "redirect_stdout redirect_stderr",
        "getpass": "getuser",
        "gzip": "open decompress compress",
        "inspect": "cleandoc signature getdoc isfunction isclass ismethod isgenerator iscoroutinefunction",
        "logging": "info debug warning error critical exception log getLogger basicConfig DEBUG INFO WARNING ERROR "
        "CRITICAL NOTSET Logger LogRecord StreamHandler Formatter NullHandler getLevelName disable",
        "lzma": "open decompress compress",
        "resource": "getrusage getrlimit getpagesize RUSAGE_SELF RUSAGE_CHILDREN RLIMIT_NOFILE RLIMIT_AS RLIMIT_CPU "
        "RLIMIT_CORE RLIMIT_NPROC RLIMIT_STACK",
        "shlex": "split quote join",
        "shutil": "disk_usage which get_terminal_size",
        "signal": "Signals strsignal valid_signals SIGTERM SIGINT SIGKILL SIGHUP SIGUSR1 SIGUSR2 SIGCHLD SIGALRM SIGPIPE",
        "site": "getsitepackages getusersitepackages",
        "socket": "gethostname",
        "sys": "argv version version_info platform stdin stdout stderr exit maxsize maxunicode getsizeof "
        "getrecursionlimit setrecursionlimit byteorder executable modules float_info int_info hash_info implementation "
        "flags getdefaultencoding getfilesystemencoding stdlib_module_names builtin_module_names thread_info hexversion "
        "prefix base_prefix exec_prefix exc_info getrefcount intern copyright api_version orig_argv warnoptions",
        "tarfile": "open TarFile is_tarfile TarError ReadError",
        "threading": "Thread Lock RLock Event Semaphore Condition active_count current_thread enumerate get_ident",
        "timeit": "default_timer",
        "traceback": "format_exc format_exception format_tb format_stack print_exc print_exception print_stack",
        "typing": "Any Annotated Callable ClassVar Counter DefaultDict Deque Dict Final FrozenSet Generator Generic "
        "Hashable Iterable Iterator List Literal Mapping MutableMapping NamedTuple NewType NoReturn Optional Pattern "
        "Protocol Self Sequence Set Sized Text Tuple Type TypeAlias TypedDict TypeVar Union cast overload Never "
        "assert_never get_args get_origin runtime_checkable TYPE_CHECKING IO TextIO BinaryIO Awaitable Coroutine",
        "urllib.parse": "urlparse urlsplit urlunparse urlunsplit urljoin urlencode urldefrag parse_qs parse_qsl quote "
        "quote_plus quote_from_bytes unquote unquote_plus unquote_to_bytes ParseResult SplitResult",
        "xml.etree.ElementTree": "fromstring parse tostring Element SubElement ParseError ElementTree",
        "zipfile": "ZipFile is_zipfile BadZipFile ZIP_DEFLATED ZIP_STORED Path",
    }.items()
}
NEVER = frozenset("main test evaluate_forward_ref CodeType FunctionType FileType".split())
"""Public names that no module is trusted with."""

BUILTINS = frozenset(
    """print len range sorted reversed enumerate zip map filter sum min max abs round int float str repr bool list dict
    set tuple frozenset bytes bytearray chr ord hex oct bin divmod pow isinstance issubclass hash id iter next any all
    format type callable ascii slice complex memoryview object super property staticmethod classmethod open aiter anext
    exit quit dir vars""".split()
) | {
    name
    for name, thing in vars(builtins).items()
    if isinstance(thing, type) and issubclass(thing, BaseException)
}
DECORATORS = frozenset(
    """property staticmethod classmethod dataclasses.dataclass functools.lru_cache functools.cache functools.wraps
    functools.cached_property functools.total_ordering functools.singledispatch abc.abstractmethod
    contextlib.contextmanager contextlib.asynccontextmanager enum.unique typing.overload typing.runtime_checkable""".split()
)
OPENERS = frozenset(
    "open io.open os.open os.fdopen io.open_code tokenize.open gzip.open bz2.open lzma.open tarfile.open".split()
)
"""Functions that take a path and then a mode; of a method called `open`, any argument may be the mode."""

READERS_OF_PATHS = frozenset(
    "xml.etree.ElementTree.parse zipfile.ZipFile zipfile.Path tarfile.TarFile".split()
)
"""They open what their first argument names, to read it unless a mode says otherwise."""

CONTAINERS = frozenset(
    """list dict set sorted bytearray collections.deque collections.Counter collections.defaultdict
    collections.OrderedDict io.StringIO io.BytesIO""".split()
)
"""What they make lives in memory alone: `remove`, `write` and the like touch nothing else."""

DYNAMIC = frozenset(
    "eval exec compile __import__ getattr setattr delattr globals locals vars breakpoint input __builtins__ "
    "__loader__ __spec__ memoryview".split()
)
RUNNERS = frozenset(
    """os.system os.popen os.exec os.spawn os.posix_spawn os.fork subprocess. pty. commands. popen2. asyncio.create_subprocess
    multiprocessing. ctypes. cffi. importlib. runpy. code. pickle. marshal. shelve. webbrowser. distutils. pip.""".split()
)
OS_READS = frozenset(
    """getcwd listdir scandir stat lstat walk getpid getppid getuid geteuid getgid getlogin uname cpu_count getloadavg
    path sep linesep name access readlink get_terminal_size times sched_getaffinity fspath statvfs getenv""".split()
)
OS_VALUES = frozenset(
    "environ environb error DirEntry PathLike stat_result devnull curdir pardir extsep pathsep".split()
)
DELETES = frozenset("remove unlink rmdir removedirs rmtree".split())
WRITES = frozenset(
    """write_text write_bytes mkdir makedirs rename replace symlink link chmod chown utime truncate touch symlink_to
    hardlink_to copy copy2 copyfile copytree move make_archive unpack_archive putenv unsetenv mkfifo mknod lchown
    setxattr removexattr extract extractall""".split()
)
PASSED_ON = frozenset("open write writelines".split())
KILLS = frozenset("kill killpg abort reboot setuid setgid seteuid setsid chroot".split())
PASSAGES = frozenset(
    """os.path datetime.datetime datetime.date datetime.time datetime.timezone datetime.timedelta sys.stdout sys.stdin
    sys.stderr sys.version_info sys.flags sys.implementation sys.float_info sys.thread_info itertools.chain
    json.decoder collections.abc pathlib.Path pathlib.PurePath uuid.UUID decimal.Decimal fractions.Fraction
    string.Template calendar.TextCalendar os.environ sys.modules sys.argv string.ascii_letters
    string.ascii_lowercase string.ascii_uppercase string.digits string.punctuation string.printable string.whitespace
    string.hexdigits asyncio.Queue logging.Logger zipfile.ZipFile tarfile.TarFile
    email.utils concurrent.futures urllib.parse""".split()
)
"""A module holds others (`pathlib.os`): only these names may be walked through on the way to something else."""
MODULES_INSIDE = frozenset(
    {*(name for name in MODULES if "." in name), "json.decoder", "json.encoder", "json.scanner"}
)
NOT_MODULES = frozenset(
    {"datetime.time", "sys.platform", "statistics.statistics", "ast.keyword", "collections.abc"}
)
FRAMES = frozenset(
    """gi_frame gi_code cr_frame ag_frame tb_frame f_back f_globals f_builtins f_locals f_code func_globals
    modules""".split()
)
RUNNING_METHODS = frozenset(
    """system popen execl execle execlp execlpe execv execve execvp execvpe spawnl spawnle spawnlp spawnv spawnve
    spawnvp posix_spawn posix_spawnp fork forkpty startfile Popen check_output check_call getoutput getstatusoutput
    create_subprocess_shell create_subprocess_exec import_module addsitedir""".split()
)
MEMORY_FILES = frozenset({"io.StringIO", "io.BytesIO", "io.TextIOWrapper"})
NETWORK = frozenset(
    "socket urllib http requests httpx aiohttp ftplib smtplib telnetlib paramiko ssl xmlrpc poplib".split()
)
HANDED = DELETES | WRITES | PASSED_ON
"""Methods that must not be handed to somebody who calls them."""


def module_of(name: str) -> str | None:
    """The longest known module that this dotted name lies in."""
    parts = name.split(".")
    prefixes = (".".join(parts[:count]) for count in range(len(parts) - 1, 0, -1))
    return next((prefix for prefix in prefixes if prefix in MODULES), None)


def is_trusted(module: str, name: str) -> bool:
    if name.startswith("_") or name in NEVER:
        return False
    return MODULES[module] is EVERYTHING or name in MODULES[module]


def is_module(name: str) -> bool:
    """Whether the last part of `re.sys` or `random._os` names a module that the first one happens to hold."""
    root, _, leaf = name.rpartition(".")
    if (
        name in NOT_MODULES
        or leaf == root
        or (root == "os" and leaf in OS_READS)
        or name == "datetime.datetime"
    ):
        return False
    return bool(root) and leaf.lstrip("_") in sys.stdlib_module_names


def is_passage(root: str, between: list[str]) -> bool:
    return not between or (f"{root}.{between[0]}" in PASSAGES and set(between[1:]) <= {"buffer"})
