"""The default backend: bubblewrap, with one supervising process per call.

Three kinds of process stand between a worker and a tool. The *launcher* is forked once per worker and forks the
others. A *keeper* supervises one call: it drops to the run's own uid, makes the namespaces that hold the limited file
systems and the network, starts bubblewrap, and enforces every limit. The tool is the only one that runs foreign code.
"""
