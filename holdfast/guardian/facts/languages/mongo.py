"""Expressions for the MongoDB shell: chains of methods that are known to only look; everything else is not understood."""

# ruff: noqa: SIM905 - word lists read better as text

import re

_SIZE_LIMIT = 4_000
_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'')
_CALL = re.compile(r"([A-Za-z_$][\w$]*)\s*\(")
_READS = frozenset(
    """find findOne count countDocuments estimatedDocumentCount distinct aggregate explain limit skip sort pretty toArray
    hasNext itcount size batchSize hint maxTimeMS collation projection readConcern readPref comment allowDiskUse
    stats dbStats collStats serverStatus hostInfo version hello isMaster ismaster status conf config printReplicationInfo
    printSecondaryReplicationInfo getReplicationInfo currentOp getIndexes getIndexKeys totalIndexSize totalSize dataSize
    storageSize latencyStats getShardDistribution getShardVersion getCollectionNames getCollectionInfos getCollection
    getName getSiblingDB getSisterDB getMongo getDB getDBs getDBNames getProfilingStatus getProfilingLevel
    serverBuildInfo serverCmdLineOpts isCapped getBalancerState isBalancerRunning balancerCollectionStatus
    adminCommand runCommand forEach print printjson ObjectId ISODate NumberLong NumberInt Date tojson stringify
    getTime toString keys length isInteger""".split()
)
_COMMANDS = frozenset(
    """ping hello isMaster serverStatus dbStats collStats buildInfo hostInfo getParameter listDatabases listCollections
    listIndexes replSetGetStatus replSetGetConfig currentOp top connPoolStats connectionStatus getLog
    getCmdLineOpts shardConnPoolStats listShards balancerStatus features lockInfo whatsmyuri count distinct
    explain getShardMap""".split()
)
_REFUSED = re.compile(
    r"`|=>|\b(?:function|new|eval|process|require|load|globalThis|import|this)\b|\$(?:where|function|accumulator|out|merge)\b|"
    r"(?<![=!<>])=(?!=)|\+\+|--|(?i:system\.(?:users|keys)|passw|secret|credential)"
)
_COMMAND = re.compile(r"\b(?:adminCommand|runCommand)\s*\(\s*(?:\{\s*)?[\"']?(\w+)")
_SUBSCRIPT = re.compile(r"[\w)\]]\s*\[(?!\s*\d+\s*\])")
_HANDED = re.compile(r"\bforEach\s*\(\s*(?!printjson\s*\)|print\s*\))")
_LINE = re.compile(r"\s*show\s+(?:dbs|databases|collections|tables|profile|logs|log\s+\w+)\s*;?\s*")


def mongo_is_harmless(program: str) -> bool:
    """Whether every call is known to only look. No is the safe answer."""
    if len(program) > _SIZE_LIMIT or _REFUSED.search(program):
        return False
    if _LINE.fullmatch(program):
        return True
    code = _STRING.sub('""', program)
    calls = [*_CALL.finditer(code)]
    if not calls or _SUBSCRIPT.search(code) or _HANDED.search(code) or code.count("(") != len(calls):
        return False
    commands = _COMMAND.findall(program)
    runs = sum(match[1] in {"adminCommand", "runCommand"} for match in calls)
    if len(commands) != runs or not _COMMANDS.issuperset(commands):
        return False
    return all(match[1] in _READS for match in calls)
