"""`sys.*`: facts about the host a tools worker runs on. They read, in process, a fixed set of places, within bounds."""

from holdfast.tools.builtin.host.disk import disk
from holdfast.tools.builtin.host.info import info
from holdfast.tools.builtin.host.logs import logs
from holdfast.tools.builtin.host.network import ports
from holdfast.tools.builtin.host.processes import processes
from holdfast.tools.builtin.host.usage import usage

HOST_FACTS = (disk, usage, processes, info, ports, logs)
