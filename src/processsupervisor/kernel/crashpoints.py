"""The crash points: a name before and after every durable step of psvd and keeper, at which a test build can die.

Nothing here decides anything: `reach` does nothing unless kernel/crashing.py is there (the wheel leaves it out) and its
environment variable is set. tests/crash dies at every name in turn and looks at what the successors make of it.
Where one step follows another with nothing durable between them, one name stands for "after" and "before".
"""

from __future__ import annotations

from enum import StrEnum

try:
    from processsupervisor.kernel.crashing import armed_by_environment
except ImportError:  # not a test build
    _strike = None
else:
    _strike = armed_by_environment()


class CrashPoint(StrEnum):
    """Every point, by process and step."""

    # psvd comes up
    PSVD_LOCKED = "psvd-locked"  # it holds its lock and has read nothing
    PSVD_CONNECTED = "psvd-connected"  # to the keeper, nothing said
    PSVD_HELLO_SAID = "psvd-hello-said"  # the welcome is on its way
    PSVD_WELCOMED = "psvd-welcomed"  # it holds the listening sockets
    PSVD_EXAMINED = "psvd-examined"  # a bot's evidence is weighed, nothing done about it
    PSVD_TAKEN = "psvd-taken"  # one bot is taken over, the next is not
    PSVD_LEFTOVERS_FOUND = "psvd-leftovers-found"  # they are about to be killed
    PSVD_LEFTOVERS_KILLED = "psvd-leftovers-killed"  # the bot is not started yet
    PSVD_ADOPTED_ALL = "psvd-adopted-all"  # FIFOs nobody uses are not released yet
    PSVD_BEFORE_LISTEN = "psvd-before-listen"  # callers wait in the backlog
    PSVD_LISTENS = "psvd-listens"  # nothing is started yet
    PSVD_WANTED_STARTED = "psvd-wanted-started"  # every start that is due has begun
    PSVD_BEFORE_UNSEEN = "psvd-before-unseen"  # an exit of the time without psvd is known, not noted
    PSVD_UNSEEN_NOTED = "psvd-unseen-noted"  # it is in psv.db, nothing has followed
    PSVD_KEEPER_BACK = "psvd-keeper-back"  # a new keeper has welcomed it
    PSVD_ROLES_REPLACED = "psvd-roles-replaced"  # the old keeper's zygotes and web are told to end
    PSVD_SETTLED_TOLD = "psvd-settled-told"  # systemd hears that all is ready

    # psvd writes what it means to do
    PSVD_BEFORE_RECORD = "psvd-before-record"  # a bot's record is of the step before
    PSVD_AFTER_RECORD = "psvd-after-record"  # it is of the step that comes now
    PSVD_BEFORE_WANTED = "psvd-before-wanted"  # a command came, nothing is noted
    PSVD_AFTER_WANTED = "psvd-after-wanted"  # what is wanted is committed, nothing is done
    PSVD_BEFORE_FLUSH = "psvd-before-flush"  # transitions are in memory
    PSVD_AFTER_FLUSH = "psvd-after-flush"  # transitions are committed

    # psvd changes the configuration
    PSVD_CHANGE_NOTED = "psvd-change-noted"  # the version is in psv.db, nothing else is on disk
    PSVD_CHANGE_BEGUN = "psvd-change-begun"  # what will be touched is on disk, nothing is touched
    PSVD_CHANGE_SWAPPED = "psvd-change-swapped"  # a bot has other settings, its process the old ones
    PSVD_CHANGE_TURNED = "psvd-change-turned"  # a bot has had its turn
    PSVD_CHANGE_BATCH = "psvd-change-batch"  # a batch is through, the next is not begun
    PSVD_CHANGE_BEFORE_COMMIT = "psvd-change-before-commit"  # every bot has what it is to have, fleet.json is the old one
    PSVD_CHANGE_COMMITTED = "psvd-change-committed"  # fleet.json is the new one, the version is still noted as pending
    PSVD_CHANGE_BACK = "psvd-change-back"  # something failed, nothing is taken back
    PSVD_CHANGE_BACK_DONE = "psvd-change-back-done"  # all is as before, the change is still on disk
    PSVD_CHANGE_ENDED = "psvd-change-ended"  # nothing of it is on disk but the version

    # psvd starts a bot
    PSVD_BEFORE_FIFOS = "psvd-before-fifos"  # its folders are there
    PSVD_REQUEST_SENT = "psvd-request-sent"  # the keeper does it, the answer is not here
    PSVD_AFTER_FIFOS = "psvd-after-fifos"  # the pair is open, the cgroup is not made
    PSVD_AFTER_CGROUP = "psvd-after-cgroup"  # spec.json is of the last start
    PSVD_AFTER_SPEC = "psvd-after-spec"  # failure.json is of an earlier start
    PSVD_BEFORE_FORK = "psvd-before-fork"  # all is laid, nobody is asked to fork
    PSVD_SECRET_MADE = "psvd-secret-made"  # it is in the pipe for a native bot
    PSVD_FORK_SENT = "psvd-fork-sent"  # the zygote forks, the answer is not here
    PSVD_FORK_ANSWERED = "psvd-fork-answered"  # the pid is known, not recorded

    # psvd stops a bot, or sees it end
    PSVD_BEFORE_RUNG = "psvd-before-rung"  # the next step of the stop ladder is due
    PSVD_AFTER_RUNG = "psvd-after-rung"  # the bot is asked or signalled
    PSVD_STATUS_TAKEN = "psvd-status-taken"  # the keeper told the exit
    PSVD_TREE_CLEARED = "psvd-tree-cleared"  # nothing of the bot is left
    PSVD_BEFORE_EXIT = "psvd-before-exit"  # release is told, the exit is not noted
    PSVD_EXIT_NOTED = "psvd-exit-noted"  # it is in psv.db, nothing has followed
    PSVD_BEFORE_TAIL = "psvd-before-tail"  # the FIFOs are drained, the last lines are not in the exit
    PSVD_TAIL_NOTED = "psvd-tail-noted"  # they are

    # psvd runs a task
    PSVD_BEFORE_RUN_QUEUED = "psvd-before-run-queued"  # its time has come, nothing is noted
    PSVD_RUN_QUEUED = "psvd-run-queued"  # the run is noted, its time is dealt with
    PSVD_RUN_BEGUN = "psvd-run-begun"  # it is noted as begun by the next generation, which is not launched

    # psvd and its helpers
    PSVD_BEFORE_ZYGOTE = "psvd-before-zygote"  # a zygote is needed, nothing written
    PSVD_ZYGOTE_WRITTEN = "psvd-zygote-written"  # its plan is on disk
    PSVD_ZYGOTE_SPAWNED = "psvd-zygote-spawned"  # the keeper has started it
    PSVD_BEFORE_RETIRE = "psvd-before-retire"  # a zygote is let go, not told
    PSVD_AFTER_RETIRE = "psvd-after-retire"  # it is told
    PSVD_BEFORE_WEB = "psvd-before-web"  # the web process or the notifier is to be started
    PSVD_WEB_SPAWNED = "psvd-web-spawned"  # the keeper has started it

    # psvd takes the fleet down
    PSVD_BEFORE_DOWN = "psvd-before-down"  # asked, nothing done
    PSVD_DOWN_BEGUN = "psvd-down-begun"  # every bot is asked to stop
    PSVD_ALL_STOPPED = "psvd-all-stopped"  # the keeper is not told
    PSVD_DOWN_TOLD = "psvd-down-told"  # it is

    # keeper comes up
    KEEPER_LOCKED = "keeper-locked"  # it holds its lock and has read nothing
    KEEPER_RUN_EMPTIED = "keeper-run-emptied"  # of an earlier boot or a copied folder; epoch not written
    KEEPER_EPOCH_WRITTEN = "keeper-epoch-written"  # the journal is not opened
    KEEPER_FIFOS_FOUND = "keeper-fifos-found"  # of the bots that run; nobody can connect
    KEEPER_LISTENER_BOUND = "keeper-listener-bound"  # one socket is bound, the others are not
    KEEPER_LISTED = "keeper-listed"  # the fleet is in the user's list

    # keeper and its roles
    KEEPER_BEFORE_SPAWN = "keeper-before-spawn"  # a role is due
    KEEPER_SPAWNED = "keeper-spawned"  # it is forked, not known
    KEEPER_HELLO_TAKEN = "keeper-hello-taken"  # a role said hello, no welcome is sent
    KEEPER_WELCOMED = "keeper-welcomed"  # psvd has the listening sockets

    # keeper and exits
    KEEPER_EXIT_SEEN = "keeper-exit-seen"  # a child is a zombie, nothing is written
    KEEPER_EXIT_JOURNALED = "keeper-exit-journaled"  # it is still a zombie
    KEEPER_REAPED = "keeper-reaped"  # psvd is not told
    KEEPER_EXIT_TOLD = "keeper-exit-told"  # psvd is told

    # keeper and bots
    KEEPER_BEFORE_FIFOS = "keeper-before-fifos"  # asked for a pair, nothing made
    KEEPER_FIFO_MADE = "keeper-fifo-made"  # one of the two
    KEEPER_FIFOS_OPEN = "keeper-fifos-open"  # logd does not know
    KEEPER_BEFORE_LAUNCH = "keeper-before-launch"  # a program is to be forked
    KEEPER_LAUNCHED = "keeper-launched"  # it is forked, psvd does not know
    KEEPER_RELEASE_ASKED = "keeper-release-asked"  # psvd needs a pair no longer, logd is not told
    KEEPER_DRAINED = "keeper-drained"  # logd says so; the pair is still open
    KEEPER_FIFO_CLOSED = "keeper-fifo-closed"  # its files are still there
    KEEPER_FIFO_REMOVED = "keeper-fifo-removed"  # one of the two

    # keeper ends
    KEEPER_GOES_DOWN = "keeper-goes-down"  # told by a signal, psvd does not know
    KEEPER_BEFORE_ROLES_END = "keeper-before-roles-end"  # all bots are down
    KEEPER_BEFORE_LOGD_ENDS = "keeper-before-logd-ends"  # psvd and web are gone
    KEEPER_ROLES_ENDED = "keeper-roles-ended"  # nobody but the keeper is left
    KEEPER_BEFORE_UNLIST = "keeper-before-unlist"  # its sockets are gone
    KEEPER_UNLISTED = "keeper-unlisted"  # only its lock is left

    # a bot's process before its program begins
    CHILD_FORKED = "child-forked"  # it holds nothing
    CHILD_OUTPUT_OPEN = "child-output-open"  # it writes into its FIFOs and holds no lock
    CHILD_LOCKED = "child-locked"  # its lock says who it is
    CHILD_PREPARED = "child-prepared"  # the program is next


def reach(point: CrashPoint) -> None:
    """Pass a point; the process ends here, as by kill -9, when a test armed the point."""
    if _strike is not None:
        _strike(point)
