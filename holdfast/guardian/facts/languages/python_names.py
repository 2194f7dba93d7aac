"""What is known of Python's names: which modules only compute or look, and which parts of the others do.

A name that stands in none of these lists is not understood.
"""

# ruff: noqa: SIM905 - word lists read better as text

import builtins

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
